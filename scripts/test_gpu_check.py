"""gpu_check.py beside stand-ins for the node, its test and NVIDIA's tools: `python3 -m unittest discover scripts`."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
import gpu_check
import gpu_check_mining
import gpu_check_steps

ROW = {"shape": [4096, 4096, 4096], "kernel": "wgmma", "plain_tmacs": 500.0, "reference": "cublaslt", "plain": 0.9}
ROW.update(why_not_cublaslt=None, parts_ms=[["commitments", 0.25], ["product", 0.75]])
ROW.update(filler=0.8, exact=0.7, node_filler=0.6, node_exact=0.1, node_plain=0.1)
BENCH = {"gpus": [{"id": "cuda:0", "name": "Stub", "rows": [ROW]}], "cpu": [], "notes": []}

LABORA = '''#!{python}
import http.server, json, os, sys, time
say = sys.argv[1:]
with open(os.environ["STUB_LOG"], "a") as log:
    print("XDG=" + os.environ.get("XDG_CACHE_HOME", ""), *say, file=log)
if say[0] == "devices":
    print(json.dumps({{"gpus": [{{"state": "usable"}}]}}) if "--json" in say else "cuda:0 Stub")
elif say[0] == "bench":
    {bench}
else:
    class Handler(http.server.BaseHTTPRequestHandler):
        count = 0
        def log_message(self, *_): pass
        def do_POST(self):
            Handler.count += 1
            device = {{"id": "cuda:0", "name": "Stub", "macsFiller": Handler.count * 10**12, "energyJ": None, "lost": 0}}
            stats = {{"blocks": Handler.count, "sealsRefused": {refused}, "sealsTooLate": 0, "devices": [device]}}
            body = json.dumps({{"result": stats}}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    print(f"JSON-RPC server: addr=127.0.0.1:{{server.server_port}},", flush=True)
    server.serve_forever()
'''

TEST = """#!/bin/sh
printf 'test vectors ... 18 vectors are the same on 1 GPUs\\nok\\n'
{between}
echo '200 random shapes are the same on 1 GPUs'
{artifact}
"""

ARTIFACT = "echo 'an artifact of 96 MiB through 48 MiB of memory is the same on 1 GPUs, at 0.95 of the speed'"

SANITIZER = """#!/bin/sh
echo "XDG=$XDG_CACHE_HOME sanitizer $2" >>"$STUB_LOG"
echo '========= ERROR SUMMARY: 0 errors'
"""


class GpuCheck(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.log = self.folder / "log"
        self.report = self.folder / "report.md"
        (self.folder / "bin").mkdir()
        env = {"STUB_LOG": str(self.log), "LABORA_CACHE": str(self.folder), "XDG_CACHE_HOME": "/the/user's"}
        env["PATH"] = f"{self.folder}/bin:{os.environ['PATH']}"
        quick = dict.fromkeys(gpu_check.LIMITS, 20)
        for patch in (
            mock.patch.dict(os.environ, env),
            mock.patch.dict(gpu_check.LIMITS, quick),
            mock.patch.multiple(gpu_check_mining, MINING_S=2, SAMPLE_S=1),
            mock.patch.object(gpu_check, "LEAST_S", 1),
            mock.patch.multiple(gpu_check_steps, LEAST_S=1, toolkits=lambda part: []),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def script(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def check(self, bench=None, between="", artifact=ARTIFACT, refused=0, sanitizer=SANITIZER, cpu=False) -> tuple[int, str]:
        bench = bench or f"print({json.dumps(BENCH)!r})"
        labora = self.script("labora", LABORA.format(python=sys.executable, bench=bench, refused=refused))
        test = self.script("gpu-test", TEST.format(between=between, artifact=artifact))
        if sanitizer:
            self.script("bin/compute-sanitizer", sanitizer)
        args = argparse.Namespace(labora=labora, test=test, vectors="/", report=str(self.report), cpu=cpu)
        args.devices, args.env = "cuda:0", {}
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            status = gpu_check.check(args)
        return status, self.report.read_text()

    def test_limits_are_under_nine_minutes_together(self) -> None:
        mock.patch.stopall()
        self.assertLessEqual(sum(gpu_check.LIMITS.values()), gpu_check.TOTAL_S)
        self.assertLess(gpu_check.TOTAL_S, 540)
        parts = gpu_check_mining.START_S + gpu_check_mining.MINING_S + gpu_check_mining.STOP_S
        self.assertLessEqual(parts, gpu_check.LIMITS["mining"])

    def test_all_hold_and_the_sanitizer_is_last_with_a_cache_of_its_own(self) -> None:
        status, report = self.check()
        self.assertEqual(status, 0, report)
        self.assertIn("# gpu-check: 5 of 5 hold\n", report)
        self.assertIn("| 4,096, 4,096, 4,096 | wgmma | 500.0 | cublaslt | 0.900 |", report)
        ran = self.log.read_text().splitlines()
        checks = 2 * len(gpu_check_steps.SANITIZED)
        self.assertEqual([line.split()[-1] for line in ran[-checks:]], ["memcheck", "racecheck"] * (checks // 2))
        self.assertFalse([line for line in ran[-checks:] if "/the/user's" in line])
        self.assertTrue(all("/the/user's" in line for line in ran[:-checks]))
        self.assertIn("* racecheck at 448³: ERROR SUMMARY: 0 errors", report)
        self.assertTrue(any("bench --json --devices cuda:0" in line for line in ran))

    def test_what_is_not_installed_does_not_hold(self) -> None:
        which = gpu_check_steps.shutil.which
        hidden = lambda name: None if name == "compute-sanitizer" else which(name)  # noqa: E731
        with mock.patch.object(gpu_check_steps.shutil, "which", hidden):
            status, report = self.check(sanitizer=None)
        self.assertEqual(status, 0, report)
        self.assertIn("4 of 5 hold, 1 not run", report)
        self.assertIn("compute-sanitizer: not run", report)

    def test_ratios_to_our_own_product_do_not_hold(self) -> None:
        own = json.dumps(BENCH).replace('"cublaslt"', '"plain"').replace("null", '"libcublasLt was not found"')
        status, report = self.check(bench=f"print({own!r})")
        self.assertEqual(status, 3, report)
        self.assertIn("4 of 5 hold, 1 not run; bytes and speed", report)
        self.assertIn("Not run against cuBLASLt", report)
        self.assertIn("It says: libcublasLt was not found.", report)
        self.assertIn("| plain | 0.900 |", report)

    def test_a_step_out_of_time_is_killed_with_its_children_and_keeps_its_rows(self) -> None:
        gpu_check.LIMITS["bytes"] = 2
        began = time.monotonic()
        status, report = self.check(between=f"sleep 77 & echo $! >{self.folder}/child; wait")
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(status, 1, report)
        self.assertIn("4 of 5 hold, 1 FAILED", report)
        self.assertIn("* 18 vectors are the same on 1 GPUs", report)
        self.assertIn("not done after 2 s", report)
        stat = Path("/proc", (self.folder / "child").read_text().strip(), "stat")
        self.assertTrue(not stat.exists() or " Z " in stat.read_text())

    def test_one_shape_is_kept_when_all_of_them_take_too_long(self) -> None:
        gpu_check.LIMITS["ratios"] = 2
        status, report = self.check(bench=f"print({json.dumps(BENCH)!r}) if '--size' in say else time.sleep(77)")
        self.assertEqual(status, 1, report)
        self.assertIn("| 4,096, 4,096, 4,096 |", report)

    def test_what_is_no_json_is_said_in_a_sentence(self) -> None:
        for bench in ("print('{')", "print('[]')", "print()"):
            status, report = self.check(bench=bench)
            self.assertEqual(status, 1, report)
            self.assertIn("did not answer with a JSON object", report)
        status, report = self.check(bench="print('{}')")
        self.assertEqual(status, 1, report)
        self.assertIn("another form than this script knows: KeyError('gpus')", report)

    def test_refused_seals_fail_and_the_table_stays(self) -> None:
        status, report = self.check(refused=1)
        self.assertEqual(status, 1, report)
        self.assertIn("Mining: FAILED", report)
        self.assertIn("| cuda:0: Stub |", report)

    def test_a_sanitizer_that_finds_something_fails_and_one_that_saw_nothing_was_not_run(self) -> None:
        status, report = self.check(sanitizer=SANITIZER.replace("0 errors'", "3 errors'; exit 9"))
        self.assertEqual(status, 1, report)
        self.assertIn("ERROR SUMMARY: 3 errors", report)
        status, report = self.check(sanitizer="#!/bin/sh\necho 'terminated before first instrumented API call'; exit 255")
        self.assertEqual(status, 0, report)
        self.assertIn("4 of 5 hold, 1 not run", report)
        status, report = self.check(sanitizer="#!/bin/sh\n:")
        self.assertEqual(status, 1, report)

    def test_shapes_after_the_first_are_sanitized_as_time_allows(self) -> None:
        gpu_check.LIMITS["sanitizer"] = 3
        slow = SANITIZER.replace("echo '=", """case "$*" in *'--size 320'*) sleep 77 ;; esac\necho '=""")
        status, report = self.check(sanitizer=slow)
        self.assertEqual(status, 0, report)
        self.assertIn("* racecheck at 256³: ERROR SUMMARY: 0 errors", report)
        self.assertIn("* memcheck at 320³: not done in the time that was left", report)
        self.assertIn("* racecheck at 448³: not run, no time was left", report)
        first = SANITIZER.replace("echo '=", "sleep 77\necho '=")
        status, report = self.check(sanitizer=first)
        self.assertEqual(status, 1, report)

    def test_an_artifact_that_did_not_go_through_a_gpu_fails(self) -> None:
        status, report = self.check(artifact="")
        self.assertEqual(status, 1, report)
        self.assertIn("did not say that an artifact went through a GPU", report)

    def test_the_parts_of_the_large_product_are_shown_with_the_rest_without_them(self) -> None:
        rows = [{**ROW, "shape": [side] * 3} for side in (4096, 8192)]
        lines = gpu_check_steps.parts_table({"id": "cuda:0", "rows": rows})
        self.assertIn("8,192, 8,192, 8,192: 1.000 ms", lines[0])
        self.assertIn("| commitments | 0.250 | 25.0 % | 0.750 |", lines)
        self.assertEqual(sum("part | ms alone" in line for line in lines), 1)

    def test_nothing_begins_after_the_whole_time(self) -> None:
        with mock.patch.object(gpu_check, "TOTAL_S", 0):
            status, report = self.check()
        self.assertEqual(status, 3, report)
        self.assertIn("0 of 5 hold, 5 not run", report)

    def test_on_the_cpu_no_gpu_was_checked(self) -> None:
        with mock.patch.object(gpu_check_mining.time, "sleep", lambda seconds, sleep=time.sleep: sleep(min(seconds, 0.2))):
            status, report = self.check(cpu=True)
        self.assertEqual(status, 3, report)
        self.assertIn("2 of 5 hold, 3 not run; NO GPU WAS CHECKED (--cpu)", report)

    def test_a_gpu_is_looked_for_before_anything_is_built(self) -> None:
        said = io.StringIO()
        with mock.patch.object(gpu_check, "gpu_is_there", lambda: False), mock.patch.object(sys, "argv", ["gpu_check.py"]):
            with mock.patch.object(gpu_check, "prepare") as prepare, contextlib.redirect_stderr(said):
                self.assertEqual(gpu_check.main(), 1)
        prepare.assert_not_called()
        self.assertEqual(said.getvalue().count("\n"), 1)

    def test_cublaslt_is_found_below_the_cache(self) -> None:
        with mock.patch.dict(os.environ, {"LD_LIBRARY_PATH": "/given"}):
            self.assertEqual(gpu_check.library_env(), {})
            library = self.folder / "cuda/lib/libcublasLt.so.13"
            library.parent.mkdir(parents=True)
            library.touch()
            self.assertEqual(gpu_check.library_env(), {"LD_LIBRARY_PATH": f"/given:{library.parent}"})


if __name__ == "__main__":
    unittest.main()
