"""Files that are whole or not there: what resumable computations share."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a run after a crash, sees the old content or the new, never a part.

    Parameters
    ----------
    path : Path
    content : bytes
    """
    new = path.with_name(f"{path.name}.{os.getpid()}.new")  # two runs do not write into one
    with open(new, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
