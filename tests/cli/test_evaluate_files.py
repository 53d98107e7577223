"""`pansharp evaluate` on real files: the scores of the library, maps, and bad input."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import Result
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from pansharp import evaluation as ev
from pansharp.errors import MetricError
from pansharp.evaluation import _views
from pansharp.filters import imresize

Run = Callable[..., Result]
PLACE = Affine(0.5, 0, 300, 0, -0.5, 7000)


def write(name: str, image: np.ndarray, scale: int = 1, **profile: object) -> str:
    bands, height, width = image.shape
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    with rasterio.open(
        name, "w", driver="GTiff", count=bands, height=height, width=width, crs="EPSG:32633",
        transform=PLACE @ Affine.scale(scale), dtype=image.dtype.name, **tiles, **profile,
    ) as raster:  # fmt: skip
        raster.write(image)
    return name


class Images:
    """Truth, product, MS and PAN of ragged size, as arrays and as files in the folder."""

    def __init__(self, dtype: str) -> None:
        rng = np.random.default_rng(3)
        coarse = rng.uniform(300, 1500, (4, 40, 45))
        fine = rng.normal(0, 50, (1, 308, 348))
        truth = np.rint(np.clip(imresize(coarse, 8)[:, :308, :348] + fine, 1, 2047))
        self.truth = truth.astype(dtype)
        noisy = np.rint(np.clip(truth + rng.normal(0, 15, truth.shape), 1, 2047))
        noisy[:, 40:75, 10:90] = 0
        self.fused = noisy.astype(dtype)
        self.ms = np.rint(imresize(truth, 0.25)).astype(dtype)
        self.pan = np.rint(truth.mean(axis=0, keepdims=True)).astype(dtype)
        self.mask = ~(noisy == 0).all(axis=0)
        write("truth.tif", self.truth)
        write("fused.tif", self.fused, nodata=0)
        write("ms.tif", self.ms, scale=4)
        write("pan.tif", self.pan)


@pytest.fixture(params=["uint16", "float32"])
def images(run: Run, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Images:
    # Many pieces, whose margins cross the tiles of the files.
    monkeypatch.setattr(_views, "PIECE", 1 << 15)
    return Images(request.param)


def scores(result: Result) -> dict[str, float]:
    assert result.exit_code == 0, result.stderr
    found: dict[str, float] = json.loads(result.stdout)["scores"]
    return found


REFERENCE = ("evaluate", "--reference", "truth.tif", "--fused", "fused.tif", "--json")
FULL = ("evaluate", "--fused", "fused.tif", "--pan", "pan.tif", "--ms", "ms.tif", "--json")


@pytest.mark.parametrize("workers", [1, 2])
def test_files_score_as_arrays_do(
    run: Run, images: Images, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    more = ("--workers", workers)
    reference = scores(run(*REFERENCE, "--data-range", "2047", *more, "--maps", "a"))
    full = scores(run(*FULL, "--sensor", "wv3", *more, "--maps", "b"))
    monkeypatch.setattr(_views, "PIECE", 1 << 22)
    known = {"reference": images.truth, "fused": images.fused, "mask": images.mask}
    expected = ev.evaluate(**known, data_range=2047).scores
    assert reference == pytest.approx(expected, rel=1e-9)
    bare = {"fused": images.fused, "pan": images.pan, "ms": images.ms, "mask": images.mask}
    expected = ev.evaluate(**bare, sensor="wv3").scores
    assert full == pytest.approx(expected, rel=1e-9)
    for folder, maps in (("a", ev.block_maps(**known)), ("b", ev.block_maps(**bare, sensor="wv3"))):
        assert sorted(p.name for p in Path(folder).iterdir()) == [f"{n}.tif" for n in sorted(maps)]
        for name, values in maps.items():
            with rasterio.open(f"{folder}/{name}.tif") as file:
                np.testing.assert_allclose(file.read(1), values, rtol=1e-6)
                assert file.transform == PLACE @ Affine.scale(32)
                assert file.crs.to_epsg() == 32633


def test_maps_of_another_block_and_of_a_file_without_place(run: Run, images: Images) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            "plain.tif", "w", driver="GTiff", count=4, height=308, width=348, dtype="uint16"
        ) as raster:
            raster.write(images.fused.astype("uint16"))
    command = ("evaluate", "--reference", "truth.tif", "--fused", "plain.tif", "--json")
    scores(run(*command, "--block-size", "64", "--maps", "maps"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open("maps/q2n.tif") as file:
            assert file.shape == (5, 6)
            assert file.crs is None
    again = run(*command, "--maps", "maps")
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    assert run(*command, "--maps", "maps", "--overwrite").exit_code == 0
    assert run("evaluate", "scene", "--protocol", "full", "--maps", "maps").exit_code == 2


def test_the_assumed_gains_are_named(run: Run, images: Images) -> None:
    for more, named in (((), "0.3"), (("--sensor", "gaofen2"), "0.3")):
        notes = json.loads(run(*FULL, *more).stdout)["notes"]
        assert any(f"assumed ({named})" in note for note in notes)
    result = run(*FULL, "--sensor", "moonbeam")
    assert result.exit_code == 1
    assert "moonbeam" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_values_between_zero_and_one_are_warned_of(run: Run, images: Images) -> None:
    for name in ("truth", "fused"):
        write(f"{name}1.tif", (getattr(images, name) / 2048).astype("float32"))
    result = run("evaluate", "--reference", "truth1.tif", "--fused", "fused1.tif", "--json")
    assert result.exit_code == 0
    assert "digital numbers" in result.stderr
    assert "\n" not in result.stderr.strip()


def test_bad_input_is_one_line_and_leaves_no_maps(run: Run, images: Images) -> None:
    empty = write("empty.tif", np.zeros((4, 308, 348), np.uint16), nodata=0)
    black = write("black.tif", np.zeros((4, 308, 348), np.uint16))
    small = write("small.tif", images.fused[:, :300])
    one = write("one.tif", images.fused[:1])
    cases = [
        ((*REFERENCE, "--ratio", "0.25"), "did you mean 4"),
        (("evaluate", "--reference", "truth.tif", "--fused", empty), "no valid pixel"),
        (("evaluate", "--reference", black, "--fused", "fused.tif"), "mean 0"),
        (("evaluate", "--reference", "truth.tif", "--fused", small), "300 x 348"),
        (("evaluate", "--reference", "truth.tif", "--fused", one), "1 bands of 308"),
        ((*REFERENCE, "--block-size", "1"), "at least 2"),
        ((*REFERENCE, "--data-range", "0"), "positive"),
        (("evaluate", "--fused", empty, "--pan", "pan.tif", "--ms", "ms.tif"), "half valid"),
    ]
    for arguments, text in cases:
        result = run(*arguments, "--maps", "maps")
        assert result.exit_code == 1, arguments
        assert text in result.stderr
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert not Path("maps").exists(), arguments


def test_one_band_and_blocks_larger_than_the_image(run: Run, images: Images) -> None:
    one, truth = write("one.tif", images.fused[:1]), write("truth_one.tif", images.truth[:1])
    found = scores(run("evaluate", "--reference", truth, "--fused", one, "--json"))
    assert found["q2n"] == pytest.approx(ev.q2n(images.truth[:1], images.fused[:1]), rel=1e-9)
    assert found["sam"] < 1.0
    large = run(*REFERENCE, "--block-size", "512", "--maps", "maps")
    assert 0 < scores(large)["q2n"] < 1
    with rasterio.open("maps/sam.tif") as file:
        assert file.shape == (1, 1)


def test_constant_images(run: Run) -> None:
    for name, value in (("a", 7), ("b", 8)):
        write(f"{name}.tif", np.full((3, 64, 64), value, np.uint16))
    result = run("evaluate", "--reference", "a.tif", "--fused", "b.tif")
    assert result.exit_code == 0
    assert "note: cc left out: band 0 is constant" in result.stdout
    with pytest.raises(MetricError, match="constant"):
        ev.cc(np.full((3, 64, 64), 7), np.full((3, 64, 64), 8))
