from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from pansharp.cli.info import why_not
from pansharp.errors import UnknownFormatError
from pansharp.geometry.grids import Alignment
from pansharp.models.base import ModelSpec
from pansharp.scene import Scene

Run = Callable[..., Result]


@pytest.fixture
def scene() -> Scene:
    pan, ms = np.ones((32, 40), np.uint16), np.ones((4, 8, 10), np.uint16)
    made = Scene.from_arrays(
        pan, ms, alignment=Alignment.corner(4.0).shifted(0.5, 0.0), nodata=0.0, sensor="wv4",
        band_names=("blue", "green", "red", "nir1"), name="site",
    )  # fmt: skip
    return replace(made, notes=("ratio 4 from the pixel sizes",))


def test_json(run: Run, calls: Any, scene: Scene) -> None:
    calls.scene = scene
    document = json.loads(run("info", "delivery", "--json").stdout)
    assert document["ratio"] == 4
    assert document["offset_pan_pixels"] == {"rows": 0.5, "columns": 0.0}
    assert document["mtf_gains"] == {
        "pan": 0.16, "pan_assumed": False, "ms": [0.23] * 4, "ms_assumed": False,
    }  # fmt: skip
    assert "brovey" in document["models"]["fit"]
    assert document["product"]["nodata"] == 0


def test_text(run: Run, calls: Any, scene: Scene) -> None:
    calls.scene = scene
    text = run("info", "delivery").stdout
    for part in (
        "32 x 40 pixels, 1 band, uint16, nodata 0",
        "rows +0.5, columns +0 PAN pixels",
        "blue, green, red, nir1",
        "worldview4",
        "ratio 4 from the pixel sizes",
    ):
        assert part in text
    assert "assumed" not in text


def test_unknown_sensor_gives_assumed_gains(run: Run, calls: Any) -> None:
    text = run("info", "delivery").stdout
    assert "0.3 0.3 0.3 0.3 (assumed)" in text
    assert "0.15 (assumed)" in text


def test_a_sensor_with_fewer_bands_does_not_hide_the_rest(
    run: Run, calls: Any, scene: Scene
) -> None:
    many = Scene.from_arrays(
        np.ones((8, 8), np.uint16), np.ones((6, 2, 2), np.uint16), sensor="wv4"
    )
    calls.scene = many
    result = run("info", "delivery")
    assert result.exit_code == 0
    assert "the image has 6 bands" in result.stdout


def test_lone_raster_is_described_and_fails(
    run: Run, calls: Any, make_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, **options: Any) -> Scene:
        raise UnknownFormatError(f"no partner image for '{path}'; pass --ms")

    monkeypatch.setattr(sys.modules["pansharp.readers"], "open_scene", refuse)
    pair = make_pair()
    result = run("info", pair.pan)
    assert result.exit_code == 1
    assert "96 x 96 pixels, 1 band, uint16" in result.stdout
    assert "the MS image: pass --ms" in result.stdout
    assert result.stderr.startswith("error: no partner image")
    document = json.loads(run("info", pair.ms, "--json").stdout)
    assert (document["could_be"], document["bands"]) == ("MS", 4)
    nothing = run("info", "absent")
    assert (nothing.exit_code, nothing.stdout) == (1, "")


@pytest.mark.parametrize(
    ("bands", "ratio", "fits"),
    [(4, 4.0, True), (2, 4.0, False), (9, 4.0, False), (4, 1.0, False), (4, 8.1, False)],
)
def test_why_not(bands: int, ratio: float, fits: bool) -> None:
    spec = ModelSpec("m", "classical", "", "", bands=(3, 8), ratio=(2, 8))
    assert (why_not(spec, bands, ratio) is None) == fits
    assert why_not(ModelSpec("m", "classical", "", ""), bands, ratio) is None
