"""A real node on a chain of its own with a block about every half second, and a store of matrices."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import labora

#: The figures of work of the quick chain in tests/src/spec.rs.
WORK = {"initialDifficulty": hex(2_000_000_000), "targetBlockTimeMs": 500, "halfLifeMs": 5_000}


@dataclass
class RealMarket:
    """Where the node is."""

    url: str
    matrices: str

    def give(self, key: labora.Key) -> None:
        """Gives an account some LAB of //Alice's."""

        async def run() -> None:
            async with labora.AsyncClient(self.url, "//Alice", self.matrices, records=None) as client:
                assert client.key is not None
                transfer = {"dest": ("Id", key.account), "value": 100 * 10**12}
                await client.chain.send(client.key, "Balances", "transfer_keep_alive", transfer, 120)

        asyncio.run(run())

    def grant(self, member: labora.Key) -> None:
        """Makes an account a member of an institution of //Alice's, unless it is one."""

        async def run() -> None:
            async with labora.AsyncClient(self.url, "//Alice", self.matrices, records=None) as client:
                assert client.key is not None
                if (await client.rpc.call("grants_of", member.address))["memberOf"] is not None:
                    return
                admit = {"admin": client.key.account, "name": b"Institute", "quota": 10 * 10**12}
                # The fund has a tenth of each subsidy: of a few blocks it is enough.
                while int((await client.rpc.call("grants_fund"))["free"]) < 10**12:
                    await asyncio.sleep(0.2)
                sudo = {"call": ("Grants", ("admit", admit))}
                included = await client.chain.send(client.key, "Sudo", "sudo", sudo, 120)
                admitted = included.event("Grants", "Admitted")
                assert admitted is not None
                invite = {"institution": admitted["institution"], "who": member.account}
                await client.chain.send(client.key, "Grants", "invite", invite, 120)
                join = {"institution": admitted["institution"]}
                await client.chain.send(member, "Grants", "join", join, 120)

        asyncio.run(run())


@contextmanager
def running(binary: str, folder: Path, limit_s: float) -> Iterator[RealMarket]:
    """Starts the node, and ends it."""
    spec = json.loads(subprocess.run([binary, "chain-spec", "--chain", "dev"], check=True, capture_output=True).stdout)
    spec["genesis"]["runtimeGenesis"]["patch"]["work"].update(WORK)
    spec["id"] = "labora_test"
    folder.joinpath("spec.json").write_text(json.dumps(spec))
    flags = ["--chain", f"{folder}/spec.json", "--base-path", f"{folder}/data", "--rpc-port", "0"]
    flags += ["--listen-addr", "/ip4/127.0.0.1/tcp/0", "--no-prometheus", "--no-telemetry", "--no-mdns"]
    flags += ["--gemm-listen", "127.0.0.1:0", "--artifacts", "1GiB", "--force-authoring"]
    # Somebody who takes no part in the tests has the subsidies.
    flags += ["--mine", "--author", "//Ferdie", "--devices", "cpu:1"]
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([binary, *flags], stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + limit_s
        found: list[str] = []
        while len(found) < 2:
            text = log.read_text(errors="replace")
            assert process.poll() is None, f"the node ended:\n{text}"
            assert time.monotonic() < deadline, f"the node does not listen:\n{text}"
            patterns = [r"Running JSON-RPC server: addr=([0-9.:]+)", r"products are served at http://([0-9.:]+)"]
            found = [match[1] for pattern in patterns if (match := re.search(pattern, text))]
            time.sleep(0.1)
        yield RealMarket(f"ws://{found[0]}", f"http://{found[1]}")
    finally:
        process.terminate()
        process.wait(timeout=60)
