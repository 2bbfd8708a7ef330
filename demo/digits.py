#!/usr/bin/env python3
"""The main job: a chain whose blocks are mined by a real network's matrix products.

Starts a development node, trains a small network on handwritten digits, quantises it to 7 bits, runs its products over
the test set through the node, compares each with NumPy's, and shows which blocks were mined on them. Then it keeps
mining until Ctrl-C, unless ``--once`` is given.

Exit status: 0 if all of it held (without ``--once``: and Ctrl-C ended it after that), 1 if not, 130 if it was
interrupted before.
"""

from __future__ import annotations

import os
import signal

# Until there is something to clean up an interrupt just ends this, also in the middle of the imports that follow.
for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(_number, lambda *_: os._exit(130))

import argparse  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument(
        "--bin",
        type=Path,
        default=os.environ.get("LABORA_BIN"),
        help="the node's binary; LABORA_BIN if not given",
    )
    parser.add_argument("--once", action="store_true", help="end after the job instead of mining on")
    parser.add_argument(
        "--base-path",
        type=Path,
        help="data folder of the node, kept afterwards; a fresh one that is removed if not given",
    )
    parser.add_argument("--devices", default="auto", help="what the node multiplies on (default: auto)")
    parser.add_argument(
        "--deadline",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long to wait for a block on the network's own matrices (default: 600)",
    )
    chosen = parser.parse_args()
    if chosen.bin is None:
        parser.error("no node: give --bin and the path of the labora binary, or use `make run`")
    return chosen


def main() -> int:
    chosen = arguments()
    # NumPy's products run on several of our threads at a time; its own would only fight with them and the node.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import session

    return session.run(chosen)


if __name__ == "__main__":
    sys.exit(main())
