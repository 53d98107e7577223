"""Names, options, catalogues and lists: what a batch is told, and what it makes of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from batch.archives import gaofen2
from pansharp.batch.finding import find_entries
from pansharp.batch.page import page
from pansharp.batch.plan import unique_names
from pansharp.batch.records import Entry
from pansharp.batch.settings import BatchSettings
from pansharp.batch.summary import summary_of
from pansharp.cli import main
from pansharp.errors import OptionError, PansharpError, ReaderError, UnknownModelError

PATHS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b/c", "B/c", "d e", "ü"]),
        st.sampled_from(["pan", "PAN", "x/y", "..", ""]),
    ),
    max_size=8,
)


@given(PATHS, PATHS)
def test_names_are_unique_and_kept(
    first: list[tuple[str, str]], second: list[tuple[str, str]]
) -> None:
    def entries(paths: list[tuple[str, str]]) -> list[Entry]:
        found = {f"/{folder}/{n}.tif": name for n, (folder, name) in enumerate(paths)}
        return [Entry(path, name) for path, name in found.items()]

    one = unique_names(entries(first), {})
    assert one == unique_names(entries(first), {})
    both = unique_names(entries(second), one)
    assert one.items() <= both.items()
    for names in (one, both):
        assert len({name.casefold() for name in names.values()}) == len(names)
        assert all(
            name and set("/\\ ").isdisjoint(name) and name[0] != "." for name in names.values()
        )


def test_names_tell_folders_apart() -> None:
    entries = [Entry("/in/2019/pan.tif", "pan"), Entry("/in/2020/pan.tif", "pan")]
    assert list(unique_names(entries, {}).values()) == ["2019-pan", "2020-pan"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "gsq"}, "unknown model 'gsq'"),
        ({"colour": 1}, "unknown option 'colour'"),
        ({"adapt": "sometimes"}, "--adapt is 'sometimes'"),
        ({"model": "gsa", "adapt": "once-per-sensor"}, "'gsa' is not adapted"),
        ({"model": "rescnn", "adapt": "never"}, "needs weights"),
        ({"workers": 0}, "--workers is 0; it must be 1 or more"),
        ({"memory": "much"}, "--memory is 'much'"),
        ({"scheduler": "tcp://a:1", "workers": 2}, "--workers and --memory"),
        ({"save_weights": "x"}, "--save-weights is of one scene"),
        ({"sensor": "nosuch"}, "nosuch"),
        ({"dem": "/nosuch.tif"}, "'/nosuch.tif' does not exist"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(PansharpError, match=message) as caught:
        BatchSettings.checked(tmp_path, **{"model": "exp", **options}).digest()
    assert len(str(caught.value).splitlines()) == 1
    assert isinstance(caught.value, OptionError | UnknownModelError) or "sensor" in str(
        caught.value
    )


def test_digest_of_options(tmp_path: Path) -> None:
    def digest(**options: object) -> str:
        return BatchSettings.checked(tmp_path, **{"model": "exp", **options}).digest()

    assert digest() == digest(workers=2, threads=3, retries=5, max_failures=2, compress="zstd")
    assert len({digest(), digest(compress="none"), digest(bands=(0, 1)), digest(model="gsa")}) == 4
    dem = tmp_path / "dem.tif"
    dem.write_bytes(b"1")
    before = digest(dem=dem)
    dem.write_bytes(b"2")
    assert digest(dem=dem) != before
    assert BatchSettings.checked(tmp_path, memory="1.5GiB").memory == 3 << 29


def test_configuration_file(tmp_path: Path, archive: Path) -> None:
    config = tmp_path / "batch.toml"
    told = f'output = "{tmp_path}/out"\nmodel = "exp"\nworkers = 1\nno-card = true\nretries = 0\n'
    config.write_text(told)
    result = CliRunner().invoke(main, ["batch", str(archive), "--config", str(config), "--dry-run"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[-3].startswith("6 scenes: 6 to do")
    assert "of processor time" in lines[-2]
    config.write_text(f"{told}max_failure = 3\n")
    result = CliRunner().invoke(main, ["batch", str(archive), "--config", str(config)])
    assert result.exit_code == 1
    assert "unknown key 'max_failure'" in result.stderr
    assert "did you mean 'max-failures'" in result.stderr
    assert not (tmp_path / "out").exists()


def test_damaged_deliveries_are_scenes(archive: Path, tmp_path: Path) -> None:
    (archive / "zero.tar.gz").write_bytes(b"")
    entries = find_entries([str(archive)], outside=tmp_path / "out")
    assert len(entries) == 7
    assert [Path(e.path).name for e in entries if e.problem] == ["zero.tar.gz"]
    assert [e.path for e in entries] == sorted(e.path for e in entries)
    assert all(e.files for e in entries)


def test_list_and_glob(archive: Path, tmp_path: Path) -> None:
    whole = find_entries([str(archive)], outside=tmp_path / "out")
    paths = sorted(archive.iterdir())
    names = tmp_path / "scenes.txt"
    relative = [os.path.relpath(path, tmp_path) for path in paths]
    names.write_text("# a remark\n\n" + "\n".join([*relative, "nosuch.tar.gz"]))
    listed = find_entries([str(names)], outside=tmp_path / "out")
    missing = [e for e in listed if e.problem]
    assert {e.path for e in listed} - {e.path for e in missing} == {e.path for e in whole}
    assert [Path(e.path).name for e in missing] == ["nosuch.tar.gz"]
    globbed = find_entries([f"{archive}/*"], outside=tmp_path / "out")
    assert [e.path for e in globbed] == [e.path for e in whole]
    for wrong in ("nosuch", "nosuch*"):
        with pytest.raises(ReaderError, match=r"does not exist|nothing matches"):
            find_entries([str(tmp_path / wrong)], outside=tmp_path / "out")


def _catalogue(file: Path, kind: str, **links: list[str]) -> Path:
    listed = [{"rel": rel, "href": href} for rel, hrefs in links.items() for href in hrefs]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"type": kind, "stac_version": "1.0.0", "links": listed}))
    return file


def test_stac_catalogue(tmp_path: Path) -> None:
    made = gaofen2(tmp_path / "images", 1)
    assets = {"pan": {"href": f"../../images/{made.folder.name}/{made.pan.name}"}}
    assets["ms"] = {"href": str(made.ms)}
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "one",
        "properties": {},
        "assets": assets,
    }
    home = tmp_path / "stac"
    root = _catalogue(home / "catalog.json", "Catalog", child=["sub/collection.json"], item=[])
    _catalogue(
        home / "sub" / "collection.json", "Collection", root=["../catalog.json"],
        child=["../catalog.json"], item=["one.json", "./one.json", "gone.json"],
    )  # fmt: skip
    (home / "sub" / "one.json").write_text(json.dumps(item))
    entries = find_entries([str(root)], outside=tmp_path / "out")
    assert [(Path(e.path).name, e.problem is None) for e in entries] == [
        ("gone.json", False),
        ("one.json", True),
    ]
    assert str(made.pan) in entries[1].files
    _catalogue(root, "Catalog", item=["https://example.com/one.json"])
    with pytest.raises(ReaderError, match="only catalogues of local files are read"):
        find_entries([str(root)], outside=tmp_path / "out")
    root.write_text('{"type": "Catalog", "stac_version": "1.0.0", "links"')
    with pytest.raises(ReaderError, match="damaged JSON"):
        find_entries([str(root)], outside=tmp_path / "out")


def test_products_are_no_scenes(archive: Path) -> None:
    """The products may lie in the archive itself."""
    before = find_entries([str(archive)], outside=archive / "out")
    (archive / "out").mkdir()
    gaofen2(archive / "out", 1)
    assert find_entries([str(archive)], outside=archive / "out") == before


def test_page_escapes_what_files_say() -> None:
    row = {
        "path": "/<b>", "name": "<script>alert(1)</script>", "status": "failed", "attempts": 1,
        "reason": "'<img src=x>' & more", "facts": None, "product": None, "seconds": None,
    }  # fmt: skip
    text = page(summary_of([row], model="exp", seconds=1.0))
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text
