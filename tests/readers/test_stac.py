from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from deliveries.damage import damaged
from deliveries.packing import pack
from pansharp.errors import AmbiguousReaderError, PansharpError, ReaderError
from pansharp.readers import find_scenes, open_scene

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import WriteRaster


@pytest.fixture(autouse=True)
def _scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANSHARP_SCRATCH", str(tmp_path_factory.mktemp("scratch")))


def content(**assets: str) -> dict[str, Any]:
    bands = [{"name": name} for name in ("blue", "green", "red", "nir")]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "104001004DB6F500",
        "properties": {
            "datetime": "2019-06-15T10:20:30Z",
            "platform": "worldview-2",
            "view:off_nadir": 16.6,
            "view:sun_elevation": 62.7,
            "eo:cloud_cover": 2,
        },
        "assets": {
            key: {"href": href, **({"eo:bands": bands} if key.startswith("ms") else {})}
            for key, href in assets.items()
        },
    }


@pytest.fixture
def item(write_raster: WriteRaster, tmp_path: Path) -> Path:
    write_raster("site/images/a.tif", (1, 40, 40))
    write_raster("site/images/b.tif", (4, 10, 10), pixel=4)
    write_raster("site/images/c.tif", (3, 40, 40))
    path = tmp_path / "site" / "item.json"
    assets = {"pan_analytic": "./images/a.tif", "ms_analytic": "images/b.tif"}
    path.write_text(json.dumps(content(**assets, visual="images/c.tif")))
    return path


def test_assets_become_a_scene(item: Path, tmp_path: Path) -> None:
    scene = open_scene(item)
    assert scene.name == "104001004DB6F500"
    assert scene.band_names == ("blue", "green", "red", "nir")
    assert scene.sensor is not None
    assert scene.sensor.name == "worldview2"
    assert scene.acquired == "2019-06-15T10:20:30Z"
    assert scene.delivery is not None
    facts = scene.delivery.ms
    assert (facts.sun_elevation, facts.off_nadir, facts.cloud) == (62.7, 16.6, 0.02)
    json.dumps(scene.describe())
    assert open_scene(item.parent).files == scene.files
    packed = open_scene(pack(item.parent, tmp_path / "site.tar.gz"))
    assert packed.bounds == scene.bounds
    assert [found.reader for found in find_scenes(item.parent)] == ["stac"]


@pytest.mark.parametrize(
    ("assets", "kind", "finding"),
    [
        ({"pan": "a.tif"}, ReaderError, r"no asset that is a MS \(assets: 'pan'\); .*--ms FILE"),
        ({"visual": "a.tif"}, ReaderError, r"no asset that is a PAN \(assets: none\)"),
        (
            {"pan": "a.tif", "panchromatic": "b.tif", "ms": "c.tif"}, AmbiguousReaderError,
            "2 assets that could be the PAN: 'pan', 'panchromatic'",
        ),
        ({"pan": "none.tif", "ms": "images/b.tif"}, ReaderError, r"none\.tif' does not exist"),
        ({"pan": "ftp://x/a.tif", "ms": "images/b.tif"}, ReaderError, "cannot be read"),
    ],
)  # fmt: skip
def test_items_that_do_not_make_a_pair(
    item: Path, assets: dict[str, str], kind: type[PansharpError], finding: str
) -> None:
    item.write_text(json.dumps(content(**assets)))
    with pytest.raises(kind, match=finding) as caught:
        open_scene(item)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("href", ["../../secret.tif", "/etc/passwd", "https://example.com/a.tif"])
def test_items_in_archives_stay_inside(item: Path, tmp_path: Path, href: str) -> None:
    item.write_text(json.dumps(content(pan=href, ms="images/b.tif")))
    with pytest.raises(ReaderError, match="outside"):
        open_scene(pack(item.parent, tmp_path / "site.zip"))


@pytest.mark.filterwarnings("ignore::pansharp.errors.PansharpWarning")
def test_damaged_items(item: Path) -> None:
    original = item.read_bytes()
    said: list[str] = []

    @settings(
        max_examples=60, deadline=10_000, suppress_health_check=list(HealthCheck), database=None
    )
    @given(damaged(original))
    def run(data: bytes) -> None:
        item.write_bytes(data)
        try:
            open_scene(item).describe()
        except PansharpError as problem:
            said.append(str(problem))

    run()
    assert said
    assert not any("\n" in text for text in said)
    item.write_text('{"a": ' * 5000 + '"stac_version" "assets"')
    with pytest.raises(ReaderError, match="damaged JSON"):
        open_scene(item)
