"""Kinds of training data: told apart by themselves, degraded as they should, read in windows."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pansharp.adaptation.level import reduce_window
from pansharp.errors import BandMismatchError, GridMismatchError, OptionError, PansharpError
from pansharp.geometry.grids import Window
from pansharp.geometry.kernels import MtfGaussian
from pansharp.source import ArraySource
from pansharp.training.cubes import CubeSite, guide_of
from pansharp.training.forms import anchored_cell, fit_anchor, published_cell
from pansharp.training.sources import Opening, agreed, open_sites
from pansharp.training.truth import TruthSite
from pansharp.training.wald import WaldSite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pansharp.training.examples import Site


@pytest.fixture
def sites() -> Iterator[Any]:
    with ExitStack() as closing:

        def opened(*paths: object, **options: Any) -> list[Site]:
            opening = Opening(**{"coregister": "off", **options})
            found = open_sites([str(path) for path in paths], opening, closing)
            opened.notes = opening.notes  # type: ignore[attr-defined]
            return found

        yield opened


def test_kinds_are_told_apart(
    sites: Any, make_pair: Any, small_set: Any, write_cube: Any, tmp_path: Path
) -> None:
    pair = make_pair(shape=(160, 160), folder="all/pair")
    small_set("all/train_qb.h5", items=2)
    found = sites(tmp_path / "all")
    assert [type(site) for site in found] == [TruthSite, TruthSite, WaldSite]
    assert [type(site) for site in sites(pair.ms)] == [WaldSite]
    (cube,) = sites(write_cube())
    assert isinstance(cube, CubeSite)
    assert sites.notes == [f"'{cube.path}' is a cube: its guide is simulated by {cube.guide.label}"]
    (cube_in_folder,) = sites(write_cube("cubes/deep/a.tif").parent.parent)
    assert isinstance(cube_in_folder, CubeSite)


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    for name in ("all", "cubes/deep"):
        (tmp_path / name).mkdir(parents=True)


def test_toolbox_files(sites: Any, make_research: Any, write_mat: Any) -> None:
    images = make_research()
    (site,) = sites(write_mat("NY1_WV3_RR.mat", images))
    assert (site.traits.ratio, site.traits.ms_bands, site.traits.grid) == (4, 4, "toolbox")
    cell = published_cell(site.example(site.area, 0), 1.0)
    np.testing.assert_array_equal(cell.target, images.gt[0])
    np.testing.assert_array_equal(cell.image, images.ms[0])


def test_a_set_without_truth_is_degraded(sites: Any, small_set: Any) -> None:
    (site, _) = sites(small_set("a_qb.h5", items=2, side=160, reference=False))
    assert isinstance(site, WaldSite)
    assert site.traits.grid == "corner"
    assert "has no 'gt'" in sites.notes[0]
    example = site.example(site.area, 0)
    assert example.reference.shape[0] == 4
    with pytest.raises(GridMismatchError, match=r"needs 32 x 32 at least; the set has no 'gt'"):
        sites(small_set("b_qb.h5", items=2, side=64, reference=False))


def test_degrading_is_that_of_the_whole_scene(sites: Any, make_pair: Any) -> None:
    pair = make_pair(shape=(512, 512))
    (site,) = sites(pair.ms)
    scene = site.read()
    whole = reduce_window(scene, Window(0, 0, 128, 128), site.traits.gains)
    window = Window(48, 64, 32, 32)
    cell = published_cell(site.example(window, 0), 1.0)
    guide = whole.scene.pan_source.read(window)
    low = whole.scene.ms_source.read(Window(12, 16, 8, 8))
    np.testing.assert_array_equal(cell.target, whole.reference[:, *window.slices])
    np.testing.assert_allclose(cell.guide, guide, atol=0.05)
    np.testing.assert_allclose(cell.image, low, atol=0.05)


def test_only_a_window_is_read(sites: Any, make_pair: Any) -> None:
    pair = make_pair(shape=(1024, 1024))
    (site,) = sites(pair.ms)
    scene = site.read()
    asked: list[tuple[int, int]] = []

    class Spy(ArraySource):
        def read(self, window: Window) -> Any:
            asked.append(window.shape)
            return super().read(window)

    pan = Spy(scene.pan_source.read(scene.pan_source.full))
    spied = replace(site, read=lambda: replace(scene, pan_source=pan))
    spied.example(Window(96, 96, 32, 32), 0)
    # The window, the blur around it, and the reach of the kernel that shrinks the PAN.
    assert max(max(shape) for shape in asked) <= 4 * (32 + 2 * 20) + 32


def test_files_are_not_kept_open(
    sites: Any, make_pair: Any, write_cube: Any, tmp_path: Path
) -> None:
    pair = make_pair(shape=(320, 320), nodata=0)
    for site in (*sites(pair.ms), *sites(write_cube())):
        site.example(site.area, 0)
    table = Path("/proc/self/fd")
    if not table.is_dir():
        pytest.skip("needs /proc")
    opened = [os.path.realpath(entry) for entry in table.iterdir()]
    assert not [name for name in opened if name.startswith(str(tmp_path))]


def test_nodata_is_no_truth(sites: Any, make_pair: Any) -> None:
    pair = make_pair(shape=(320, 320), nodata=0)
    (site,) = sites(pair.ms)
    cell = published_cell(site.example(site.area, 0), 1.0)
    assert cell.valid is not None
    # The hole of 20 x 20 MS pixels, less the border of 8.
    assert not cell.valid[:12, :12].any()
    assert cell.valid[14:, 14:].all()
    assert np.isfinite(cell.target).all()
    fit = fit_anchor(site)
    anchored = anchored_cell(site.example(site.area, 20), fit)
    assert anchored.valid is not None
    assert not anchored.valid[:12, :12].any()


def test_anchored_cells_are_the_anchor_and_what_it_lacks(sites: Any, small_set: Any) -> None:
    (first, *_) = sites(small_set(items=2))
    fit = fit_anchor(first)
    example = first.example(first.area, 0)
    cell = anchored_cell(example, fit)
    assert cell.guide.shape == (2, 64, 64)
    assert cell.zoom == 1
    np.testing.assert_allclose(cell.counts(cell.target), example.reference, rtol=1e-5)
    product = cell.counts(np.zeros_like(cell.target))
    np.testing.assert_array_equal(product, cell.base)
    # Centred and scaled by the pair itself.
    assert abs(cell.image.mean()) < 0.05
    assert 0.8 < cell.image.std() < 1.2


def test_the_truth_takes_no_part_in_the_scaling(
    sites: Any, make_research: Any, write_h5: Any
) -> None:
    images = make_research(items=1)
    other = images._replace(gt=images.gt[:, :, ::-1] * 3 + 7)
    fits = [
        fit_anchor(sites(write_h5(name, data))[0])
        for name, data in (("a_qb.h5", images), ("b_qb.h5", other))
    ]
    assert fits[0].scaling == fits[1].scaling
    assert fits[0].anchor.gains == fits[1].anchor.gains


def test_a_reference_file_is_the_truth(sites: Any, make_pair: Any, tmp_path: Path) -> None:
    import rasterio

    pair = make_pair(shape=(128, 128))
    truth = tmp_path / "truth.tif"
    with rasterio.open(pair.pan) as pan:
        profile = {**pan.profile, "count": 4}
        image = np.stack([pan.read(1) + b for b in range(4)])
    with rasterio.open(truth, "w", **profile) as file:
        file.write(image)
    listed = tmp_path / "list.toml"
    listed.write_text(f'[[scene]]\npan = "{pair.pan}"\nms = "{pair.ms}"\nreference = "{truth}"\n')
    (site,) = sites(listed)
    assert isinstance(site, TruthSite)
    assert site.traits.band_names == ("blue", "green", "red", "nir")
    np.testing.assert_array_equal(site.example(site.area, 0).reference, image)
    shifted = make_pair(shape=(128, 128), offset=(1.0, 0.0), folder="moved")
    listed.write_text(
        f'[[scene]]\npan = "{shifted.pan}"\nms = "{shifted.ms}"\nreference = "{truth}"\n'
    )
    with pytest.raises(PansharpError):
        sites(listed)


def test_cubes_are_seen_by_bands_and_blur(sites: Any, write_cube: Any) -> None:
    (site,) = sites(write_cube(), guide="worldview3", mtf="0.25")
    assert (site.traits.task, site.traits.ms_bands, site.traits.ratio) == ("hsi", 20, 4)
    assert site.traits.gains == (0.25,) * 20
    assert site.traits.wavelengths[0] == 450.0
    np.testing.assert_allclose(site.guide.weights.sum(axis=1), 1.0, rtol=1e-6)
    window = Window(16, 20, 32, 32)
    cell = published_cell(site.example(window, 0), 1.0)
    cube = site.source.read(Window(0, 0, 72, 72)).astype(np.float64)
    np.testing.assert_array_equal(cell.target, cube[:, *window.slices])
    guide = np.tensordot(site.guide.weights, cube[:, *window.slices], axes=1)
    np.testing.assert_allclose(cell.guide, guide, rtol=1e-4)
    # The blur by hand at one coarse pixel: a normalised Gaussian around its centre.
    kernel = MtfGaussian(4.0, 0.25, normalize=True)
    at = np.arange(72)
    rows = kernel(at - (16 + 4 * 3 + 1.5))
    cols = kernel(at - (20 + 4 * 5 + 1.5))
    low = np.einsum("byx,y,x->b", cube, rows / rows.sum(), cols / cols.sum())
    np.testing.assert_allclose(cell.image[:, 3, 5], low, rtol=1e-4)


def test_a_pan_can_be_the_guide(sites: Any, write_cube: Any) -> None:
    (site,) = sites(write_cube(), guide="worldview3:pan", ratio=6.0)
    assert (site.traits.guide_bands, site.traits.ratio) == (1, 6)
    # Flat over 450 to 800 nm: equal weights but at the ends.
    inner = site.guide.weights[0][1:14]
    assert inner.max() == pytest.approx(inner.min(), rel=1e-2)
    assert site.guide.weights[0][-3:].max() == 0
    with pytest.raises(OptionError, match=r"give a whole number of at least 2"):
        sites(write_cube("b.tif"), ratio=2.5)
    with pytest.raises(OptionError, match="SENSOR:pan"):
        guide_of("worldview3:nir", (450.0, 500.0), "x")
    with pytest.raises(OptionError, match="covers no band of WorldView-3"):
        guide_of("worldview3", (2000.0, 2010.0, 2020.0), "x")


def test_cubes_need_wavelengths(sites: Any, write_cube: Any) -> None:
    with pytest.raises(BandMismatchError, match="carry no wavelengths"):
        sites(write_cube(tagged=False))
    with pytest.raises(GridMismatchError, match=r"has 12 x 12 pixels"):
        sites(write_cube("tiny.tif", side=12))


def test_sites_must_agree(sites: Any, make_pair: Any, small_set: Any, write_cube: Any) -> None:
    four = small_set("a_qb.h5", items=1)
    eight = small_set("b_wv3.h5", items=1, bands=8)
    with pytest.raises(BandMismatchError, match=r"b_wv3.h5' and .*a_qb.h5' differ: 8 and 4 bands"):
        agreed(sites(four, eight))
    two = small_set("c_qb.h5", items=1, ratio=2)
    with pytest.raises(GridMismatchError, match="ratio 2 and 4"):
        agreed(sites(four, two))
    pair = make_pair(shape=(160, 160))
    with pytest.raises(GridMismatchError, match="toolbox's grid"):
        agreed(sites(four, pair.ms))
    other = make_pair(shape=(160, 160), folder="second", seed=5)
    turned = sites(pair.ms, other.ms)
    assert agreed(turned).band_names == ("blue", "green", "red", "nir")
    swapped = replace(
        turned[1], traits=replace(turned[1].traits, band_names=("red", "green", "blue", "nir"))
    )
    with pytest.raises(BandMismatchError, match="same bands in the same order"):
        agreed([turned[0], swapped])
    both = agreed([*sites(four), *sites(small_set("d_ikonos.h5", items=1))])
    assert both.sensor is None
    assert both.gains == ()


def test_what_is_wrong_with_a_path_is_told(sites: Any, small_set: Any, tmp_path: Path) -> None:
    with pytest.raises(PansharpError, match="does not exist"):
        sites(tmp_path / "absent.h5")
    with pytest.raises(PansharpError, match="No PAN and MS image found"):
        sites(tmp_path / "cubes")
    with pytest.raises(GridMismatchError, match="have the ratio 4"):
        sites(small_set("a.h5", items=1), ratio=2.0)
