"""What can go wrong with matrices and on this machine, and what comes of it."""

from __future__ import annotations

import builtins
import importlib
import logging
import sys

import numpy as np
import pytest

import labora
from fake_chain import until
from labora._jobs import job as job_module
from labora._jobs import matrices as matrices_module
from world import LIMIT_S, ONE, World

# ---- matrices


def test_matrices_that_are_there_are_not_sent_again(world: World) -> None:
    with world.client() as client:
        client.submit(ONE, ONE.T, fee=1)
        client.submit(ONE, ONE.T, fee=1)
    assert len([request for request in world.store.requests if request.startswith("PUT") and "pin" not in request]) == 1


@pytest.mark.parametrize("script", [[429, 429], [409]])
def test_a_busy_store_is_asked_again(world: World, script: list[int]) -> None:
    world.store.script = [404, *script]
    with world.client() as client:
        assert client.submit(ONE, ONE.T, fee=1).number == 0


def test_a_store_without_room_is_said_to_be(world: World) -> None:
    world.store.script = [404, 507]
    with world.client() as client, pytest.raises(labora.NodeError, match="507"):
        client.submit(ONE, ONE.T, fee=1)
    assert world.chain.chain[-1].posted == 0


def test_the_token_is_sent_and_not_shown(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "0123456789abcdef"
    with labora.Client(world.url, "//Dave", world.matrices, secret, records=None) as client:
        client.submit(ONE, ONE.T, fee=1)
        assert secret not in repr(client)
    assert world.store.authorizations == {f"Bearer {secret}"}
    assert secret not in caplog.text.replace("Authorization", "")


def test_bytes_that_are_not_the_roots_are_found_out(world: World) -> None:
    with world.client() as client:
        job = client.submit(ONE, ONE.T, fee=1)
        world.work(job.number)
        world.store.lies = True
        with pytest.raises(labora.ProtocolError, match="other bytes"):
            job.result(LIMIT_S)


def test_results_come_from_peers(world: World) -> None:
    with world.client() as client:
        job = client.submit(ONE, ONE.T, fee=1)
        world.work(job.number)
        status = job.status()
        root = (status.products[0].c or b"").hex()
        world.store.peers = {root: world.store.held.pop(root)}
        assert np.array_equal(job.result(LIMIT_S), ONE.astype(np.int32) @ ONE.T)
        assert f"POST {root[:6]}/fetch" in world.store.requests


def test_a_result_that_cannot_be_had_is_waited_for_and_said_to_be_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "_SETTLED_PATIENCE_S", 0.3)
    with world.client() as client:
        job = client.submit(ONE, ONE.T, fee=1)
        world.work(job.number)
        held, world.store.held = world.store.held, {}
        with pytest.raises(labora.JobTimeout, match="could not be fetched"):
            job.result(timeout=1)
        job.wait(timeout=LIMIT_S)
        with pytest.raises(labora.MatrixMissing, match="neither this node nor its peers"):
            job.result(LIMIT_S)
        # Operands that are gone, but the result is there.
        status = job.status()
        root = (status.products[0].c or b"").hex()
        world.store.held = {root: held[root]}
        with pytest.raises(labora.MatrixMissing, match="verify=False"):
            job.result(LIMIT_S)
        assert np.array_equal(job.result(LIMIT_S, verify=False), ONE.astype(np.int32) @ ONE.T)


def test_a_broken_connection_to_the_store_is_not_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices_module, "_FIRST_PAUSE_S", 0.01)
    store = matrices_module.Matrices("http://127.0.0.1:1", None)
    with pytest.raises(labora.Unreachable, match="127.0.0.1:1"):
        store.has(bytes(32))


# ---- this machine


def test_records_that_are_damaged_or_cannot_be_written_are_only_warned_of(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with world.client() as client:
        number = client.submit(ONE, ONE.T, fee=1).number
    world.work(number)
    (record,) = world.folder.glob("*/*.json")
    record.write_text("{")
    with world.client() as client:
        assert client.job(number).result(LIMIT_S).shape == (32, 32)
    assert "cannot be read" in caplog.text
    blocked = world.folder / "file"
    blocked.write_text("")
    with labora.Client(world.url, "//Dave", world.matrices, records=blocked) as client:
        client.submit(ONE, ONE.T, fee=1)
    assert "cannot be written" in caplog.text


def test_jobs_of_earlier_runs_are_looked_after(world: World) -> None:
    with world.client() as client:
        job = client.submit(ONE, ONE.T, fee=1)
        world.work(job.number)
        assert len(world.store.pinned) == 2
    until(lambda: world.chain.chain[-1].number > world.chain.chain[-1].jobs[0]["window"]["ends"] + 1)
    with world.client() as client:
        client.tidy()
        client.tidy()
    assert world.chain.chain[-1].jobs[0]["stage"] == "settled"
    assert len(world.store.pinned) == 1


def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("labora")]:
        monkeypatch.delitem(sys.modules, name)
    really = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.partition(".")[0] == "sr25519":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return really(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    fresh = importlib.import_module("labora")
    assert fresh.matmul
    with pytest.raises(ImportError, match=r"pip install 'labora\[jobs\]'"):
        _ = fresh.Client
    with pytest.raises(AttributeError, match="no attribute"):
        _ = fresh.Nothing
