"""One run from start to end: the node's life around the job, and what an interrupt means at each point."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import labora

import report
from chain import Chain, ChainError
from job import Job, JobError
from network import IntegerNetwork, load, train
from node import Node, NodeError

#: Status if interrupted before the job was done: 128 and the number of SIGINT, as shells have it.
INTERRUPTED = 130

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(chosen: argparse.Namespace) -> int:
    """Run the whole; the exit status."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    held = False
    try:
        with tempfile.TemporaryDirectory(prefix="labora-", ignore_cleanup_errors=True) as scratch:
            node = Node(chosen.bin, chosen.base_path or Path(scratch, "data"), Path(scratch), chosen.devices)
            try:
                report.step(f"starting a node on {node.base_path}")
                node.start()
                report.step(f"the node answers at {node.rpc_url}; its log is {node.log_path}")
                held = _job(node, chosen.deadline)
                if held and not chosen.once:
                    _mine_on(node)
            except (ChainError, labora.LaboraError):
                # If the node is gone, the end of its log says more than a broken connection.
                node.check()
                raise
            finally:
                # From here on nothing may keep the node from being stopped and the folder from being removed.
                for number in SIGNALS:
                    signal.signal(number, signal.SIG_IGN)
                report.end_line()
                node.stop()
    except KeyboardInterrupt:
        report.step("ended by Ctrl-C" if held else "interrupted before the job was done")
        return 0 if held and not chosen.once else INTERRUPTED
    except (NodeError, JobError, ChainError, labora.LaboraError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0 if held else 1


def _interrupt(*_: int | FrameType | None) -> None:
    raise KeyboardInterrupt


def _job(node: Node, deadline_s: float) -> bool:
    data = load()
    report.step(f"training on {len(data.train_x)} handwritten digits")
    network = train(data)
    integer = IntegerNetwork.quantise(network, data.train_x)
    report.step("running the network's products through the node, each compared with NumPy's")
    with labora.Miner(node.endpoint) as miner:
        results = Job(miner, Chain(node.rpc_url), integer, data).run(deadline_s)
    report.results(results, network.accuracy(data.test_x, data.test_y))
    return results.held


def _mine_on(node: Node) -> None:
    report.step("mining on; Ctrl-C ends it")
    chain = Chain(node.rpc_url)
    with labora.Miner(node.endpoint) as miner:
        while True:
            node.check()
            report.status_line(chain.best().number, miner.status()["worker"])
            time.sleep(1)
