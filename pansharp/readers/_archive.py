"""Archives: listed without unpacking, and unpacked once into a scratch folder."""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from pansharp.errors import ReaderError
from pansharp.scratch import Scratch, free_bytes, scratch_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ARCHIVE_SUFFIXES", "Member", "archive_stem", "is_archive", "list_members", "unpack"]

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")
#: Members that no delivery has.
_MOST_MEMBERS = 20_000
#: Images shrink to a tenth, empty ones to a hundredth; bombs to less than a thousandth.
_BOMB_RATIO = 400
_BOMB_BYTES = 2**30
_PIECE = 4 * 2**20
#: Bytes that must stay free on the disk.
_SPARE = 256 * 2**20
_DAMAGES = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError)


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Parameters
    ----------
    name : str
        Path inside the archive, with ``/``; never absolute, never upwards.
    size : int
        Bytes when unpacked.
    """

    name: str
    size: int


def archive_stem(path: str | Path) -> str | None:
    """Name of an archive without its ending; None for names that are no archive's."""
    name = Path(path).name
    for suffix in sorted(ARCHIVE_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return None


def is_archive(path: str | Path) -> bool:
    """Whether a file has the name and the first bytes of an archive."""
    return archive_stem(path) is not None and os.path.isfile(path) and _kind(path) is not None


def _kind(path: str | Path) -> str | None:
    """``"zip"``, ``"tar"``, ``"packed"`` (a compressed tar), or None."""
    try:
        with open(path, "rb") as file:
            head = file.read(262)
    except OSError:
        return None
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head[257:262] == b"ustar":
        return "tar"
    return "packed" if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")) else None


def list_members(path: str | Path) -> list[Member]:
    """Files of an archive; nothing is unpacked (a compressed tar is read through once).

    Parameters
    ----------
    path : path
        Tar (plain, gzip, bzip2, xz) or zip.

    Returns
    -------
    list of Member
        In the order of the archive; folders are left out.

    Raises
    ------
    ReaderError
        The archive is damaged, holds names or links that lead out of it, is encrypted, or would
        unpack to far more than its size.
    """
    with _reading(path):
        return [member for member, _ in _members(str(path))]


def unpack(path: str | Path, wanted: Callable[[str], bool] | None = None) -> Scratch:
    """Unpack an archive into a new scratch folder.

    Parameters
    ----------
    path : path
        Archive.
    wanted : function, optional
        Tells by a member's name whether to unpack it; default all.

    Returns
    -------
    Scratch
        The folder lives as long as this object, or as a source of a file in it.

    Raises
    ------
    ReaderError
        As :func:`list_members`; or the disk has no room.
    """

    def chosen(member: Member) -> bool:
        return wanted is None or wanted(member.name)

    if _kind(path) != "packed":  # sizes are known without reading the archive through
        needed = sum(member.size for member in list_members(path) if chosen(member))
        _check_room(needed, f"'{path}'")
    scratch = Scratch()
    try:
        with _reading(path):
            for member, opened in _members(str(path)):
                if chosen(member):
                    _write(opened(), scratch.folder / member.name, member, str(path))
    except BaseException:
        scratch.close()
        raise
    return scratch


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    """Say in one line what is wrong with an archive."""
    try:
        yield
    except ReaderError:
        raise
    except (*_DAMAGES, RuntimeError, NotImplementedError, MemoryError) as problem:
        if isinstance(problem, FileNotFoundError):
            raise ReaderError(f"'{path}' does not exist; check the path") from problem
        why = " ".join(str(problem).split()) or type(problem).__name__
        raise ReaderError(
            f"the archive '{path}' is damaged or incomplete ({why}); copy or download it again"
        ) from problem


def _members(path: str) -> Iterator[tuple[Member, Callable[[], IO[bytes]]]]:
    """Files of an archive, each with a function that opens it while it is the current one."""
    packed = os.path.getsize(path)
    total = 0
    seen: set[str] = set()
    entries = _zip(path) if _kind(path) == "zip" else _tar(path)
    for count, (name, size, opened) in enumerate(entries, start=1):
        total += size
        if count > _MOST_MEMBERS:
            raise ReaderError(f"the archive '{path}' holds more than {_MOST_MEMBERS} files")
        if total > max(_BOMB_BYTES, _BOMB_RATIO * packed):
            raise ReaderError(
                f"the archive '{path}' of {packed} bytes would unpack to more than {total} bytes; "
                "it is no delivery"
            )
        member = Member(_checked_name(name, path), size)
        if member.name.lower() in seen:
            raise ReaderError(f"the archive '{path}' holds '{member.name}' twice")
        seen.add(member.name.lower())
        yield member, opened


def _tar(path: str) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    # A compressed one is read in one pass: members are opened on the way, never sought.
    with tarfile.open(path, "r:" if _kind(path) == "tar" else "r|*") as tar:
        for info in tar:
            if info.isdir():
                _checked_name(info.name, path)
                continue
            if info.issym() or info.islnk():
                raise ReaderError(
                    f"the archive '{path}' holds the link '{info.name}' to '{info.linkname}'; "
                    "links are not followed, unpack it yourself and name the folder"
                )
            if not info.isreg():
                raise ReaderError(f"'{info.name}' in the archive '{path}' is no plain file")
            if info.size < 0:
                raise ReaderError(f"'{info.name}' in the archive '{path}' has a negative size")
            yield info.name, info.size, partial(_tar_file, tar, info, path)


def _tar_file(tar: tarfile.TarFile, info: tarfile.TarInfo, path: str) -> IO[bytes]:
    file = tar.extractfile(info)
    if file is None:
        raise ReaderError(f"'{info.name}' in the archive '{path}' cannot be read")
    return file


def _zip(path: str) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                _checked_name(info.filename, path)
                continue
            if info.flag_bits & 1:
                raise ReaderError(f"the archive '{path}' is encrypted; unpack it yourself")
            if (info.external_attr >> 16) & 0o170000 == 0o120000:
                raise ReaderError(
                    f"the archive '{path}' holds the link '{info.filename}'; links are not "
                    "followed, unpack it yourself and name the folder"
                )
            yield info.filename, info.file_size, partial(archive.open, info)


def _checked_name(name: str, path: str) -> str:
    """A member's name without ``./``; names that lead out of the archive are refused."""
    plain = name.replace("\\", "/")
    parts = [part for part in PurePosixPath(plain).parts if part != "."]
    wrong = plain.startswith("/") or ".." in parts or len(parts) > 32
    wrong = wrong or any(":" in part or len(os.fsencode(part)) > 255 for part in parts)
    if wrong or any(ord(char) < 32 for char in plain):
        shown = "".join(char if char.isprintable() else "?" for char in name)[:80]
        raise ReaderError(f"the archive '{path}' holds the name '{shown}', which leads out of it")
    return "/".join(parts)


def _check_room(size: int, what: str) -> None:
    root = scratch_root()
    room = free_bytes(root) - _SPARE
    if size > room:
        raise ReaderError(
            f"no room to unpack {what}: it needs {size / 2**30:.2f} GiB, "
            f"{max(0, room) / 2**30:.2f} GiB are free in '{root}'; free some, or name another "
            "folder with the environment variable PANSHARP_SCRATCH"
        )


def _write(file: IO[bytes], target: Path, member: Member, path: str) -> None:
    what = f"'{member.name}' of '{path}'"
    _check_room(member.size, what)
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with file, target.open("xb") as out:
        while piece := file.read(min(_PIECE, left + 1)):
            left -= len(piece)
            if left < 0:
                break
            try:
                out.write(piece)
            except OSError as problem:
                raise ReaderError(
                    f"{what} cannot be unpacked: {problem.strerror} in '{scratch_root()}'; name "
                    "another folder with the environment variable PANSHARP_SCRATCH"
                ) from problem
    if left:
        raise ReaderError(
            f"{what} is not as long as its header says; copy or download the archive again"
        )
