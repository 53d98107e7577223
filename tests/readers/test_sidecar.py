from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from pansharp.errors import MissingSidecarError, PansharpError, ReaderError
from pansharp.readers._sidecar import Fields, beside, clean, read_text, read_xml, walk

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (
    '<?xml version="1.0" encoding="{0}"?><ProductMetaData><卫星>高分二号</卫星></ProductMetaData>'
)


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "utf-8"),
        ("gbk", "GBK"),
        ("gbk", "gb2312"),
        ("gbk", "UTF-8"),  # Chinese producers declare one and write the other
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-8", "no-such-encoding"),
    ],
)
def test_every_encoding_is_read(tmp_path: Path, encoding: str, declared: str) -> None:
    file = tmp_path / "a.xml"
    file.write_bytes(TEXT.format(declared).encode(encoding))
    root = read_xml(file)
    assert [element.text for element in walk(root, "卫星")] == ["高分二号"]


def test_latin_text_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("50° é".encode("latin-1") + b"\xff")
    assert read_text(file).startswith("50")


BOMB = (
    '<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;"><!ENTITY n "&m;&m;&m;&m;">]><a>&n;</a>'
)
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


@pytest.mark.parametrize(
    ("content", "kind", "finding"),
    [
        (b"", ReaderError, "is empty"),
        (b" \n\0\0", ReaderError, "is empty"),
        (b"<a>\0</a>" * 9, ReaderError, "not text"),
        (b"version = 1;", ReaderError, "is not XML"),
        (b"<a><b></a>", ReaderError, "damaged XML"),
        (b"<a><b>", ReaderError, "damaged XML"),
        (BOMB.encode(), ReaderError, "entities"),
        (OUTSIDE.encode(), ReaderError, "entities"),
        (b"<a>" * 100 + b"</a>" * 100, ReaderError, "levels of XML"),
        (b"<a>" * 100_000 + b"</a>" * 100_000, ReaderError, "levels of XML"),
    ],
)
def test_bad_xml_is_one_line(
    tmp_path: Path, content: bytes, kind: type[PansharpError], finding: str
) -> None:
    file = tmp_path / "a.xml"
    file.write_bytes(content)
    with pytest.raises(kind, match=finding) as caught:
        read_xml(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_large_files(tmp_path: Path) -> None:
    with pytest.raises(MissingSidecarError, match="does not exist"):
        read_text(tmp_path / "none.imd")
    with pytest.raises(ReaderError, match="cannot be read"):
        read_text(tmp_path)
    (tmp_path / "big.imd").write_bytes(b"a" * 11)
    with pytest.raises(ReaderError, match="larger than 10 bytes"):
        read_text(tmp_path / "big.imd", limit=10)


def test_fields_of_xml_ignore_case_and_namespaces(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    file.write_text('<p:A xmlns:p="u"><p:SatelliteID> GF2 </p:SatelliteID><Gain>NULL</Gain></p:A>')
    fields = Fields.of_xml(file, read_xml(file))
    assert fields.text("satelliteid") == "GF2"
    assert fields.text("none", "SATELLITEID") == "GF2"
    assert fields.number("gain") is None


def test_numbers() -> None:
    fields = Fields.of(
        "a.imd",
        {
            "A": '"1.5"', "b": "1e400", "c": "1_000", "d": "-999", "e": "(1, 2\n 3)", "f": "1.0D-3",
            "g": "", "h": "x" * 300, "i": "7.5", "j": "inf", "k": "٣",
        },
    )  # fmt: skip
    assert fields.number("a", low=0, high=2) == 1.5
    assert fields.number("f") == 0.001
    assert fields.number("d", unknown=(-999.0,)) is None
    assert fields.number("g") is None
    assert fields.numbers("e", count=3) == (1, 2, 3)
    assert fields.numbers("zz", count=3) is None
    for name, finding in (
        ("b", "not a number"), ("c", "not a number"), ("h", r"not a number"), ("j", "not a number"),
        ("k", "not a number"),
    ):  # fmt: skip
        with pytest.raises(ReaderError, match=finding) as caught:
            fields.number(name)
        assert len(str(caught.value)) < 200
    with pytest.raises(ReaderError, match=r"a is 1\.5, outside 2 to 3"):
        fields.number("a", low=2, high=3)
    with pytest.raises(MissingSidecarError, match="has no zz"):
        fields.number("zz", needed=True)
    with pytest.raises(MissingSidecarError, match="has no d"):
        fields.number("d", unknown=(-999.0,), needed=True)
    with pytest.raises(ReaderError, match="not a whole number"):
        fields.whole("i")
    with pytest.raises(ReaderError, match="must be 4 numbers"):
        fields.numbers("e", count=4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-06-15T10:20:30.123456Z", datetime(2019, 6, 15, 10, 20, 30, 123456, UTC)),
        ("2019-06-15T10:20:30.123456789Z", datetime(2019, 6, 15, 10, 20, 30, 123456, UTC)),
        ("2019-06-15 10:20:30", datetime(2019, 6, 15, 10, 20, 30, 0, UTC)),
        ("2019-06-15T10:20:30+08:00", datetime(2019, 6, 15, 2, 20, 30, 0, UTC)),
        ("2019-06-15", datetime(2019, 6, 15, tzinfo=UTC)),
        ("2019-13-15", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times(text: str, expected: datetime | None) -> None:
    fields = Fields.of("a", {"t": text})
    assert fields.time("t") == expected
    assert Fields.of("a", {}).time("t") is None


def test_times_of_other_zones() -> None:
    fields = Fields.of("a", {"t": "2019-06-15T10:20:30"})
    assert fields.time("t", zone=timezone(timedelta(hours=8))) == datetime(
        2019, 6, 15, 2, 20, 30, tzinfo=UTC
    )
    naive = fields.time("t", zone=None)
    assert naive is not None
    assert naive.tzinfo is None


def test_sidecars_are_found_whatever_their_case(tmp_path: Path) -> None:
    for name in ("Scene.TIF", "scene.imd", "SCENE.XML"):
        (tmp_path / name).write_text("x")
    assert beside(tmp_path / "Scene.TIF", ".IMD", ".xml") == tmp_path / "scene.imd"
    assert beside(tmp_path / "Scene.TIF", ".rpb", ".xml") == tmp_path / "SCENE.XML"
    assert beside(tmp_path / "Scene.TIF", ".rpb") is None
    assert beside(tmp_path / "gone" / "Scene.TIF", ".rpb") is None
    assert clean(' "WV03" ') == "WV03"
