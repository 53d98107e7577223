from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import Result

Run = Callable[..., Result]


def write(name: str, image: np.ndarray, nodata: float | None = None) -> str:
    from rasterio.transform import Affine

    bands, height, width = image.shape
    with rasterio.open(
        name, "w", driver="GTiff", count=bands, height=height, width=width, nodata=nodata,
        dtype=image.dtype.name, crs="EPSG:32633", transform=Affine(1, 0, 0, 0, -1, height),
    ) as raster:  # fmt: skip
        raster.write(image)
    return name


@pytest.fixture
def files(run: Run) -> dict[str, str]:
    """Reference, product with some noise and a hole, PAN and MS at ratio 4."""
    rng = np.random.default_rng(1)
    truth = rng.integers(100, 900, (4, 64, 48)).astype(np.uint16)
    fused = np.clip(truth + rng.normal(0, 5, truth.shape), 1, 2000).astype(np.uint16)
    fused[:, :8, :8] = 0
    return {
        "reference": write("truth.tif", truth),
        "fused": write("fused.tif", fused, nodata=0),
        "pan": write("pan.tif", truth.mean(axis=0, keepdims=True).astype(np.uint16)),
        "ms": write("ms.tif", truth.reshape(4, 16, 4, 12, 4).mean(axis=(2, 4)).astype(np.uint16)),
    }


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments that reach `evaluation.evaluate`."""
    record: dict[str, Any] = {}

    class Report:
        def to_json(self) -> str:
            return '{"scores": {"ERGAS": 0.5}}'

        def __str__(self) -> str:
            return "ERGAS 0.5"

    def evaluate(**arguments: Any) -> Report:
        record.update(arguments)
        return Report()

    module = ModuleType("pansharp.evaluation")
    module.evaluate = evaluate
    monkeypatch.setitem(sys.modules, "pansharp.evaluation", module)
    return record


def test_with_reference(run: Run, files: dict[str, str], asked: dict[str, Any]) -> None:
    result = run(
        "evaluate", "--reference", files["reference"], "--fused", files["fused"], "--ratio", "2"
    )
    assert (result.exit_code, result.stdout) == (0, "ERGAS 0.5\n"), result.stderr
    assert asked["ratio"] == 2
    assert asked["reference"].shape == asked["fused"].shape == (4, 64, 48)
    mask = asked["mask"]
    assert mask.shape == (64, 48)
    assert mask.dtype == bool
    whole = mask[0:64, 0:48]
    assert not whole[:8, :8].any()
    assert whole.sum() == 64 * 48 - 64
    # A nodata value of the user's replaces the file's own.
    run("evaluate", "--reference", files["reference"], "--fused", files["fused"], "--nodata", "-1")
    assert asked["mask"] is None
    np.testing.assert_array_equal(mask[4:10, 6:], whole[4:10, 6:])


def test_range_for_psnr_comes_from_the_sensor(
    run: Run, files: dict[str, str], asked: dict[str, Any]
) -> None:
    form = ("evaluate", "--reference", files["reference"], "--fused", files["fused"])
    for more, expected in (
        ([], None),
        (["--sensor", "wv3"], 2047),
        (["--sensor", "wv3", "--data-range", "1023"], 1023),
    ):
        assert run(*form, *more).exit_code == 0
        assert asked["data_range"] == expected


def test_without_reference(run: Run, files: dict[str, str], asked: dict[str, Any]) -> None:
    result = run("evaluate", "--fused", files["fused"], "--pan", files["pan"], "--ms",
                 files["ms"], "--sensor", "wv3", "--json")  # fmt: skip
    assert json.loads(result.stdout) == {"scores": {"ERGAS": 0.5}}
    assert asked["ratio"] == 4
    assert asked["sensor"] == "wv3"
    assert asked["ms"].shape == (4, 16, 12)
    assert asked["pan"].shape == (1, 64, 48)


def test_shapes_are_checked_first(run: Run, files: dict[str, str], asked: dict[str, Any]) -> None:
    small = write("small.tif", np.ones((4, 60, 48), np.uint16))
    three = write("three.tif", np.ones((3, 16, 12), np.uint16))
    odd = write("odd.tif", np.ones((4, 17, 12), np.uint16))
    fused, pan, ms = files["fused"], files["pan"], files["ms"]
    cases = [
        (["--reference", small, "--fused", fused], "4 bands of 60 x 48"),
        (["--fused", small, "--pan", pan, "--ms", ms], "give the PAN on the product's grid"),
        (["--fused", fused, "--pan", pan, "--ms", three], "4 bands and the MS 3"),
        (["--fused", fused, "--pan", pan, "--ms", odd], "no whole ratio"),
        (["--fused", fused, "--pan", pan, "--ms", ms, "--ratio", "2"], "have the ratio 4"),
        (["--reference", "absent.tif", "--fused", fused], "'absent.tif' does not exist"),
    ]
    for arguments, text in cases:
        result = run("evaluate", *arguments)
        assert result.exit_code == 1, arguments
        assert text in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert asked == {}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["scene"],
        ["--reference", "a.tif"],
        ["--fused", "a.tif"],
        ["--fused", "a.tif", "--pan", "p.tif"],
        ["scene", "--fused", "a.tif", "--reference", "b.tif"],
        ["--protocol", "full"],
    ],
)
def test_half_a_form_is_usage(run: Run, arguments: list[str]) -> None:
    assert run("evaluate", *arguments).exit_code == 2


def test_scene(run: Run, calls: Any) -> None:
    result = run("evaluate", "delivery", "-m", "gsa", "--protocol", "Reduced")
    assert result.stdout == "ERGAS 1.5\n"
    assert calls.protocol == "reduced"
    assert calls.options.values == {"model": "gsa"}
    assert calls.opened == ("delivery", {})
    result = run("evaluate", "delivery", "--protocol", "reducd")
    assert result.exit_code == 1
    assert "did you mean 'reduced'" in result.stderr
    assert not list(Path().iterdir())
