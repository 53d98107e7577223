"""The accessor, in every order of imports and on what users open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pansharp as ps
from pansharp.errors import OptionError, ReaderError
from pansharp.geometry.grids import Window
from pansharp.pictures.files import file_behind
from pansharp.plotting import layer_of
from pansharp.scene import scene_behind
from pansharp.source import ArraySource, RasterSource

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import MakePair, RunPython
    from pansharp.scene import Scene

_MADE = "ds = xarray.Dataset({'fused': (('band', 'y', 'x'), numpy.ones((3, 8, 8)))})"
_SHOWN = "print(type(ds.pansharp.rgb()).__name__)"


@pytest.fixture
def scene(make_pair: MakePair) -> Scene:
    pair = make_pair(shape=(128, 128), offset=(-0.5, 1.5))
    return ps.open_scene(pan=pair.pan, ms=pair.ms, sensor="ikonos")


@pytest.mark.parametrize(
    "imports",
    [
        "import numpy, xarray, pansharp",
        "import numpy, pansharp, xarray; pansharp.accessor",
        "import numpy, pansharp, xarray; pansharp.get_sensor",
        "import numpy, xarray, pansharp.accessor",
    ],
)
def test_accessor_is_there_in_every_order(imports: str, run_python: RunPython) -> None:
    script = f"import matplotlib; matplotlib.use('Agg'); {imports}; {_MADE}; {_SHOWN}"
    assert run_python(script).stdout.strip() == "Figure"


def test_accessor_comes_with_what_pansharp_makes(
    make_pair: MakePair, run_python: RunPython
) -> None:
    pair = make_pair()
    script = (
        "import sys, pansharp as ps\n"
        f"scene = ps.open_scene(pan={str(pair.pan)!r}, ms={str(pair.ms)!r})\n"
        "assert 'xarray' not in sys.modules\n"
        "print(type(scene.ms.pansharp).__name__, type(scene.to_dataset().pansharp).__name__)\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    assert run_python(script).stdout.split() == ["ArrayAccessor", "DatasetAccessor"]


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(OptionError, match=r"pip install 'pansharp\[plot\]'"):
        ps.plotting.show(np.ones((3, 4, 4)))  # type: ignore[attr-defined]


def test_dataset_is_the_scene_it_was_made_of(scene: Scene) -> None:
    dataset: Any = scene.to_dataset()
    assert dataset.pansharp.scene is scene
    assert scene_behind(dataset.pan, dataset.ms) is scene
    assert scene_behind(dataset.pan + 1, dataset.ms) is None
    fused = dataset.pansharp.fuse("gsa", card=False)
    direct = ps.fuse(scene, "gsa", card=False)
    np.testing.assert_array_equal(fused.values, direct.values)
    report = dataset.pansharp.evaluate(fused)
    assert report.sensor == "ikonos"
    assert report.conventions["masked"] is False
    assert "hqnr" in report.scores
    titles = [ax.get_title() for ax in dataset.pansharp.rgb(fused).axes]
    assert titles[1:] == ["MS", "fused"]
    compared = dataset.pansharp.compare(["exp", "gsa"], scores=False)
    assert [ax.get_title() for ax in compared.axes][2:] == ["exp", "gsa"]
    assert dataset.pansharp.view("pan").axes[0].images
    with pytest.raises(OptionError, match="no variable 'nir'"):
        dataset.pansharp.view("nir")
    with pytest.raises(OptionError, match="give a product to score, or model="):
        dataset.pansharp.evaluate()


def test_a_cut_dataset_becomes_a_scene_of_the_same_ground(scene: Scene) -> None:
    dataset: Any = scene.to_dataset()
    cut = dataset.isel(y=slice(20, 100), x=slice(11, 91))
    rebuilt = cut.pansharp.scene
    assert rebuilt.shape == (4, 80, 80)
    assert rebuilt.sensor is scene.sensor
    assert rebuilt.crs == scene.crs
    assert rebuilt.transform[2] == pytest.approx(scene.transform[2] + 11 * 0.5)
    x = scene.alignment.x
    assert rebuilt.alignment.x.scale == x.scale
    # The same ground below the same MS pixels: offsets differ by whole MS pixels.
    moved = (x.offset - 11 - rebuilt.alignment.x.offset) / x.scale
    assert moved == pytest.approx(round(moved))
    window = Window(20, 11, 80, 80)
    expected = ps.fuse(scene.crop(window), "exp", card=False).values
    found = cut.pansharp.fuse("exp", card=False).values
    # Away from the rim, where the two scenes have different MS pixels to interpolate from.
    np.testing.assert_allclose(found[:, 30:50, 30:50], expected[:, 30:50, 30:50], atol=0.01)
    fused = dataset.ms.rename(y_ms="y", x_ms="x").pansharp.fuse(dataset.pan, "exp", card=False)
    assert fused.shape == scene.shape


@pytest.fixture
def product(scene: Scene, tmp_path: Path) -> Path:
    return ps.write(ps.fuse(scene, "gsa", card=False), tmp_path / "fused.tif")


def test_products_open_lazily_with_all_they_know(product: Path, scene: Scene) -> None:
    array: Any = ps.open_product(product)
    assert array.dims == ("band", "y", "x")
    assert array.chunks is not None
    assert list(array.band.values) == ["blue", "green", "red", "nir"]
    assert array.attrs["transform"] == scene.transform
    assert array.encoding["source"] == str(product)
    assert isinstance(file_behind(array), RasterSource)
    layer = layer_of(array)
    assert isinstance(layer.source, RasterSource)
    assert layer.crs == array.attrs["crs"]
    assert not layer.computed
    with pytest.raises(ReaderError, match="does not exist"):
        ps.open_product(product.with_name("none.tif"))
    card = product.with_name("fused.tif.card.json")
    card.write_text('{"scene": {"sensor": "ikonos"}}')
    known: Any = ps.open_product(product)
    assert layer_of(known).wavelengths == (496.4, 559.5, 666.3, 791.6)
    card.write_text("[")
    with pytest.raises(ReaderError, match="card"):
        ps.open_product(product)


def test_whatever_was_done_to_an_array_is_shown(product: Path) -> None:
    array: Any = ps.open_product(product)
    for changed in (
        array * 2,
        array.copy(data=array.data + 1),
        array.isel(y=slice(None, None, -1)),
        array.isel(band=[2, 1, 0, 3]),
        array.isel(x=slice(1, None)),
        array.load(),
    ):
        assert file_behind(changed) is None
        assert isinstance(layer_of(changed).source, ArraySource)
    assert file_behind(np.ones((3, 4, 4))) is None


def _opened(kind: str, product: Path, tmp_path: Path) -> Any:
    if kind == "pansharp":
        return ps.open_product(product)
    if kind.startswith("rioxarray"):
        rioxarray = pytest.importorskip("rioxarray")
        return rioxarray.open_rasterio(product, chunks={} if kind.endswith("dask") else None)
    import xarray as xr

    store = ps.write(ps.open_product(product), tmp_path / "fused.zarr")
    if kind == "store":
        return ps.open_product(store)
    return xr.open_zarr(store, consolidated=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["pansharp", "rioxarray", "rioxarray dask", "store", "xarray"])
def test_products_of_all_openers_show_the_same(
    kind: str, product: Path, scene: Scene, tmp_path: Path
) -> None:
    expected = ps.open_product(product)
    opened = _opened(kind, product, tmp_path)
    array = opened.pansharp.product if hasattr(opened, "data_vars") else opened
    layer = layer_of(array)
    assert layer.transform == pytest.approx(scene.transform)
    assert layer.names == ("blue", "green", "red", "nir")
    assert layer.crs is not None
    assert isinstance(layer.source, RasterSource) == (kind not in ("store", "xarray"))
    at = scene.transform[2] + 20.3 * 0.5, scene.transform[5] - 30.8 * 0.5
    figure = opened.pansharp.spectrum({"a": at}, ms=scene.ms)
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_array_equal(lines["fused"], expected.values[:, 30, 20])
    assert opened.pansharp.rgb(scene=scene).axes[0].get_xlabel() == "easting (m)"
    report = opened.pansharp.evaluate(reference=expected)
    assert report.scores["ergas"] == 0.0


def test_a_dataset_without_images_says_what_it_has() -> None:
    import xarray as xr

    dataset: Any = xr.Dataset({"a": ("x", [1.0])})
    with pytest.raises(OptionError, match="its variables are a"):
        dataset.pansharp.rgb()
    with pytest.raises(OptionError, match="no pan and ms"):
        dataset.pansharp.fuse("gsa")
