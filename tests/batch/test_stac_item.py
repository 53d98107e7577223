"""STAC items: the rules of the specification, places at the edges of maps, unknown times."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp.batch.footprint import RasterFacts, lonlat_geometry, raster_facts
from pansharp.batch.stac_item import item_path, stac_item, write_stac_item
from pansharp.errors import ReaderError, WriteError
from pansharp.geometry.grids import Window
from pansharp.writers import RasterProfile, open_writer

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

CARD: dict[str, object] = {
    "pansharp": "0.3.0",
    "scene": {"name": "north", "sensor": "worldview3", "acquired": "2019-06-15T10:20:30.123456Z"},
    "model": {"name": "rescnn", "used": "rescnn", "backprojections": 2},
    "reduced": {"rho": 0.7},
    "full": {"HQNR": 0.94},
    "verdict": "better",
}


def product(
    path: Path,
    *,
    crs: str | None = "EPSG:32632",
    transform: tuple[float, ...] | None = (0.5, 0.0, 500_000.0, 0.0, -0.5, 4_980_000.0),
    empty: tuple[slice, slice] | None = None,
    nodata: float | None = 0.0,
    shape: tuple[int, int] = (600, 900),
    format: str = "cog",
) -> Path:
    wkt = None
    if crs is not None:
        from rasterio.crs import CRS

        wkt = CRS.from_string(crs).to_wkt()
    profile = RasterProfile(
        height=shape[0],
        width=shape[1],
        count=2,
        dtype="uint16",
        crs=wkt,
        transform=transform,  # type: ignore[arg-type]
        nodata=nodata,
        band_names=("red", "nir1"),
        band_tags=({"STATISTICS_MEAN": "410.5"}, {}),
    )
    data = np.full((2, *shape), 400, np.uint16)
    if empty is not None:
        data[:, *empty] = 0
    with open_writer(path, profile, format=format) as writer:
        for row in range(0, shape[0], writer.block):
            for col in range(0, shape[1], writer.block):
                window = Window(row, col, writer.block, writer.block).intersect(
                    Window(0, 0, *shape)
                )
                writer.append(writer.encode(window, data[:, *window.slices]))
    return path


def check(item: dict[str, Any]) -> None:
    """The rules of the item specification 1.0.0 and of the extensions that the item names."""
    assert item["type"] == "Feature"
    assert item["stac_version"] == "1.0.0"
    assert all(re.fullmatch(r"https://\S+/schema\.json", url) for url in item["stac_extensions"])
    assert isinstance(item["id"], str)
    assert item["id"]
    assert isinstance(item["links"], list)
    for link in item["links"]:
        assert {"rel", "href"} <= link.keys()
    # Both or neither: an item without a place has no box.
    assert "geometry" in item
    assert (item["geometry"] is None) == ("bbox" not in item)
    times = item["properties"]
    assert "datetime" in times
    for key in ("datetime", "start_datetime", "end_datetime"):
        if times.get(key) is not None:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", times[key])
    if times["datetime"] is None:
        assert datetime.fromisoformat(times["start_datetime"]) <= datetime.fromisoformat(
            times["end_datetime"]
        )
    assert item["assets"]
    for asset in item["assets"].values():
        assert asset["href"]
        assert isinstance(asset["roles"], list)
    data = item["assets"]["data"]
    assert len(data["eo:bands"]) == len(data["raster:bands"])
    assert all(0.3 < band.get("center_wavelength", 0.5) < 15 for band in data["eo:bands"])
    assert len(times["proj:shape"]) == 2
    if "bbox" in item:
        west, south, east, north = item["bbox"]
        assert -180 <= west <= 180
        assert -180 <= east <= 180
        assert -90 <= south <= north <= 90
        shapes = item["geometry"]["coordinates"]
        polygons = shapes if item["geometry"]["type"] == "MultiPolygon" else [shapes]
        for (ring,) in polygons:
            assert ring[0] == ring[-1]
            assert len(ring) >= 4
            assert all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in ring)
            points = np.array(ring)
            x, y = points[:-1].T
            assert (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() > 0, "counter-clockwise"


def test_item_of_a_product(tmp_path: Path) -> None:
    out = tmp_path / "a scene.tif"
    product(out)
    card = tmp_path / "a scene.tif.card.json"
    target = item_path(out)
    links = [{"rel": "collection", "href": "../collection.json", "type": "application/json"}]
    item = write_stac_item(
        out, CARD, target, card_file=card, checksum="ab" * 32, identifier="s1", links=links
    )
    assert json.loads(target.read_text("utf-8")) == item
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a scene.tif", "a scene.tif.stac.json"]
    check(item)
    told = item["properties"]
    assert item["id"] == "s1"
    assert told["datetime"] == "2019-06-15T10:20:30.123456Z"
    assert told["proj:code"] == "EPSG:32632"
    assert told["proj:shape"] == [600, 900]
    assert told["proj:transform"] == [0.5, 0.0, 500_000.0, 0.0, -0.5, 4_980_000.0]
    assert told["proj:bbox"] == [500_000.0, 4_979_700.0, 500_450.0, 4_980_000.0]
    assert told["gsd"] == 0.5
    assert told["platform"] == "worldview3"
    assert told["processing:software"] == {"pansharp": "0.3.0"}
    assert told["pansharp:verdict"] == "better"
    data = item["assets"]["data"]
    assert data["href"] == "./a%20scene.tif"
    assert data["eo:bands"][0] == {
        "name": "red",
        "common_name": "red",
        "center_wavelength": 0.6604,
        "full_width_half_max": 0.059,
    }
    assert data["eo:bands"][1]["common_name"] == "nir"
    assert data["raster:bands"][0]["statistics"] == {"mean": 410.5}
    assert data["raster:bands"][0]["nodata"] == 0
    assert data["file:size"] == out.stat().st_size
    assert data["file:checksum"] == "1220" + "ab" * 32
    # UTM 32, central meridian: the western edge lies on 9 degrees east.
    west, south, east, north = item["bbox"]
    assert west == pytest.approx(9.0, abs=1e-6)
    assert 44.97 < south < north < 44.98
    assert (east - west) * 78_900 == pytest.approx(450, rel=0.01)


def test_footprint_is_that_of_the_data(tmp_path: Path) -> None:
    half = product(tmp_path / "half.tif", empty=(slice(None), slice(450, None)))
    whole = product(tmp_path / "whole.tif", nodata=None, empty=(slice(None), slice(450, None)))
    boxes = [stac_item(path, CARD, folder=tmp_path)["bbox"] for path in (half, whole)]
    widths = [east - west for west, _, east, _ in boxes]
    assert widths[0] / widths[1] == pytest.approx(0.5, abs=0.01)
    nothing = product(tmp_path / "nothing.tif", empty=(slice(None), slice(None)))
    assert stac_item(nothing, CARD, folder=tmp_path)["bbox"] == boxes[1]


def test_no_georeference(tmp_path: Path) -> None:
    path = product(tmp_path / "plain.tif", crs=None, transform=None)
    item = stac_item(path, CARD, folder=tmp_path)
    check(item)
    assert item["geometry"] is None
    assert item["properties"]["proj:code"] is None
    assert "proj:transform" not in item["properties"]
    assert "gsd" not in item["properties"]


@pytest.mark.parametrize(
    ("acquired", "expected"),
    [
        ("2019-06-15", (None, "2019-06-15T00:00:00Z", "2019-06-15T23:59:59.999000Z")),
        ("2019-06-15T23:30:00-02:00", ("2019-06-16T01:30:00Z", None, None)),
        ("2019-06-15T10:00:00", ("2019-06-15T10:00:00Z", None, None)),
        (None, (None, "1972-07-23T00:00:00Z", "now")),
        ("some day", (None, "1972-07-23T00:00:00Z", "now")),
    ],
)
def test_times(tmp_path: Path, acquired: str | None, expected: tuple[str | None, ...]) -> None:
    path = product(tmp_path / "p.tif", shape=(64, 64))
    card = {**CARD, "scene": {"acquired": acquired}}
    item = stac_item(path, card, folder=tmp_path)
    check(item)
    told = item["properties"]
    found = tuple(told.get(key) for key in ("datetime", "start_datetime", "end_datetime"))
    if expected[2] == "now":
        assert found[:2] == expected[:2]
        assert str(found[2]) > "2025"
    else:
        assert found == expected


def test_zarr(tmp_path: Path) -> None:
    store = product(tmp_path / "p.zarr", format="zarr")
    tiff = product(tmp_path / "p.tif")
    items = [
        stac_item(path, CARD, folder=tmp_path, format=kind)
        for path, kind in ((store, "zarr"), (tiff, "cog"))
    ]
    check(items[0])
    for key in ("bbox", "id"):
        assert items[0][key] == items[1][key]
    corners = [{tuple(p) for p in item["geometry"]["coordinates"][0]} for item in items]
    assert corners[0] == corners[1]
    assert items[0]["properties"] == items[1]["properties"]
    bands = [item["assets"]["data"]["raster:bands"] for item in items]
    assert bands[0] == bands[1]
    assert "file:size" not in items[0]["assets"]["data"]


def test_antimeridian(tmp_path: Path) -> None:
    # UTM 60 south reaches the antimeridian 3 degrees east of its central meridian: about 834 km.
    path = product(
        tmp_path / "p.tif", crs="EPSG:32760", transform=(100.0, 0, 790_000.0, 0, -100.0, 8_000_000)
    )
    item = stac_item(path, CARD, folder=tmp_path)
    check(item)
    west, _, east, _ = item["bbox"]
    assert west > 179
    assert east < -179
    assert item["geometry"]["type"] == "MultiPolygon"
    (left,), (right,) = item["geometry"]["coordinates"]
    assert max(lon for lon, _ in left) == 180
    assert min(lon for lon, _ in left) == west
    assert min(lon for lon, _ in right) == -180
    assert max(lon for lon, _ in right) == east


def test_pole(tmp_path: Path) -> None:
    path = product(
        tmp_path / "p.tif",
        crs="EPSG:3413",
        transform=(1000.0, 0, -450_000.0, 0, -1000.0, 300_000.0),
    )
    item = stac_item(path, CARD, folder=tmp_path)
    check(item)
    west, south, east, north = item["bbox"]
    assert (west, east, north) == (-180, 180, 90)
    assert 84 < south < 86


def facts(lon: float, lat: float, size: float) -> RasterFacts:
    from rasterio.crs import CRS

    ring = np.array([(0, 0), (0, 10), (10, 10), (10, 0)], float)
    return RasterFacts(
        (1, 10, 10), "uint8", None, (size, 0, lon, 0, -size, lat),
        CRS.from_epsg(4326).to_wkt(), 4326, None, ("b1",), (1.0,), (0.0,), ({},), ring,
    )  # fmt: skip


@given(lon=st.floats(-180, 180), lat=st.floats(-70, 80), size=st.floats(1e-4, 0.9))
def test_any_box_of_degrees(lon: float, lat: float, size: float) -> None:
    placed = lonlat_geometry(facts(lon, lat, size))
    assert placed is not None
    west, south, east, north = placed.bbox
    assert (east - west) % 360 == pytest.approx(10 * size, abs=1e-5)
    assert north - south == pytest.approx(10 * size, abs=1e-5)
    polygons = placed.geometry["coordinates"]
    if placed.geometry["type"] == "Polygon":
        polygons = [polygons]
    area = 0.0
    for (ring,) in polygons:
        x, y = np.array(ring)[:-1].T
        assert x.min() >= -180
        assert x.max() <= 180
        area += float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2
    assert area == pytest.approx((10 * size) ** 2, rel=1e-3, abs=1e-5)


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="cannot be read"):
        raster_facts(tmp_path / "absent.tif")
    path = product(tmp_path / "p.tif", shape=(64, 64))
    with pytest.raises(WriteError, match="cannot write"):
        write_stac_item(path, CARD, tmp_path / "absent" / "item.json")
