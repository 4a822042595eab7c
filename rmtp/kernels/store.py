"""Where kernel matrices go, block by block: memory, or .npy files that an interrupted run takes up again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadParameter
from ..files import replace_file


class Memory:
    """Blocks in arrays."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.error = 0.0

    def done(self, number: int) -> bool:
        """Whether a block is there already."""
        return False

    def put(self, number: int, name: str, shape: tuple[int, ...], rows: slice, cols: slice, value: np.ndarray) -> None:
        """One block of one kernel."""
        if name not in self.arrays:
            self.arrays[name] = np.empty(shape)
        self.arrays[name][..., rows, cols] = value

    def finish(self, number: int, error: float) -> None:
        """All kernels of a block are put, with this error."""
        self.error = max(self.error, error)


class Files(Memory):
    """Blocks in memory-mapped .npy files, with a file beside them of the errors of those that are finished.

    Parameters
    ----------
    path : str or Path
        ``k.npy`` for one kernel; with several, ``k.nngp.npy`` and so on.
    names : sequence of str
    blocks : int
    fingerprint : bytes
        Of data and network: files of another run are refused, not mixed.
    points : (int, int)
        Rows and columns of the kernel.

    Raises
    ------
    BadParameter
        If the files there belong to another computation.
    """

    def __init__(
        self, path: str | Path, names: Sequence[str], blocks: int, fingerprint: bytes, points: tuple[int, int]
    ) -> None:
        super().__init__()
        if not isinstance(path, str | os.PathLike):
            raise BadParameter(f"out={path!r}", remedy='the name of a file, as in "k.npy"')
        base = Path(path)
        stem = base.with_suffix("") if base.suffix == ".npy" else base
        self.paths = {name: Path(f"{stem}.npy" if len(names) == 1 else f"{stem}.{name}.npy") for name in names}
        self.mark = Path(f"{stem}.progress")
        if not base.parent.is_dir():
            raise BadParameter(f"out={str(path)!r}: there is no folder {base.parent}", remedy="make the folder first")
        self.key = hashlib.sha256(fingerprint + str(blocks).encode()).digest()
        self.errors = np.full(blocks, np.inf)  # of blocks that are not finished
        if self.mark.exists():
            found = self.mark.read_bytes()
            if found[: len(self.key)] != self.key or len(found) != len(self.key) + self.errors.nbytes:
                raise BadParameter(
                    f"{self.mark} belongs to another kernel or other data",
                    remedy="another file name, or remove the files",
                )
            if all(p.exists() for p in self.paths.values()):
                self.errors = np.frombuffer(found[len(self.key) :]).copy()
                self.error = float(np.max(self.errors, initial=0.0, where=np.isfinite(self.errors)))
                self.arrays = {name: _opened(p, points) for name, p in self.paths.items()}
        elif any(p.exists() for p in self.paths.values()):
            raise BadParameter(
                f"{', '.join(map(str, self.paths.values()))} exists", remedy="another file name, or remove the file"
            )

    def done(self, number: int) -> bool:
        return bool(np.isfinite(self.errors[number]))

    def put(self, number: int, name: str, shape: tuple[int, ...], rows: slice, cols: slice, value: np.ndarray) -> None:
        if name not in self.arrays:
            self.arrays[name] = np.lib.format.open_memmap(self.paths[name], mode="w+", dtype=np.float64, shape=shape)
        self.arrays[name][..., rows, cols] = value

    def finish(self, number: int, error: float) -> None:
        super().finish(number, error)
        for array in self.arrays.values():
            flush: Any = getattr(array, "flush", None)
            if flush is not None:
                flush()
        self.errors[number] = error
        replace_file(self.mark, self.key + self.errors.tobytes())


def _opened(path: Path, points: tuple[int, int]) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r+")
        if array.dtype != np.float64 or array.shape[-2:] != points:
            raise ValueError(f"it holds {array.dtype} of shape {array.shape}")
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        raise BadParameter(
            f"{path} is damaged: {error}", remedy="remove it and the .progress file beside it, or another file name"
        ) from None
    return array
