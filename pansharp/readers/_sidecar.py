"""Sidecar files: text and XML of unknown origin, and fields that may hold anything."""

from __future__ import annotations

import codecs
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import MissingSidecarError, ReaderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import tzinfo
    from xml.etree.ElementTree import Element

__all__ = ["Fields", "beside", "clean", "local_name", "printable", "read_text", "read_xml", "walk"]

#: Bytes that no sidecar has: the largest ones seen (ISD of long strips) stay below 4 MiB.
_LIMIT = 32 * 2**20
#: Elements inside one another that no sidecar has.
_DEEPEST = 64
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")


def read_text(path: str | Path, *, limit: int = _LIMIT) -> str:
    """Text of a sidecar, whatever its encoding.

    A byte order mark tells the encoding, then zero bytes in every other place (UTF-16), then the
    declaration of an XML; else UTF-8, GB 18030 (with GBK inside it, which Chinese products use
    without telling), Latin-1.

    Parameters
    ----------
    path : path
        File.
    limit : int
        Largest size that is read, bytes.

    Returns
    -------
    str
        Text.

    Raises
    ------
    MissingSidecarError
        There is no such file.
    ReaderError
        It cannot be read, is empty, too large, or holds bytes that are no text.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError as problem:
        raise MissingSidecarError(f"'{path}' does not exist; put it beside its image") from problem
    except OSError as problem:
        raise ReaderError(f"'{path}' cannot be read: {problem.strerror}") from problem
    if len(data) > limit:
        raise ReaderError(f"'{path}' is larger than {limit} bytes: it is no sidecar of an image")
    if not data.strip(b" \t\r\n\0"):
        raise ReaderError(f"'{path}' is empty; copy or download it again")
    text = _decoded(data)
    if "\0" in text:
        raise ReaderError(f"'{path}' is not text (it holds zero bytes); copy it again")
    return text


def _decoded(data: bytes) -> str:
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, errors="replace")
    for name, zeros in (("utf-16-le", data[1:64:2]), ("utf-16-be", data[0:64:2])):
        if zeros and not any(zeros):
            return data.decode(name, errors="replace")
    declared = _DECLARED.match(data[:400])
    names = ["utf-8", "gb18030"]
    if declared:
        names.insert(0, declared.group(1).decode("ascii"))
    for name in names:
        try:
            return data.decode(name)
        except (UnicodeError, LookupError, ValueError):
            continue
    return data.decode("latin-1")


def read_xml(path: str | Path, *, limit: int = _LIMIT) -> Element:
    """Root of an XML sidecar; entities and external references are refused.

    Parameters
    ----------
    path : path
        File.
    limit : int
        Largest size that is read, bytes.

    Returns
    -------
    xml.etree.ElementTree.Element
        Root.

    Raises
    ------
    MissingSidecarError
        There is no such file.
    ReaderError
        It is no XML, is damaged, or holds what no sidecar needs.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    text = read_text(path, limit=limit).lstrip()
    if not text.startswith("<"):
        raise ReaderError(f"'{path}' is not XML; copy or download it again")
    try:
        root: Element = fromstring(text)
    except ParseError as problem:
        raise ReaderError(
            f"'{path}' is damaged XML ({problem.msg}); copy or download it again"
        ) from problem
    except DefusedXmlException as problem:
        raise ReaderError(
            f"'{path}' defines XML entities, which no sidecar needs and attacks use; it is not read"
        ) from problem
    except (ValueError, LookupError) as problem:
        raise ReaderError(f"'{path}' is no XML that can be read ({problem})") from problem
    _check_depth(root, path)
    return root


def _check_depth(root: Element, path: str | Path) -> None:
    level = [root]
    for _ in range(_DEEPEST):
        level = [child for parent in level for child in parent]
        if not level:
            return
    raise ReaderError(f"'{path}' has more than {_DEEPEST} levels of XML: it is no sidecar")


def local_name(element: Element) -> str:
    """Tag without its namespace."""
    return str(element.tag).rpartition("}")[2]


def walk(root: Element, *names: str) -> Iterable[Element]:
    """Elements of those names (case and namespace do not matter) anywhere below, in order."""
    wanted = {name.lower() for name in names}
    return (element for element in root.iter() if local_name(element).lower() in wanted)


def clean(text: str | None) -> str:
    """A value without surrounding white space and quotes."""
    return (text or "").strip().strip("\"'").strip()


def beside(path: str | Path, *suffixes: str, stem: str | None = None) -> Path | None:
    """Sidecar of a file: same stem, one of the suffixes, whatever the case.

    Parameters
    ----------
    path : path
        The image.
    *suffixes : str
        Endings with their dot, the preferred one first.
    stem : str, optional
        Another stem.

    Returns
    -------
    Path or None
        None when there is none.
    """
    image = Path(path)
    name = (stem if stem is not None else image.stem).lower()
    try:
        there = {file.name.lower(): file for file in image.parent.iterdir()}
    except OSError:
        return None
    found = (there.get(name + suffix.lower()) for suffix in suffixes)
    return next((file for file in found if file is not None and file.is_file()), None)


@dataclass(frozen=True)
class Fields:
    """Fields of one sidecar by name; case does not matter.

    Parameters
    ----------
    path : str
        File, for messages.
    values : mapping of str to str
        Texts by name; names in lower case.
    """

    path: str
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, path: str | Path, values: Mapping[str, str]) -> Fields:
        """Fields with names in any case; of names that differ in case alone the first counts."""
        lower: dict[str, str] = {}
        for key, value in values.items():
            lower.setdefault(key.lower(), value)
        return cls(str(path), lower)

    @classmethod
    def of_xml(cls, path: str | Path, root: Element) -> Fields:
        """Texts of all leaves of a tree by local name; of several with one name the first."""
        leaves: dict[str, str] = {}
        for element in root.iter():
            if len(element) == 0:
                leaves.setdefault(local_name(element).lower(), clean(element.text))
        return cls(str(path), leaves)

    def text(self, *names: str) -> str | None:
        """The first of these fields that is there and not blank, without quotes, on one line.

        What cannot be printed becomes a question mark: these texts end up in messages.
        """
        found = (clean(self.values.get(name.lower())) for name in names)
        text = next((text for text in found if text), None)
        return None if text is None else printable(text)

    def number(
        self,
        *names: str,
        low: float = -math.inf,
        high: float = math.inf,
        unknown: tuple[float, ...] = (),
        needed: bool = False,
    ) -> float | None:
        """A number in a range.

        Parameters
        ----------
        *names : str
            Names of the field, the preferred one first.
        low, high : float
            Limits, inclusive.
        unknown : tuple of float
            Numbers that stand for "unknown".
        needed : bool
            Whether its absence is an error.

        Returns
        -------
        float or None
            None when the field is absent, blank, ``NULL`` or unknown.

        Raises
        ------
        ReaderError
            The text is no number, or lies outside the limits.
        MissingSidecarError
            The field is needed and absent.
        """
        text = self.text(*names)
        if text is None or text.lower() in ("null", "none", "n/a", "nan", "unknown"):
            self._absent(names, needed)
            return None
        value = _float(text)
        if value is None:
            raise ReaderError(
                f"'{self.path}': {names[0]} is '{_short(text)}', not a number; "
                "the file is damaged, copy or download it again"
            )
        if value in unknown:
            self._absent(names, needed)
            return None
        if not low <= value <= high:
            raise ReaderError(
                f"'{self.path}': {names[0]} is {value:g}, outside {low:g} to {high:g}; "
                "the file is damaged or belongs to something else"
            )
        return value

    def whole(
        self, *names: str, low: int = 0, high: int = 2**31 - 1, needed: bool = False
    ) -> int | None:
        """A whole number in a range (see :meth:`number`)."""
        value = self.number(*names, low=low, high=high, needed=needed)
        if value is None:
            return None
        if not value.is_integer():
            raise ReaderError(f"'{self.path}': {names[0]} is {value:g}, not a whole number")
        return int(value)

    def numbers(self, *names: str, count: int, needed: bool = False) -> tuple[float, ...] | None:
        """A list of numbers, separated by commas or blanks, in parentheses or not.

        Raises
        ------
        ReaderError
            Other than `count` numbers, or no numbers.
        MissingSidecarError
            The field is needed and absent.
        """
        text = self.text(*names)
        if text is None:
            self._absent(names, needed)
            return None
        parts = text.replace("(", " ").replace(")", " ").replace(",", " ").split()
        values = [_float(part) for part in parts]
        if len(values) != count or any(value is None for value in values):
            raise ReaderError(
                f"'{self.path}': {names[0]} must be {count} numbers, it is '{_short(text)}'; "
                "the file is damaged, copy or download it again"
            )
        return tuple(value for value in values if value is not None)

    def time(self, *names: str, zone: tzinfo | None = UTC) -> datetime | None:
        """A time in ISO 8601; without a zone of its own it is taken to be in `zone`.

        Returns
        -------
        datetime or None
            In UTC (in no zone where `zone` is None); None when the field is absent, blank, or no
            time: a date is never worth a refusal.
        """
        text = self.text(*names)
        match = re.fullmatch(
            r"(\d{4}-\d{2}-\d{2})[T ]?(\d{2}:\d{2}:\d{2})?(?:\.(\d{1,9})\d*)?(Z|[+-]\d{2}:?\d{2})?",
            text or "",
            re.ASCII,
        )
        if match is None:
            return None
        day, clock, fraction, offset = match.groups()
        try:
            found = datetime.fromisoformat(
                f"{day}T{clock or '00:00:00'}.{(fraction or '0')[:6]:0<6}"
                f"{(offset or '').replace('Z', '+00:00')}"
            )
            if found.tzinfo is None:
                if zone is None:
                    return found
                found = found.replace(tzinfo=zone)
            return found.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    def _absent(self, names: tuple[str, ...], needed: bool) -> None:
        if needed:
            raise MissingSidecarError(
                f"'{self.path}' has no {names[0]}; the file is incomplete, copy or download it "
                "again"
            )


def _float(text: str) -> float | None:
    """A finite number, or None; underscores and words such as ``inf`` are no numbers here."""
    if len(text) > 60 or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?", text, re.A):
        return None
    value = float(text.replace("d", "e").replace("D", "e"))
    return value if math.isfinite(value) else None


def printable(text: str) -> str:
    """The text on one line; what cannot be printed becomes a question mark."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(c if c.isprintable() else "?" for c in line)


def _short(text: str, limit: int = 40) -> str:
    """A value for a message: one line, printable, not long."""
    line = printable(text)
    return line if len(line) <= limit else line[:limit] + "..."
