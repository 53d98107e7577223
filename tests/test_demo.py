from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio

from pansharp import demo
from pansharp.errors import OptionError, WriteError
from pansharp.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Options:
    """What the demo asks of the pipeline."""

    values: dict[str, Any]

    @classmethod
    def checked(cls, **values: Any) -> Options:
        return cls(values)


@dataclass(frozen=True)
class Product:
    path: Path
    card: dict[str, Any]
    card_path: Path | None


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand-ins: the network returns the truth with a small error, the others with larger ones."""
    pytest.importorskip("tensorly")
    pytest.importorskip("matplotlib")
    asked: list[dict[str, Any]] = []
    errors = {"rescnn": 1.01, "mtf-glp-fs": 1.02, "gsa": 1.03, "exp": 1.05}

    def open_scene(*, pan: str, ms: str, sensor: str) -> Scene:
        with rasterio.open(pan) as high, rasterio.open(ms) as low:
            return Scene.from_arrays(
                high.read(), low.read(), ratio=2, sensor=sensor, band_names=low.descriptions
            )

    def fuse_to_file(
        scene: Scene,
        path: Path,
        options: Options,
        progress: Callable[[float, float, str], None] | None = None,
    ) -> Product:
        asked.append(options.values)
        with rasterio.open(Path(path).parent / "indian_pines_reference.tif") as raster:
            truth, profile = raster.read(), raster.profile
        with rasterio.open(path, "w", **profile) as raster:
            raster.write((truth * errors[options.values["model"]]).astype(truth.dtype))
        card = {
            "verdict": "equal",
            "model": {"used": "rescnn", "backprojections": 1},
            "reduced": {"classical_name": "gsa"},
        }
        return Product(Path(path), card, Path(f"{path}.card.json"))

    readers, module = ModuleType("pansharp.readers"), ModuleType("pansharp.pipeline")
    readers.open_scene = open_scene
    module.FuseOptions, module.fuse_to_file = Options, fuse_to_file
    monkeypatch.setitem(sys.modules, "pansharp.readers", readers)
    monkeypatch.setitem(sys.modules, "pansharp.pipeline", module)
    return asked


def test_demo_compares_like_with_like(pipeline: list[dict[str, Any]], tmp_path: Path) -> None:
    result = demo.run_demo(tmp_path / "out")
    assert [values["model"] for values in pipeline] == ["rescnn", "gsa", "mtf-glp-fs", "exp"]
    # As many back-projections as the network's product has.
    assert [values.get("backproject") for values in pipeline] == [None, 1, 1, 1]
    scores = result["scores"]
    assert scores["rescnn"]["ERGAS"] < scores["mtf-glp-fs"]["ERGAS"] < scores["exp"]["ERGAS"]
    # ERGAS of an image that is 1 % too bright: 100 / ratio * 0.01 * sqrt(mean square / mean**2).
    assert scores["rescnn"]["ERGAS"] == pytest.approx(0.5, rel=0.05)
    assert scores["rescnn"]["SAM"] == pytest.approx(0.0, abs=0.05)
    for path in result["files"].values():
        assert Path(path).stat().st_size > 0
    with rasterio.open(result["files"]["ms"]) as raster:
        assert raster.shape == (72, 72)
    again = demo.run_demo(tmp_path / "out")
    assert again["scores"] == scores


def _result(network: float, verdict: str, used: str) -> dict[str, Any]:
    def row(ergas: float) -> dict[str, float]:
        return {"ERGAS": ergas, "SAM": 1.0, "Q2n": 0.9}

    return {
        "scores": {"rescnn": row(network), "mtf-glp-fs": row(2.0), "exp": row(4.0)},
        "verdict": verdict, "used": used, "backproject": 2, "card": "c.json",
        "files": {"rescnn": "f.tif", "picture": "p.png"}, "seconds": 9.0, "source": "s",
    }  # fmt: skip


def test_describe_says_who_won() -> None:
    won = demo.describe(_result(1.0, "better", "rescnn"))
    assert "50.0% lower than that of mtf-glp-fs" in won
    assert "better than the best classical method." in won
    lost = demo.describe(_result(2.5, "worse", "gsa"))
    assert "25.0% higher than that of mtf-glp-fs" in lost
    assert "the product is made with gsa" in lost


@pytest.mark.parametrize("package", ["tensorly", "matplotlib"])
def test_missing_package_is_named(
    package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(OptionError, match=rf"{package}.*pip install 'pansharp\[demo\]'"):
        demo.run_demo(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_that_is_a_file(pipeline: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(WriteError, match="cannot create the folder"):
        demo.run_demo(tmp_path / "out")


def test_picture_has_four_panels(pipeline: list[dict[str, Any]], tmp_path: Path) -> None:
    from matplotlib.image import imread

    result = demo.run_demo(tmp_path)
    picture = imread(result["files"]["picture"])
    assert picture.shape[1] > 3 * picture.shape[0]
    quarters = np.array_split(picture[40:-40, :, :3], 4, axis=1)
    colour = [float(np.ptp(quarter, axis=2).mean()) for quarter in quarters]
    # The first is grey; product and truth are nearly the same picture.
    assert colour[0] < 0.01 < min(colour[1:])
    assert abs(quarters[2].mean() - quarters[3].mean()) < 0.05
