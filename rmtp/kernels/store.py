"""Where kernel matrices go, block by block: memory, or .npy files that an interrupted run takes up again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadParameter


class Memory:
    """Blocks in arrays."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def done(self, number: int) -> bool:
        """Whether a block is there already."""
        return False

    def put(self, number: int, name: str, shape: tuple[int, ...], rows: slice, cols: slice, value: np.ndarray) -> None:
        """One block of one kernel."""
        if name not in self.arrays:
            self.arrays[name] = np.empty(shape)
        self.arrays[name][..., rows, cols] = value

    def finish(self, number: int) -> None:
        """All kernels of a block are put."""


class Files(Memory):
    """Blocks in memory-mapped .npy files, with a file beside them that says which are finished.

    Parameters
    ----------
    path : str or Path
        ``k.npy`` for one kernel; with several, ``k.nngp.npy`` and so on.
    names : sequence of str
    blocks : int
    fingerprint : bytes
        Of data and network: files of another run are refused, not mixed.

    Raises
    ------
    BadParameter
        If the files there belong to another computation.
    """

    def __init__(self, path: str | Path, names: Sequence[str], blocks: int, fingerprint: bytes) -> None:
        super().__init__()
        base = Path(path)
        stem = base.with_suffix("") if base.suffix == ".npy" else base
        self.paths = {name: Path(f"{stem}.npy" if len(names) == 1 else f"{stem}.{name}.npy") for name in names}
        self.mark = Path(f"{stem}.progress")
        self.key = hashlib.sha256(fingerprint + str(blocks).encode()).digest()
        self.flags = np.zeros(blocks, dtype=np.uint8)
        if self.mark.exists():
            found = self.mark.read_bytes()
            if found[: len(self.key)] != self.key or len(found) != len(self.key) + blocks:
                raise BadParameter(
                    f"{self.mark} belongs to another kernel or other data",
                    remedy="another file name, or remove the files",
                )
            if all(p.exists() for p in self.paths.values()):
                self.flags = np.frombuffer(found[len(self.key) :], dtype=np.uint8).copy()
                self.arrays = {name: np.load(p, mmap_mode="r+") for name, p in self.paths.items()}
        elif any(p.exists() for p in self.paths.values()):
            raise BadParameter(
                f"{', '.join(map(str, self.paths.values()))} exists", remedy="another file name, or remove the file"
            )

    def done(self, number: int) -> bool:
        return bool(self.flags[number])

    def put(self, number: int, name: str, shape: tuple[int, ...], rows: slice, cols: slice, value: np.ndarray) -> None:
        if name not in self.arrays:
            self.arrays[name] = np.lib.format.open_memmap(self.paths[name], mode="w+", dtype=np.float64, shape=shape)
        self.arrays[name][..., rows, cols] = value

    def finish(self, number: int) -> None:
        for array in self.arrays.values():
            flush: Any = getattr(array, "flush", None)
            if flush is not None:
                flush()
        self.flags[number] = 1
        new = self.mark.with_suffix(".progress.new")
        new.write_bytes(self.key + self.flags.tobytes())
        os.replace(new, self.mark)  # a reader sees the old list or the new one
