"""What a person reads."""

from __future__ import annotations

import sys
from typing import Any

from job import Results

#: Own blocks that are listed in full; of longer lists the first and the number are enough.
SHOWN_BLOCKS = 10


def step(text: str) -> None:
    """One line for each thing that begins or has ended."""
    end_line()
    print(f"· {text}", flush=True)


def status_line(block: int, worker: dict[str, Any]) -> None:
    """One line that is overwritten, or nothing where lines cannot be."""
    rates = worker["macs_per_s_10s"]
    rate = (rates["useful"] + rates["filler"]) / 1e9
    blocks = worker["blocks_useful"] + worker["blocks_filler"]
    text = f"block {block} · {blocks} mined here · {rate:.0f} GMAC/s · {worker['queue_length']} products wait"
    if sys.stdout.isatty():
        # Back to the start and clear to the end of the line.
        print(f"\r\x1b[K{text}", end="", flush=True)
        _state["open"] = True


def end_line() -> None:
    """Leave a status line that is being overwritten."""
    if _state["open"]:
        print(flush=True)
        _state["open"] = False


_state = {"open": False}


def results(found: Results, float_accuracy: float) -> None:
    """The table at the end of the job."""
    noisy = [f"{noise:g}: {sum(got) / len(got):.1%}" for noise, got in sorted(found.noisy.items())]
    rate = found.padded_macs / found.seconds / 1e9
    rows = [
        ("accuracy, float", f"{float_accuracy:.2%}"),
        ("accuracy, 7-bit integers", f"{found.accuracy:.2%}"),
        ("  under noise of σ", ", ".join(noisy)),
        ("products", f"{found.products}, each equal to NumPy's in every entry"),
        ("multiply-accumulates", f"{found.macs / 1e9:.1f} G, {found.padded_macs / 1e9:.1f} G with padding"),
        ("  of them mined", f"{found.mined_macs / 1e9:.1f} G, beside {found.filler_macs / 1e9:.1f} G of filler"),
        ("rate", f"{rate:.1f} GMAC/s over {found.seconds:.1f} s, comparison included"),
        ("blocks mined meanwhile", str(len(found.seals))),
        ("  on the network's matrices", str(len(found.own))),
    ]
    end_line()
    print()
    for name, value in rows:
        print(f"  {name:<28} {value}")
    print()
    by_number = {seal.block.number: seal for seal in found.seals}
    for number in sorted(found.own)[:SHOWN_BLOCKS]:
        seal = by_number[number]
        print(f"  block {number}: {found.own[number]}, {seal.m}×{seal.n}×{seal.k}, tile ({seal.row}, {seal.column})")
        print(f"    hash        0x{seal.block.hash.hex()}")
        print(f"    root of A   0x{seal.root_a.hex()}")
        print(f"    root of Bt  0x{seal.root_bt.hex()}")
    if len(found.own) > SHOWN_BLOCKS:
        print(f"  and {len(found.own) - SHOWN_BLOCKS} more")
    if not found.held:
        print("  no block was mined on the network's matrices in time; try again with a longer --deadline")
    print(flush=True)
