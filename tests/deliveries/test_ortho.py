"""Orthorectified pairs lie where the generators' cameras saw them."""

from __future__ import annotations

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from deliveries import dimap, gaofen, maxar
from deliveries.ground import Terrain, flat, hills
from deliveries.places import errors, whole
from deliveries.rasters import write
from pansharp.errors import (
    AlignmentWarning,
    GridMismatchError,
    MissingSidecarError,
    OptionError,
    PansharpError,
    ReaderError,
)
from pansharp.geometry.grids import Alignment, Window
from pansharp.readers import open_scene
from pansharp.source import OrthoSource, StackSource

pytestmark = pytest.mark.filterwarnings("ignore:no (DEM given|orthorectification)")

SMALL = {"level": "1B", "ms_shape": (80, 80)}
#: What the test asks for: PAN against the ground, and MS against the ground, in own pixels.
PAN_LIMIT, MS_LIMIT = 0.5, 0.1


def model(path: Path, terrain: Terrain, *, crs: str = maxar.CRS, pixel: float = 2.0) -> Path:
    """A height model of a terrain around the site."""
    side, middle = 200, (500_000.0, 4_982_950.0)
    corner = (middle[0] - side * pixel / 2, middle[1] + side * pixel / 2)
    rows, cols = np.mgrid[0:side, 0:side] + 0.5
    heights = terrain(corner[0] + cols * pixel, corner[1] - rows * pixel)
    return write(path, heights[None], corner=corner, pixel=pixel, crs=crs, dtype="float32")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"camera_offset": (8, -12)},
        {"turn": 0.01},
        {"tiles": (2, 2)},
        {"sidecars": "xml"},
        {"satellite": "GE01", "gsd": 0.5},
    ],
    ids=str,
)
def test_both_images_lie_on_the_ground(tmp_path: Path, options: dict[str, object]) -> None:
    made = maxar.write_delivery(tmp_path, **SMALL, **options)
    scene = open_scene(tmp_path)
    pan, ms = errors(scene, made.ground)
    # GDAL is far better than what was asked for: anything more would be a fault of ours.
    assert pan < 0.05
    assert ms < 0.06
    assert scene.alignment == Alignment.corner(4.0)
    assert scene.transform[0] == pytest.approx(made.ground.pixel, rel=0.005)
    for value in (scene.transform[2], scene.transform[5]):
        steps = value / (4 * scene.transform[0])
        assert steps == pytest.approx(round(steps), abs=1e-6)
    assert scene.crs is not None
    assert "32N" in scene.crs
    assert scene.delivery is not None
    assert scene.delivery.geometry == "ortho"
    assert scene.nodata == 0


def test_halves_are_one_image(tmp_path: Path) -> None:
    made = maxar.write_delivery(tmp_path, **SMALL, halves="two")
    scene = open_scene(tmp_path)
    assert isinstance(scene.ms_source, StackSource)
    # One warp a file, not one a band: each would compute the camera anew.
    parts = scene.ms_source.sources
    assert all(isinstance(part, OrthoSource) for part in parts)
    assert len({id(part.dataset()) for part in parts if isinstance(part, OrthoSource)}) == 2
    assert errors(scene, made.ground)[1] < MS_LIMIT


def test_the_height_is_the_rpc_offset_unless_told(tmp_path: Path) -> None:
    made = maxar.write_delivery(tmp_path, **SMALL, terrain=flat(160.0))
    with pytest.warns(AlignmentWarning, match="constant height of 100 m .RPC height offset"):
        scene = open_scene(tmp_path)
    assert scene.ortho is not None
    assert scene.ortho.describe()["height"] == {"kind": "rpc", "metres": 100.0, "dem": None}
    # 60 m of height move the image by 0.2 / 500 * 60 of half its width: 3.8 PAN pixels.
    wrong = errors_or_far(scene, made)
    assert wrong > 1.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = open_scene(tmp_path, height=160)
    assert told.ortho is not None
    assert told.ortho.describe()["height"] == {"kind": "constant", "metres": 160.0, "dem": None}
    pan, ms = errors(told, made.ground)
    assert pan < PAN_LIMIT / 10
    assert ms < MS_LIMIT


def errors_or_far(scene: object, made: maxar.Made) -> float:
    """Displacement of the PAN by a search: far ones escape the fit to gradients."""
    from deliveries.places import truth

    pan, valid = whole(scene.pan_source)  # type: ignore[attr-defined]
    best = (np.inf, 0)
    for col in range(-8, 9):
        a, b, c, d, e, f = scene.transform  # type: ignore[attr-defined]
        want = truth(made.ground, (a, b, c - col * a, d, e, f), pan.shape[1:]).mean(axis=0)
        best = min(best, (float(np.abs(want - pan[0])[valid].mean()), abs(col)))
    return float(best[1])


def test_relief_needs_a_model(tmp_path: Path) -> None:
    terrain = hills(130.0, 30.0, 90.0)
    made = maxar.write_delivery(tmp_path / "d", **SMALL, terrain=terrain)
    dem = model(tmp_path / "Heights of the site.tif", terrain)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene = open_scene(tmp_path / "d", dem=dem)
    pan, ms = errors(scene, made.ground)
    assert pan < 0.15
    assert ms < MS_LIMIT
    assert scene.ortho is not None
    low, high = scene.ortho.heights.span
    assert 95 < low < 105
    assert 155 < high < 165
    flat_pan = errors(open_scene(tmp_path / "d", height=130), made.ground)[0]
    assert flat_pan > 3 * pan


@pytest.mark.parametrize("crs", [maxar.CRS, "EPSG:32633"])
def test_a_level_model_equals_its_height(tmp_path: Path, crs: str) -> None:
    maxar.write_delivery(tmp_path / "d", **SMALL)
    if crs == maxar.CRS:
        dem = model(tmp_path / "dem.tif", flat(120.0))
    else:  # another system than the product's
        from rasterio.warp import transform

        x, y = transform(maxar.CRS, crs, [500_000.0], [4_982_950.0])
        corner = (x[0] - 6_250.0, y[0] + 6_250.0)
        heights = np.full((1, 250, 250), 120.0)
        dem = write(
            tmp_path / "dem.tif", heights, corner=corner, pixel=50.0, crs=crs, dtype="float32"
        )
    by_model = open_scene(tmp_path / "d", dem=dem)
    by_height = open_scene(tmp_path / "d", height=120)
    added = open_scene(tmp_path / "d", dem=dem, height=-20)
    lower = open_scene(tmp_path / "d", height=100)
    for first, second in ((by_model, by_height), (added, lower)):
        assert first.transform == second.transform
        for one, other in (
            (first.pan_source, second.pan_source),
            (first.ms_source, second.ms_source),
        ):
            (a, a_valid), (b, b_valid) = whole(one), whole(other)
            # Exact transformation here, one interpolated within 0.01 pixel there.
            assert (a_valid != b_valid).mean() < 1e-3
            both = a_valid & b_valid
            assert np.abs(a - b)[:, both].max() <= 6


def test_gaofen2_of_level_1a(tmp_path: Path) -> None:
    made = gaofen.gaofen2(tmp_path, side=80)
    scene = open_scene(made.folder)
    pan, ms = errors(scene, made.ground)
    assert pan < PAN_LIMIT / 10
    assert ms < MS_LIMIT
    assert scene.crs is not None
    assert "49N" in scene.crs
    assert scene.ortho is not None
    assert scene.ortho.derived
    assert any("camera of the MS derived from the PAN's" in note for note in scene.notes)
    # The frame of zeros is masked in both, and no zero has crept into the pixels beside it.
    data, valid = whole(scene.pan_source)
    assert valid.mean() < (256 + 64 - 32) ** 2 / (256 + 64) ** 2
    assert data[0][valid].min() > 200


def test_gaofen2_with_its_own_ms_camera_where_the_frames_differ(tmp_path: Path) -> None:
    made = gaofen.gaofen2(tmp_path, side=64)
    sidecar = made.ms.with_suffix(".rpb")
    text = sidecar.read_text()
    assert "lineOffset = 31.5" in text
    sidecar.write_text(text.replace("lineOffset = 31.5", "lineOffset = 33.5"))
    scene = open_scene(made.folder)
    assert scene.ortho is not None
    assert not scene.ortho.derived
    # What the RPC say is done: two MS pixels off the truth.
    assert scene.ortho.describe()["ms_camera"] == "its own RPC"


def test_pleiades_in_sensor_geometry(tmp_path: Path) -> None:
    dimap.bundle(tmp_path, level="SEN", side=64)
    scene = open_scene(tmp_path)
    assert scene.ortho is not None
    assert scene.alignment == Alignment.corner(4.0)


def test_projected_products_are_left_alone_unless_asked(tmp_path: Path) -> None:
    made = maxar.write_delivery(tmp_path, ms_shape=(80, 80), level="OR2A")
    plain = open_scene(tmp_path)
    assert plain.ortho is None
    assert plain.transform[2] == maxar.ORIGIN[0]
    forced = open_scene(tmp_path, ortho="rpc", height=100)
    assert forced.ortho is not None
    assert made.pan_camera is not None
    lon, lat = made.pan_camera.centre
    # The RPC of this product say that its middle is at the camera's, far from where its map says.
    from rasterio.warp import transform

    x, y = transform("EPSG:4326", maxar.CRS, [lon], [lat])
    left, bottom, right, top = forced.bounds
    assert (left + right) / 2 == pytest.approx(x[0], abs=4)
    assert (bottom + top) / 2 == pytest.approx(y[0], abs=4)


def test_a_pair_of_two_levels_needs_the_word(tmp_path: Path) -> None:
    made = maxar.write_delivery(tmp_path / "d", ms_shape=(80, 80), level="OR2A", sidecars="imd")
    raw = maxar.write_delivery(tmp_path / "raw", **SMALL, sidecars="imd")
    # The MS raw, with its own sidecars, under the names of the projected one.
    for new in made.ms[0].parent.iterdir():
        old = raw.ms[0].parent / new.name.replace("M2AS", "M1BS")
        new.write_bytes(old.read_bytes())
    for option in ("auto", "none"):
        with pytest.raises(
            GridMismatchError, match=r"MS '.*' only RPC; use --ortho rpc with --dem"
        ):
            open_scene(tmp_path / "d", ortho=option)
    scene = open_scene(tmp_path / "d", ortho="rpc", height=100)
    assert errors(scene, made.ground)[1] < MS_LIMIT


def test_none_leaves_raw_frames(tmp_path: Path) -> None:
    maxar.write_delivery(tmp_path, **SMALL)
    with pytest.warns(AlignmentWarning, match="no orthorectification"):
        scene = open_scene(tmp_path, ortho="none")
    assert scene.ortho is None
    assert scene.crs is None


def test_windows_are_parts_of_the_whole_in_every_thread(tmp_path: Path) -> None:
    maxar.write_delivery(tmp_path, level="1B", ms_shape=(150, 160))
    scene = pickle.loads(pickle.dumps(open_scene(tmp_path)))
    data, valid = whole(scene.pan_source)
    height, width = valid.shape
    windows = [
        Window(row, col, 130, 90)
        for row in range(0, height - 130, 97)
        for col in range(0, width - 90, 83)
    ]

    def same(window: Window) -> bool:
        part = scene.pan_source.read(window)
        seen = scene.pan_source.valid(window, part)
        seen = np.ones(window.shape, bool) if seen is None else seen
        rows, cols = window.slices
        return bool((part == data[:, rows, cols]).all() and (seen == valid[rows, cols]).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(same, windows))
    scene.close()
    assert same(windows[0])


def test_opening_reads_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maxar.write_delivery(tmp_path, level="1B", ms_shape=(300, 300))
    read = []
    original = OrthoSource.read

    def counted(self: OrthoSource, window: Window) -> np.ndarray:
        read.append(window.height * window.width)
        return original(self, window)

    monkeypatch.setattr(OrthoSource, "read", counted)
    open_scene(tmp_path)
    assert sum(read) < 0.05 * 1200 * 1200


def test_the_southern_half_and_the_date_line(tmp_path: Path) -> None:
    from pansharp.geometry.ortho import HeightSource, RpcImage, nested_grid

    for centre, zone in (((179.999, -17.0), 60), ((-179.999, -17.0), 1)):
        images = [
            RpcImage(items_of(maxar.Camera(shape, gsd, centre)), shape, "'x'")
            for shape, gsd in (((256, 256), 0.5), ((64, 64), 2.0))
        ]
        grid = nested_grid(*images, HeightSource(100.0))
        assert grid.zone == f"EPSG:327{zone:02d}"
        assert grid.pan_shape == (4 * grid.ms_shape[0], 4 * grid.ms_shape[1])
        assert grid.pan_shape[0] < 300
    polar = RpcImage(items_of(maxar.Camera((64, 64), 0.5, (20.0, 86.0))), (64, 64), "'x'")
    with pytest.raises(GridMismatchError, match="UTM does not cover"):
        nested_grid(polar, polar, HeightSource(100.0))


def items_of(camera: maxar.Camera) -> dict[str, str]:
    """GDAL's items of a generated camera."""
    from pansharp.readers._rpc import rpc_items
    from pansharp.readers._sidecar import Fields

    texts = {
        key: " ".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in camera.rpc().items()
    }
    return rpc_items(Fields.of(Path("x.rpb"), texts))


def test_a_ratio_that_is_not_whole_keeps_the_corner(tmp_path: Path) -> None:
    from pansharp.geometry.ortho import HeightSource, RpcImage, nested_grid

    images = [
        RpcImage(items_of(maxar.Camera(shape, gsd)), shape, "'x'")
        for shape, gsd in (((276, 276), 2.1), ((100, 100), 5.8))
    ]
    grid = nested_grid(*images, HeightSource(100.0))
    assert grid.ratio == pytest.approx(5.8 / 2.1, rel=1e-3)
    assert grid.pan_shape[0] == int(grid.ms_shape[0] * grid.ratio + 1e-6)
    given = nested_grid(*images, HeightSource(100.0), ratio=3)
    assert given.pan_shape[0] == 3 * given.ms_shape[0]


BAD: dict[str, tuple[dict[str, object], dict[str, object], type[PansharpError], str]] = {
    "word": ({}, {"ortho": "maybe"}, OptionError, r"--ortho is 'maybe'"),
    "height": ({}, {"height": 1e6}, OptionError, r"--height is 1e\+06; give metres"),
    "not a number": ({}, {"height": float("nan")}, OptionError, r"--height is nan"),
    "none with dem": (
        {}, {"ortho": "none", "dem": "x.tif"}, OptionError, r"--dem has no use with --ortho none",
    ),
    "no such dem": ({}, {"dem": "nowhere.tif"}, ReaderError, r"'nowhere.tif' does not exist"),
    "map": (
        {"level": "2A"}, {"height": 20.0}, OptionError,
        r"--height has no use for '.*': it has no RPC; leave it off",
    ),
    "map with RPC": (
        {"level": "OR2A"}, {"height": 20.0}, OptionError,
        r"it has a map projection already; --ortho rpc uses the RPC all the same",
    ),
    "no RPC": (
        {"level": "2A"}, {"ortho": "rpc"}, MissingSidecarError,
        r"the PAN '.*' has no RPC coefficients; put the file with them next to it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_options_that_make_no_sense_are_one_line(tmp_path: Path, case: str) -> None:
    made, options, kind, text = BAD[case]
    maxar.write_delivery(tmp_path, **{"level": "1B", "ms_shape": (24, 24), **made})
    with pytest.raises(kind, match=text) as caught:
        open_scene(tmp_path, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"crs": None}, "has no coordinate system"),
        ({"count": 2}, "has 2 bands; give one of heights"),
        ({"corner": (700_000.0, 4_000_000.0)}, "does not cover the scene, which lies near"),
        ({"value": 50_000.0}, "holds heights from 50000 to 50000 m; check its units"),
        ({"nodata": 120.0}, "does not cover the scene"),
    ],
    ids=str,
)
def test_bad_models_are_one_line(tmp_path: Path, change: dict[str, object], text: str) -> None:
    maxar.write_delivery(tmp_path / "d", level="1B", ms_shape=(24, 24))
    heights = np.full((change.get("count", 1), 60, 60), change.get("value", 120.0))
    corner = None if "crs" in change else change.get("corner", (499_000.0, 4_984_000.0))
    dem = write(
        tmp_path / "dem.tif", heights, corner=corner, pixel=30.0, crs=maxar.CRS, dtype="float32",
        nodata=change.get("nodata"),
    )  # fmt: skip
    with pytest.raises(ReaderError, match=text) as caught:
        open_scene(tmp_path / "d", dem=dem)
    assert "\n" not in str(caught.value)


def test_a_model_with_a_hole_leaves_a_hole(tmp_path: Path) -> None:
    made = maxar.write_delivery(tmp_path / "d", **SMALL)
    side, corner = 100, (499_900.0, 4_983_050.0)
    heights = np.full((1, side, side), 100.0)
    heights[:, :, 55:] = -9999.0
    dem = write(
        tmp_path / "dem.tif", heights, corner=corner, pixel=2.0, dtype="float32", nodata=-9999.0
    )
    with pytest.warns(AlignmentWarning, match="does not cover the whole scene"):
        scene = open_scene(tmp_path / "d", dem=dem)
    _, valid = whole(scene.pan_source)
    assert 0.3 < valid.mean() < 0.8
    assert errors(scene, made.ground)[0] < PAN_LIMIT


def test_rpc_of_another_raster_are_not_used_unless_asked(tmp_path: Path) -> None:
    made = gaofen.gaofen2(tmp_path, side=64)
    sidecar = made.pan.with_suffix(".rpb")
    sidecar.write_text(sidecar.read_text().replace("lineOffset = 127.5", "lineOffset = 400"))
    with pytest.warns(AlignmentWarning, match="RPC offsets .* was it cropped"):
        scene = open_scene(made.folder)
    assert scene.ortho is None
    with (
        pytest.warns(AlignmentWarning, match="RPC offsets"),
        pytest.raises(GridMismatchError, match="--ortho none does not guess; give --ratio"),
    ):
        open_scene(made.folder, ortho="none")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_plain_rasters_with_rpc_in_their_tags(tmp_path: Path) -> None:
    import rasterio

    made = maxar.write_delivery(tmp_path / "d", **SMALL)
    for file, name in ((made.pan[0], "scene_pan.tif"), (made.ms[0], "scene_ms.tif")):
        with rasterio.open(file) as dataset:
            data, rpcs, profile = dataset.read(), dataset.rpcs, dataset.profile
        profile.pop("transform")
        with rasterio.open(tmp_path / name, "w", **profile) as new:
            new.write(data)
            new.rpcs = rpcs
    for file in made.pan + made.ms:
        file.unlink()
    scene = open_scene(tmp_path / "scene_pan.tif")
    pan, ms = errors(scene, made.ground)
    assert pan < 0.05
    assert ms < 0.06
    assert scene.delivery is None
    assert scene.ortho is not None
    part = scene.crop(Window(40, 44, 100, 120))
    data, _ = whole(part.pan_source)
    again, _ = whole(scene.pan_source)
    np.testing.assert_array_equal(data, again[:, 40:140, 44:164])


def test_gdals_own_fusion_refuses_in_one_line(tmp_path: Path) -> None:
    from pansharp.errors import ModelError
    from pansharp.external import gdal_brovey

    maxar.write_delivery(tmp_path, level="1B", ms_shape=(24, 24))
    with pytest.raises(ModelError, match=r"P1BS-.*TIF' is orthorectified while it is") as caught:
        gdal_brovey(open_scene(tmp_path))
    assert len(str(caught.value)) < 400
    level = {"level": "2A", "ms_shape": (24, 24)}
    maxar.write_delivery(tmp_path / "m", **level)
    with pytest.raises(ModelError, match="is calibrated while it is read"):
        gdal_brovey(open_scene(tmp_path / "m", radiometry="radiance"))


@pytest.mark.parametrize("field", ["LINE_NUM_COEFF", "SAMP_NUM_COEFF", "LINE_DEN_COEFF"])
@pytest.mark.parametrize("value", ["1e308", "1e200", "0.0", "-1e-300"])
@pytest.mark.parametrize("place", [0, 1, 2, 19])
def test_absurd_coefficients_are_one_line(field: str, value: str, place: int) -> None:
    from pansharp.geometry.ortho import HeightSource, RpcImage, nested_grid
    from pansharp.readers._rpc import ms_on_pan

    shapes = ((256, 256), (64, 64))
    pan, ms = (items_of(maxar.Camera(s, g)) for s, g in zip(shapes, (0.5, 2.0), strict=True))
    numbers = ms[field].split()
    numbers[place] = value
    ms[field] = " ".join(numbers)
    images = [RpcImage(rpc, s, "'x'") for rpc, s in zip((pan, ms), shapes, strict=True)]
    said = []
    for work in (
        lambda: nested_grid(*images, HeightSource(100.0)),
        lambda: nested_grid(*images[::-1], HeightSource(100.0)),
        lambda: ms_on_pan(pan, ms, shapes[1], 100.0),
    ):
        try:
            work()
        except GridMismatchError as problem:
            said.append(str(problem))
    # PAN and MS exchanged are refused whatever the numbers.
    assert said
    assert not any("\n" in text for text in said)
