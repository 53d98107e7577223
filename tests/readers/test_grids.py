from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine

from pansharp.errors import GridMismatchError
from pansharp.geometry.grids import Alignment, Window
from pansharp.readers._grids import Grid, covered, overlap, place, relative, same_crs, warp_grid
from pansharp.scene import IDENTITY

UTM = CRS.from_epsg(32633)


def grid(
    pixel: float,
    shape: tuple[int, int],
    corner: tuple[float, float] = (0.0, 0.0),
    crs: CRS | None = UTM,
    label: str = "x.tif",
) -> Grid:
    """`corner` in PAN pixels of 0.5, rows first."""
    transform = (pixel, 0.0, 5e5 + 0.5 * corner[1], 0.0, -pixel, 5.8e6 - 0.5 * corner[0])
    return Grid(label, shape, transform, crs)


@given(
    ratio=st.floats(1.5, 12),
    corner=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    shape=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    angle=st.sampled_from([0.0, 90.0, 211.0]),
)
def test_axis_maps_say_what_the_transforms_say(
    ratio: float, corner: tuple[float, float], shape: tuple[int, int], angle: float
) -> None:
    pan_affine = Affine.translation(5e5, 5.8e6) * Affine.rotation(angle) * Affine.scale(0.5, -0.5)
    ms_affine = pan_affine * Affine.translation(corner[1], corner[0]) * Affine.scale(ratio)
    pan = Grid("p", (1000, 1000), tuple(pan_affine)[:6], UTM)
    ms = Grid("m", shape, tuple(ms_affine)[:6], UTM)
    alignment, notes = place(pan, ms, None)
    assert alignment is not None
    assert notes == ()
    for row, col in ((0, 0), (shape[0] - 1, shape[1] - 1)):
        x, y = ms_affine * (col + 0.5, row + 0.5)
        pan_col, pan_row = ~pan_affine * (x, y)
        assert alignment.y.to_pan(row) == pytest.approx(pan_row - 0.5, abs=1e-4)
        assert alignment.x.to_pan(col) == pytest.approx(pan_col - 0.5, abs=1e-4)


@given(
    ratio=st.floats(1.5, 9),
    offset=st.floats(-60, 60),
    pan=st.integers(1, 120),
    ms=st.integers(1, 40),
)
def test_covered_keeps_pixels_that_lie_half_on_the_ms(
    ratio: float, offset: float, pan: int, ms: int
) -> None:
    alignment = Alignment.corner(ratio).shifted(offset, offset)
    window = covered(alignment, (pan, pan), (ms, ms))
    low, high = offset, offset + ratio * ms
    share = [min(i + 1, high) - max(i, low) for i in range(pan)]
    must = [i for i, part in enumerate(share) if part >= 0.5 + 1e-5]
    may = [i for i, part in enumerate(share) if part >= 0.5 - 1e-5]
    got = list(range(window.row, window.row_end))
    assert set(must) <= set(got) <= set(may)
    assert (window.col, window.width) == (window.row, window.height)


def test_half_a_pixel_outside_is_kept_as_on_landsat() -> None:
    alignment, _ = place(grid(0.5, (1207, 1254)), grid(1.0, (603, 627), (0.5, 0.5)), None)
    assert alignment is not None
    assert alignment.y.offset == 1.0
    assert covered(alignment, (1207, 1254), (603, 627)) == Window(0, 0, 1207, 1254)


@pytest.mark.parametrize(
    ("corner", "expected"), [((0, 0), 1.0), ((-200, 0), 0.5), ((200, -200), 0.25), ((500, 0), 0.0)]
)
def test_overlap_is_the_share_of_the_ms(corner: tuple[float, float], expected: float) -> None:
    alignment, _ = place(grid(0.5, (400, 400)), grid(2.0, (100, 100), corner), None)
    assert alignment is not None
    assert overlap(alignment, (400, 400), (100, 100)) == pytest.approx(expected)


def test_rounding_noise_of_headers_is_cleaned() -> None:
    pan = Grid("p", (400, 400), (0.8, 0.0, 0.0, 0.0, -0.8, 0.0), None)
    ms = Grid("m", (100, 100), (3.2, 0.0, 0.0, 0.0, -3.2, 0.0), None)
    assert place(pan, ms, None)[0] == Alignment.corner(4.0)


def test_given_ratio_keeps_the_corner_of_the_ms() -> None:
    alignment, _ = place(grid(0.5, (400, 400)), grid(1.99, (100, 100), (7.0, 3.0)), 4)
    assert alignment == Alignment.corner(4.0).shifted(7.0, 3.0)


def test_other_systems_and_turned_grids_ask_for_resampling() -> None:
    pan = grid(0.5, (400, 400))
    turned = Affine.translation(5e5, 5.8e6) * Affine.rotation(5) * Affine.scale(2, -2)
    assert place(pan, Grid("m", (100, 100), tuple(turned)[:6], UTM), None)[0] is None
    assert place(pan, grid(2.0, (100, 100), crs=CRS.from_epsg(32632)), None)[0] is None
    flipped = Grid("m", (100, 100), (2.0, 0.0, 5e5, 0.0, 2.0, 5.8e6 - 200), UTM)
    assert place(pan, flipped, None)[0] is None


def test_systems_are_compared_by_meaning() -> None:
    spelled = CRS.from_wkt(UTM.to_wkt().replace("WGS 84 / UTM zone 33N", "renamed"))
    assert same_crs(UTM, spelled)
    assert not same_crs(UTM, CRS.from_epsg(32632))


def test_one_missing_system_is_taken_over_only_on_common_ground() -> None:
    pan = grid(0.5, (400, 400), label="p.tif")
    alignment, notes = place(pan, grid(2.0, (100, 100), crs=None, label="m.tif"), None)
    assert alignment == Alignment.corner(4.0)
    assert "'m.tif' has no coordinate system" in notes[0]
    with pytest.raises(GridMismatchError, match=r"'p.tif' has no coordinate system"):
        place(
            grid(0.5, (400, 400), crs=None, label="p.tif"),
            grid(2.0, (100, 100), (90_000, 0)),
            None,
        )


@pytest.mark.parametrize(
    ("pan", "ms", "ratio"),
    [
        ((400, 400), (100, 100), 4.0),
        ((1207, 1254), (603, 627), 2.0),
        ((403, 401), (100, 100), 4.0),
        ((660, 494), (80, 60), 8.2416666667),
    ],
)
def test_sizes_give_the_ratio_without_georeference(
    pan: tuple[int, int], ms: tuple[int, int], ratio: float
) -> None:
    alignment, notes = place(Grid("p", pan, IDENTITY, None), Grid("m", ms, IDENTITY, None), None)
    assert alignment is not None
    assert alignment.y.scale == alignment.x.scale == pytest.approx(ratio)
    assert alignment.y.offset == pytest.approx((ratio - 1) / 2)
    assert "no georeference" in notes[0]


def test_sizes_that_contradict_each_other_need_the_ratio() -> None:
    pan, ms = Grid("p", (400, 300), IDENTITY, None), Grid("m", (100, 100), IDENTITY, None)
    with pytest.raises(GridMismatchError, match=r"4\.000 times the rows but 3\.000 .*--ratio"):
        place(pan, ms, None)
    assert place(pan, ms, 3)[0] == Alignment.corner(3)


def test_pixels_of_no_size_are_an_error() -> None:
    with pytest.raises(GridMismatchError, match="size 0"):
        relative(Grid("p", (4, 4), (0.0, 0.0, 1.0, 0.0, 0.0, 1.0), UTM), grid(2.0, (4, 4)))


def test_warp_grid_nests_in_the_pan() -> None:
    pan = grid(0.5, (400, 400))
    turned = Affine.translation(5e5 + 40, 5.8e6 - 30) * Affine.rotation(7) * Affine.scale(2, -2)
    transform, shape, alignment = warp_grid(pan, Grid("m", (60, 50), tuple(turned)[:6], UTM), None)
    assert alignment.integer_ratio == 4
    assert transform[0] == 2.0
    # Whole MS pixels from the PAN's corner, so that grids nest.
    assert math.modf((transform[2] - 5e5) / 2)[0] == 0
    assert math.modf((5.8e6 - transform[5]) / 2)[0] == 0
    corners = [turned * point for point in ((0, 0), (50, 0), (0, 60), (50, 60))]
    east, north = zip(*corners, strict=True)
    assert 0 <= min(east) - transform[2] < 2
    assert 0 <= transform[2] + 2 * shape[1] - max(east) < 2
    assert 0 <= transform[5] - max(north) < 2
    assert 0 <= min(north) - (transform[5] - 2 * shape[0]) < 2


def test_warp_grid_of_distant_images_is_an_error() -> None:
    with pytest.raises(GridMismatchError, match="overlap in 0 %"):
        warp_grid(grid(0.5, (400, 400)), grid(2.0, (100, 100), (0, 5000)), None)
