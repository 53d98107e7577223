"""Archives of folders."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

_MODES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def pack(folder: Path, archive: Path, *, inside: str = ".") -> Path:
    """Write a folder's content to a tar (any compression) or zip, below `inside`."""
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
            for file in sorted(folder.rglob("*")):
                target.write(file, Path(inside) / file.relative_to(folder))
        return archive
    mode = next(mode for suffix, mode in _MODES.items() if archive.name.endswith(suffix))
    with tarfile.open(archive, mode) as target:  # type: ignore[call-overload]
        target.add(folder, arcname=inside)
    return archive
