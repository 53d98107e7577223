"""Ground, stretch and windows behind the pictures."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from pansharp.errors import BandMismatchError, GridMismatchError, OptionError
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.pictures import Stretch, look
from pansharp.plotting import gather, layer_of, rgb, show, zoom
from pansharp.plotting.layers import common_window
from pansharp.plotting.panels import joint_panels
from pansharp.plotting.places import Frame, apply, compose, inverse
from pansharp.readers import open_scene
from pansharp.source import ArraySource

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import MakePair

EXACT = (2.0, 0.0, 100.0, 0.0, -2.0, 900.0)


def placed(
    data: np.ndarray,
    transform: tuple[float, ...] | None = EXACT,
    crs: str | None = "EPSG:32633",
    **attrs: object,
) -> object:
    import xarray as xr

    told = {"crs": crs, "transform": transform, **attrs}
    return xr.DataArray(data, dims=("band", "y", "x"), attrs=told)


def test_affine_arithmetic() -> None:
    turned = (1.5, 0.5, 10.0, -0.25, -2.0, 3.0)
    x, y = apply(turned, 4.0, 7.0)
    assert apply(inverse(turned), x, y) == pytest.approx((4.0, 7.0))
    assert compose(turned, inverse(turned)) == pytest.approx((1, 0, 0, 0, 1, 0))
    with pytest.raises(GridMismatchError, match="onto a line"):
        inverse((1.0, 1.0, 0.0, 1.0, 1.0, 0.0))


def test_ms_lies_where_its_transform_says() -> None:
    # MS pixels of 4 fine pixels that begin 1.5 fine pixels to the right and 0.5 above.
    fine = layer_of(placed(np.zeros((4, 40, 60), np.uint16)))
    ms = layer_of(
        placed(np.zeros((4, 10, 15), np.uint16), (8.0, 0.0, 103.0, 0.0, -8.0, 901.0)), "ms"
    )
    frame = Frame(fine)
    assert frame.to_base(ms) == (4.0, 0.0, 1.5, 0.0, 4.0, -0.5)
    # Centre of MS pixel 0: column 1.5 + 2 - 0.5 of pixel centres.
    assert frame.alignment(ms) == Alignment(AxisMap(4.0, 1.0), AxisMap(4.0, 3.0))
    assert frame.extent(ms, Window(1, 2, 1, 1)) == (119.0, 127.0, 885.0, 893.0)
    # Fine columns 8 to 16 touch MS columns (8 - 1.5) / 4 to (16 - 1.5) / 4.
    assert frame.covering(ms, Window(4, 8, 8, 8)) == Window(1, 1, 3, 3)
    assert frame.units() == ("easting (m)", "northing (m)")


def test_insets_show_the_same_ground_to_the_half_pixel() -> None:
    rng = np.random.default_rng(3)
    fused = placed(rng.integers(1, 900, (4, 64, 64)).astype(np.uint16))
    ms = placed(
        rng.integers(1, 900, (4, 16, 16)).astype(np.uint16), (8.0, 0.0, 101.0, 0.0, -8.0, 899.0)
    )
    figure = zoom(fused, {"a": (164.0, 836.0)}, ms=ms, side=10)
    overview, low, high = figure.axes[:3]
    assert low.get_xlim() == high.get_xlim() == (154.0, 174.0)
    assert low.get_ylim() == high.get_ylim() == (826.0, 846.0)
    # MS pixels begin at 101 + 8 k, fine ones at 100 + 2 k.
    assert low.images[0].get_extent() == [149.0, 181.0, 819.0, 851.0]
    assert high.images[0].get_extent() == [154.0, 174.0, 826.0, 846.0]
    assert low.images[0].get_array().shape[:2] == (4, 4)
    assert low.images[0].get_interpolation() == "nearest"
    assert overview.get_xlim() == (100.0, 228.0)


def test_pixel_axes_count_centres() -> None:
    figure = show(np.ones((3, 8, 6)))
    assert figure.axes[0].images[0].get_extent() == [-0.5, 5.5, 7.5, -0.5]
    assert figure.axes[0].get_xlabel() == "column (pixels)"


def test_images_without_georeference_cover_the_same_ground() -> None:
    layers, frame = gather(np.ones((3, 40, 60)), ms=np.ones((3, 10, 15)))
    assert frame.to_base(layers[0]) == (4.0, 0.0, 0.0, 0.0, 4.0, 0.0)
    assert [layer.label for layer in layers] == ["MS", "fused"]


def test_grids_that_do_not_fit_are_refused() -> None:
    base = layer_of(placed(np.zeros((1, 50, 50))))
    other = layer_of(placed(np.zeros((1, 50, 50)), crs="EPSG:32632"), "ms")
    with pytest.raises(GridMismatchError, match="different coordinate systems"):
        Frame(base).to_base(other)
    turned = layer_of(placed(np.zeros((1, 50, 50)), (2.0, 0.1, 100.0, 0.1, -2.0, 900.0)), "ms")
    with pytest.raises(GridMismatchError, match="rotated or flipped"):
        Frame(base).to_base(turned)
    far = layer_of(placed(np.zeros((1, 5, 5)), (2.0, 0.0, 9e5, 0.0, -2.0, 900.0)), "ms")
    with pytest.raises(GridMismatchError, match="no pixel on the ground"):
        Frame(base).covering(far, Window(0, 0, 50, 50))


def test_one_stretch_for_all_and_the_pan_takes_its_mean() -> None:
    rng = np.random.default_rng(5)
    fused = rng.uniform(100, 500, (3, 64, 64)).astype(np.float32)
    ms = fused.reshape(3, 16, 4, 16, 4).mean(axis=(2, 4)) + 300
    layers, frame = gather(fused, ms=ms, pan=fused.mean(axis=0))
    panels = {
        p.layer.role: p
        for p in joint_panels(layers, frame, frame.full, combination=[0, 1, 2], percent=(0, 100))
    }
    joint = panels["fused"].stretch
    assert panels["ms"].stretch == joint
    assert joint.low == pytest.approx(fused.min(axis=(1, 2)))
    assert joint.high == pytest.approx(ms.max(axis=(1, 2)))
    assert panels["pan"].stretch == joint.grey()
    np.testing.assert_array_equal(panels["ms"].picture, joint(look(ms, bands=[0, 1, 2])))


def test_a_pan_of_another_scale_says_so() -> None:
    rng = np.random.default_rng(6)
    fused = rng.uniform(100, 500, (3, 32, 32))
    layers, frame = gather(fused, pan=20 * fused.mean(axis=0))
    pan, product = joint_panels(layers, frame, frame.full)
    assert pan.title == "PAN\n(stretch of its own)"
    assert pan.stretch.high[0] > 10 * max(product.stretch.high)
    figure = rgb(fused, pan=20 * fused.mean(axis=0))
    assert "one stretch for all but the PAN" in figure.get_suptitle()


def test_nodata_is_transparent_and_not_in_the_stretch() -> None:
    data = np.full((3, 20, 20), 400, np.uint16)
    data[:, 10:] = 600
    data[:, :5] = 0
    layers, frame = gather(placed(data, nodata=0))
    panel = joint_panels(layers, frame, frame.full, percent=(0, 100))[0]
    assert (panel.picture[:5, :, 3] == 0).all()
    assert (panel.picture[5:, :, 3] == 255).all()
    assert panel.stretch == Stretch((400.0,) * 3, (600.0,) * 3)


class Counting:
    """An array that is only asked for windows, and counts their pixels."""

    ndim = 3
    dtype = np.dtype(np.uint16)

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.pixels = 0
        self._lock = threading.Lock()

    def __getitem__(self, key: object) -> np.ndarray:
        if isinstance(key, list):
            part = Counting((len(key), *self.shape[1:]))
            part.__dict__ = {**self.__dict__, "shape": part.shape, "whole": self}
            return part  # type: ignore[return-value]
        assert isinstance(key, tuple)
        rows, cols = (range(*k.indices(n)) for k, n in zip(key[1:], self.shape[1:], strict=True))
        owner = self.__dict__.get("whole", self)
        with self._lock:
            owner.pixels += len(rows) * len(cols)
        return np.full((self.shape[0], len(rows), len(cols)), 7, np.uint16)


def test_large_images_without_overviews_show_their_centre() -> None:
    array = Counting((3, 40_000, 40_000))
    layer = layer_of(ArraySource(array))
    frame = Frame(layer)
    window, note = common_window(frame, [layer])
    assert window.height * window.width <= 64_000_000
    assert window.row == (40_000 - window.height) // 2
    assert "centre" in note
    zoom(ArraySource(array), {"a": (10, 10)}, coords="pixel", size=64)
    # The overview reads the budget, the inset its own pixels.
    assert array.pixels <= 64_000_000 + 10_000
    assert common_window(frame, [layer], "all")[0] == frame.full
    before = array.pixels
    rgb(ArraySource(array), window=Window(30_000, 100, 200, 200))
    assert array.pixels - before == 40_000


def test_files_with_overviews_are_shown_whole(tmp_path: Path, monkeypatch: object) -> None:
    path = tmp_path / "cog.tif"
    data = np.random.default_rng(0).integers(1, 999, (3, 1024, 1024)).astype(np.uint16)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=3,
        height=1024,
        width=1024,
        dtype="uint16",
        tiled=True,
        transform=Affine(*EXACT),
        crs="EPSG:32633",
    ) as file:
        file.write(data)
    layers, frame = gather(str(path))
    from pansharp.plotting import layers as module

    monkeypatch.setattr(module, "BUDGET", 300_000)  # type: ignore[attr-defined]
    assert common_window(frame, layers, size=64)[1].startswith("centre")
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4, 8])
    layers, frame = gather(str(path))
    assert common_window(frame, layers, size=64) == (frame.full, "")
    # Full resolution is needed for maps of errors: overviews do not help.
    assert common_window(frame, layers, size=None)[1].startswith("centre")


def test_lazy_chunks_are_computed_once() -> None:
    import dask.array as da

    calls: list[object] = []

    def block(block_info: object = None) -> np.ndarray:
        calls.append(block_info)
        return np.ones((3, 100, 130), np.float32)

    lazy = da.map_blocks(
        block, chunks=((3,), (100,) * 4, (130,) * 3), dtype=np.float32, meta=np.empty((0, 0, 0))
    )
    calls.clear()
    view = look(lazy, size=37)
    assert len(calls) == 12
    assert (view.data == 1).all()


def test_scene_is_shown_with_its_names(make_pair: MakePair) -> None:
    pair = make_pair(offset=(1.5, -0.5))
    scene = open_scene(pan=pair.pan, ms=pair.ms)
    figure = rgb(scene)
    assert [ax.get_title() for ax in figure.axes][-1] == "MS"
    assert "colours: red, green, blue" in figure.get_suptitle()
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    # Outer edges of the MS pixels that touch the PAN's ground: whole MS pixels off its corner.
    left, _, _, top = figure.axes[1].images[0].get_extent()
    a, _, c, _, e, f = scene.ms_transform
    assert (left - c) / a == pytest.approx(round((left - c) / a))
    assert (top - f) / e == pytest.approx(round((top - f) / e))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda d: show(d, window=Window(99, 99, 5, 5)), OptionError, "outside"),
        (lambda d: show(d, window="whole"), OptionError, "give a Window, 'all' or nothing"),
        (lambda d: show(d, bounds=(0, 0, 1, 1)), OptionError, "need a georeference"),
        (lambda d: zoom(d, [(99, 99)]), OptionError, "lies outside"),
        (lambda d: zoom(d, [(1, 1)], coords="km"), OptionError, "choose crs or pixel"),
        (lambda d: zoom(d, side=1), OptionError, "2 or more"),
        (lambda d: rgb(d, combination=["b1", "b2", "swir"]), BandMismatchError, "no band 'swir'"),
        (lambda d: rgb(), OptionError, "nothing to plot"),
    ],
)
def test_mistakes_are_told_in_one_line(call: object, error: type, text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        call(np.ones((3, 20, 20)))  # type: ignore[operator]
    assert "\n" not in str(caught.value)
