"""What this machine remembers of its jobs and the chain does not know: the shapes before padding.

One small file a job, in a folder a chain: ``sent-ROOTS.json`` from before it is posted, so that nothing is forgotten
if the program ends meanwhile; ``NUMBER.json`` once it has a number. Losing them loses only where results are cropped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labora._jobs.product import Shape

#: No record is longer: 64 products with some digits each.
MAX_RECORD_BYTES = 64 << 10

_log = logging.getLogger("labora")


@dataclass(frozen=True)
class Remembered:
    """A job, as it was submitted here."""

    #: BLAKE3 roots of Bt and of each A.
    roots: tuple[bytes, ...]
    shapes: tuple[Shape, ...]
    is_single: bool
    #: Whether its matrices are still pinned in the node's store.
    is_pinned: bool = True


def default_folder() -> Path:
    """``LABORA_JOBS``, or ``labora/jobs`` where the system keeps programs' data."""
    if named := os.environ.get("LABORA_JOBS"):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "labora" / "jobs"


class Records:
    """The records of one chain. ``folder``: None for none. What cannot be written is only warned of."""

    def __init__(self, folder: Path | None, genesis: bytes) -> None:
        self._folder = None if folder is None else folder / genesis.hex()[:16]

    def sending(self, job: Remembered) -> None:
        """A job is about to be posted."""
        self._write(_sent(job.roots), job)

    def posted(self, number: int, job: Remembered) -> None:
        """It has a number."""
        self._write(f"{number}.json", job)
        self._remove(_sent(job.roots))

    def find(self, number: int, roots: Sequence[bytes]) -> Remembered | None:
        """What is remembered of a job with these roots, by its number or else as it was about to be posted."""
        for name in (f"{number}.json", _sent(roots)):
            found = self._read(name)
            if found is not None and found.roots == tuple(roots):
                return found
        return None

    def forget(self, number: int) -> None:
        """A job is over."""
        self._remove(f"{number}.json")

    def pinned(self) -> Iterator[tuple[int, Remembered]]:
        """Jobs whose matrices are pinned."""
        with contextlib.suppress(OSError):
            for path in self._files():
                found = self._read(path.name) if path.stem.isdigit() else None
                if found is not None and found.is_pinned:
                    yield int(path.stem), found

    def abandoned(self, age_s: float) -> Iterator[Remembered]:
        """Jobs that were about to be posted so long ago and have no number; they are forgotten."""
        with contextlib.suppress(OSError):
            for path in self._files():
                if path.stem.startswith("sent-") and time.time() - path.stat().st_mtime > age_s:
                    found = self._read(path.name)
                    self._remove(path.name)
                    if found is not None:
                        yield found

    def _files(self) -> Iterable[Path]:
        return list(self._folder.iterdir()) if self._folder else []

    def _write(self, name: str, job: Remembered) -> None:
        if self._folder is None:
            return
        fields = {
            "roots": [root.hex() for root in job.roots],
            "shapes": [[shape.m, shape.n, shape.k] for shape in job.shapes],
            "single": job.is_single,
            "pinned": job.is_pinned,
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Whole or not at all, whoever writes beside us.
            with tempfile.NamedTemporaryFile("w", dir=self._folder, suffix=".new", delete=False) as file:
                json.dump(fields, file)
            Path(file.name).replace(self._folder / name)
        except OSError as error:
            _log.warning("%s cannot be written, so results of this job are not cropped later: %s", self._folder, error)

    def _read(self, name: str) -> Remembered | None:
        if self._folder is None:
            return None
        try:
            with (self._folder / name).open("rb") as file:
                fields: Any = json.loads(file.read(MAX_RECORD_BYTES))
            shapes = tuple(Shape(*(int(value) for value in shape)) for shape in fields["shapes"])
            roots = tuple(bytes.fromhex(root) for root in fields["roots"])
            return Remembered(roots, shapes, bool(fields["single"]), bool(fields["pinned"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("the record %s cannot be read: %s", self._folder / name, error)
            return None

    def _remove(self, name: str) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()


def _sent(roots: Sequence[bytes]) -> str:
    return f"sent-{hashlib.blake2b(b''.join(roots), digest_size=16).hexdigest()}.json"
