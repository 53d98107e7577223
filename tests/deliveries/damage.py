"""Random damage to sidecars: what copying, editing and bad disks do to text files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

#: Values that nobody expects in a field.
ABSURD = (
    *("1e308", "-1e308", "1e999", "-1", "0", "NaN", "inf", "", "NULL", "99999999999999999999"),
    *("2147483648", "-2147483649", "1e-320", "text", '"', "(", ")", "(1, 2", "; ;", "\x00", "é"),
    *("../../etc/passwd", "0x10", "1,5", "1_0", "9" * 400, "2019-99-99T99:99:99Z", "<a>", "&lt;"),
)


def damaged(original: bytes) -> st.SearchStrategy[bytes]:
    """The file after one to four mishaps."""
    size, lines = len(original), original.count(b"\n") + 1
    mishaps: st.SearchStrategy[Callable[[bytes], bytes]] = st.one_of(
        st.builds(_flip, st.integers(0, size), st.integers(0, 7)),
        st.builds(_cut, st.integers(0, size)),
        st.builds(_drop, st.integers(0, size), st.integers(1, 200)),
        st.builds(_line, st.integers(0, lines), st.sampled_from(("delete", "twice", "swap"))),
        st.builds(_number, st.integers(0, 400), st.sampled_from(ABSURD)),
        st.builds(_insert, st.integers(0, size), st.binary(max_size=40)),
        st.builds(_encode, st.sampled_from(("utf-16", "utf-16-le", "gbk", "utf-8-sig", "cp037"))),
    )

    def apply(steps: list[Callable[[bytes], bytes]]) -> bytes:
        data = original
        for step in steps:
            data = step(data)
        return data

    return st.lists(mishaps, min_size=1, max_size=4).map(apply)


def _flip(place: int, bit: int) -> Callable[[bytes], bytes]:
    def step(data: bytes) -> bytes:
        if not data:
            return data
        at = place % len(data)
        return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]

    return step


def _cut(place: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:place]


def _drop(place: int, count: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + data[place + count :]


def _insert(place: int, piece: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + piece + data[place:]


def _line(place: int, what: str) -> Callable[[bytes], bytes]:
    def step(data: bytes) -> bytes:
        rows = data.split(b"\n")
        at = place % len(rows)
        if what == "delete":
            del rows[at]
        elif what == "twice":
            rows.insert(at, rows[at])
        else:
            rows[at], rows[-1 - at] = rows[-1 - at], rows[at]
        return b"\n".join(rows)

    return step


def _number(place: int, value: str) -> Callable[[bytes], bytes]:
    def step(data: bytes) -> bytes:
        found = list(re.finditer(rb"-?\d[\d.eE+-]*", data))
        if not found:
            return data
        match = found[place % len(found)]
        return data[: match.start()] + value.encode() + data[match.end() :]

    return step


def _encode(name: str) -> Callable[[bytes], bytes]:
    return lambda data: data.decode("latin-1").encode(name, errors="replace")
