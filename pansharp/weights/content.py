"""The bytes of a weights file: header, digest, and what a file is that is none."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from safetensors import SafetensorError, deserialize

from pansharp.errors import WeightsError
from pansharp.weights.card import WeightsCard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = [
    "ENTRY",
    "LAYOUT",
    "Content",
    "Header",
    "digest_of",
    "one_line",
    "opened",
    "read_header",
    "read_tensors",
    "split",
    "stamp",
]

#: Version of what is written; a file with a higher one is refused.
LAYOUT = 1
#: The one entry of the metadata.
ENTRY = "pansharp"

#: Bytes before the header: its length.
_LENGTH = 8
#: Longest header that safetensors itself reads.
_LONGEST = 100_000_000
_IMPORT = "import it: pansharp weights import FILE -m NETWORK -o OUT.safetensors"
#: First bytes of files that are mistaken for weights, and what to say of them.
_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", f"is a PyTorch checkpoint or another zip archive; {_IMPORT}"),
    (b"\x80\x02", f"is a pickle, such as an old PyTorch checkpoint; {_IMPORT}"),
    (b"\x80\x03", f"is a pickle; {_IMPORT}"),
    (b"\x80\x04", f"is a pickle; {_IMPORT}"),
    (b"\x80\x05", f"is a pickle; {_IMPORT}"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file; weights must be safetensors"),
    (b"II*\x00", "is a TIFF image; give a weights file"),
    (b"MM\x00*", "is a TIFF image; give a weights file"),
    (b"II+\x00", "is a TIFF image; give a weights file"),
    (b"version https://git-lfs", "is a pointer of Git LFS; run 'git lfs pull' for the file itself"),
)
#: Endings of checkpoints whose first bytes tell nothing.
_CHECKPOINTS = (".pt", ".pth", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True)
class Header:
    """What stands before the tensors.

    Parameters
    ----------
    raw : bytes
        Length and header as they are in the file.
    size : int
        Bytes of the file.
    card : WeightsCard
        With the digest that the file states.
    text : str
        The card as it goes into the digest.
    """

    raw: bytes
    size: int
    card: WeightsCard
    text: str


@dataclass(frozen=True)
class Content:
    """A whole file, checked.

    Parameters
    ----------
    card : WeightsCard
        With its digest.
    blob : bytes
        All of it.
    shapes : dict of str to (str, tuple of int)
        Data type, as safetensors calls it, and shape of each tensor.
    """

    card: WeightsCard
    blob: bytes
    shapes: dict[str, tuple[str, tuple[int, ...]]]


def _compact(document: object, *, ascii_only: bool = True) -> str:
    return json.dumps(document, ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"))


def _card_text(card: WeightsCard) -> str:
    return json.dumps(
        card.to_dict(), ensure_ascii=True, allow_nan=False, separators=(",", ":"), sort_keys=True
    )


def one_line(problem: Exception) -> str:
    """The text of another library's error, short and on one line."""
    text = " ".join(str(problem).split())
    return text if len(text) <= 160 else f"{text[:157]}..."


def split(blob: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Name, and ``dtype``, ``shape``, ``data`` of each tensor of a safetensors file."""
    return list(deserialize(blob))  # type: ignore[no-untyped-call]


def digest_of(text: str, raw: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """SHA-256 over the card and over name, data type, shape and bytes of each tensor."""
    total = hashlib.sha256(f"pansharp weights {LAYOUT}\n{len(text)}\n{text}\n".encode())
    for name, tensor in sorted(raw, key=lambda pair: pair[0]):
        facts = [name, tensor["dtype"], list(tensor["shape"]), len(tensor["data"])]
        # Lengths stand before the bytes, so that nothing can move from one tensor to the next.
        total.update(_compact(facts).encode() + b"\n")
        total.update(tensor["data"])
    return total.hexdigest()


def stamp(card: WeightsCard, raw: Iterable[tuple[str, dict[str, Any]]]) -> tuple[str, str]:
    """Digest of a file to be written, and the entry of its metadata."""
    text = _card_text(card)
    digest = digest_of(text, raw)
    # The card goes in as it was digested: its keys are sorted.
    entry = {"layout": LAYOUT, "digest": digest, "card": json.loads(text)}
    return digest, _compact(entry)


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The file and its size.

    Raises
    ------
    WeightsError
        There is no such file, it is a folder, or it cannot be read.
    """
    try:
        if path.is_dir():
            raise WeightsError(f"{path} is a folder; give a weights file")
        if not path.is_file():
            raise WeightsError(
                f"{path}: no such weights file; 'pansharp weights list' shows those that are known"
            )
        with path.open("rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except OSError as problem:
        raise WeightsError(f"{path}: cannot be read: {problem.strerror or problem}") from problem


def read_header(path: Path, file: BinaryIO, size: int) -> Header:
    """Read and check what stands before the tensors.

    Raises
    ------
    WeightsError
        The file is no weights file, is truncated or changed, or of a layout that is not known.
    """
    start = file.read(32)
    length = int.from_bytes(start[:_LENGTH], "little")
    if not size:
        raise WeightsError(f"{path} is empty; get the file anew")
    for magic, text in _KINDS:
        if start.startswith(magic):
            raise WeightsError(f"{path} {text}")
    if path.suffix.lower() in _CHECKPOINTS:
        raise WeightsError(
            f"{path} is no weights file of pansharp; if it is a checkpoint, {_IMPORT}"
        )
    if not 2 <= length <= _LONGEST or start[_LENGTH : _LENGTH + 1] != b"{":
        raise WeightsError(
            f"{path} is not safetensors, or is damaged; get the file anew, or give another one"
        )
    if size < _LENGTH + length:
        raise _truncated(path, size, f"its header alone has {_LENGTH + length}")
    file.seek(0)
    raw = file.read(_LENGTH + length)
    try:
        text = raw[_LENGTH:].decode("utf-8").rstrip(" ")
        header = json.loads(text)
        # What JSON does not tell apart, such as white space or keys that come twice, was not
        # written by safetensors.
        if _compact(header, ascii_only=False) != text:
            raise ValueError
    except (ValueError, RecursionError):
        raise _damaged(path, "its header") from None
    card, text = _read_entry(path, header)
    _check_size(path, header, size, _LENGTH + length)
    return Header(raw, size, card, text)


def _read_entry(path: Path, header: dict[str, Any]) -> tuple[WeightsCard, str]:
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or ENTRY not in metadata:
        raise WeightsError(
            f"{path} is safetensors, but has no card of pansharp, so nothing tells what it is for; "
            f"{_IMPORT}"
        )
    try:
        if len(metadata) != 1:
            raise ValueError
        entry = metadata[ENTRY]
        found = json.loads(entry)
        layout = found["layout"]
        if layout == LAYOUT:
            digest, content = found["digest"], found["card"]
            if set(found) != {"layout", "digest", "card"} or _compact(found) != entry:
                raise ValueError
            if not isinstance(digest, str) or not isinstance(content, dict):
                raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _damaged(path, "its card") from None
    if layout != LAYOUT:
        raise WeightsError(
            f"{path} has a card of layout {layout!r}, this pansharp reads {LAYOUT}; it was written "
            "by another version: update pansharp, or save the weights again"
        )
    try:
        card = WeightsCard.from_dict(content, digest=digest)
    except WeightsError as problem:
        raise WeightsError(f"{path}: {problem}") from None
    except TypeError:
        raise _damaged(path, "its card") from None
    return card, _compact(content)


def _check_size(path: Path, header: dict[str, Any], size: int, start: int) -> None:
    ends = [0]
    try:
        ends += [int(v["data_offsets"][1]) for k, v in header.items() if k != "__metadata__"]
    except (ValueError, TypeError, KeyError, IndexError, OverflowError):
        raise _damaged(path, "its header") from None
    whole = start + max(ends)
    if size < whole:
        raise _truncated(path, size, f"there should be {whole}")
    if size > whole:
        raise WeightsError(
            f"{path} has {size} bytes, {size - whole} more than its header says; get the file anew"
        )


def read_tensors(path: Path, header: Header, file: BinaryIO) -> Content:
    """Read the tensors behind a header and check the digest.

    Raises
    ------
    WeightsError
        The file is truncated or changed.
    """
    file.seek(0)
    blob = file.read()
    if len(blob) != header.size or not blob.startswith(header.raw):
        raise WeightsError(f"{path} changed while it was read; try again")
    try:
        raw = split(blob)
    except SafetensorError:
        raise _damaged(path, "its header") from None
    if digest_of(header.text, raw) != header.card.digest:
        raise WeightsError(
            f"{path} is not what was saved: its digest is not {header.card.digest[:12]}...; the "
            "file was changed or damaged, get it anew"
        )
    shapes = {name: (tensor["dtype"], tuple(tensor["shape"])) for name, tensor in sorted(raw)}
    return Content(header.card, blob, shapes)


def _truncated(path: Path, size: int, wanted: str) -> WeightsError:
    return WeightsError(f"{path} is truncated: {size} bytes, {wanted}; get the file anew")


def _damaged(path: Path, what: str) -> WeightsError:
    return WeightsError(f"{path} is damaged: {what} is not what was written; get the file anew")
