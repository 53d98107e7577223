"""`evaluate`: one walk gives what the single indices give, and maps that add up to them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from pansharp import evaluation as ev
from pansharp import filters
from pansharp.errors import MetricError, OptionError
from pansharp.evaluation import _views, scoring


class Counting:
    """A view that counts how often its numbers are read, and by how many threads."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.numbers = 0
        self.threads: set[int] = set()

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        window = self._array[key]
        self.numbers += window.size
        self.threads.add(threading.get_ident())
        return window


def holes(shape: tuple[int, int]) -> np.ndarray:
    mask = np.ones(shape, dtype=bool)
    mask[:9, 60:71] = mask[20:45, 5:30] = mask[:, 130:] = mask[-3:] = False
    return mask


def single_scores(x: np.ndarray, y: np.ndarray, mask: np.ndarray | None) -> dict[str, float]:
    """All indices with a reference, each by itself."""
    plain = {n: getattr(ev, n)(x, y, mask=mask) for n in ("sam", "q2n", "q", "scc", "rmse", "cc")}
    ranged = {n: getattr(ev, n)(x, y, data_range=2047, mask=mask) for n in ("psnr", "ssim")}
    return {**plain, **ranged, "ergas": ev.ergas(x, y, mask=mask)}


@pytest.mark.parametrize("shape", [(128, 160), (148, 164), (36, 200)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_one_walk_equals_single_indices(
    build_scene, monkeypatch, shape: tuple[int, int], masked: bool, workers: int
) -> None:
    images = build_scene(height=shape[0], width=shape[1])
    mask = holes(shape) if masked else None
    expected = single_scores(images.reference, images.fused, mask)
    monkeypatch.setattr(_views, "PIECE", 1 << 13)
    report = ev.evaluate(
        reference=images.reference,
        fused=images.fused,
        mask=mask,
        data_range=2047,
        workers=workers,
    )
    assert report.scores == pytest.approx(expected, rel=1e-9)
    for name in ("q", "ssim"):
        assert np.mean(report.per_band[name]) == pytest.approx(expected[name], rel=1e-9)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("budget", [1 << 23, 0])
def test_large_images_are_averaged_in_the_same_walk(
    build_scene, monkeypatch, masked: bool, budget: int
) -> None:
    # round(452 / 256) = 2 and an odd last cell.
    images = build_scene(bands=2, height=452, width=484)
    mask = holes((452, 484)) if masked else None
    expected = single_scores(images.reference, images.fused, mask)
    monkeypatch.setattr(_views, "PIECE", 1 << 14)
    monkeypatch.setattr(scoring, "_AVERAGES", budget)
    report = ev.evaluate(
        reference=images.reference, fused=images.fused, mask=mask, data_range=2047, workers=2
    )
    assert report.scores == pytest.approx(expected, rel=1e-9)


def test_threads_and_pieces_change_nothing_without_a_reference(build_scene, monkeypatch) -> None:
    images = build_scene(height=148, width=164)
    mask = holes((148, 164))
    common = {"fused": images.fused, "ms": images.ms, "pan": images.pan, "mask": mask}
    whole = ev.evaluate(**common, sensor="QB")
    monkeypatch.setattr(_views, "PIECE", 1 << 13)
    cut = ev.evaluate(**common, sensor="QB", workers=3)
    assert cut.scores == pytest.approx(whole.scores, rel=1e-9)
    assert cut.notes == whole.notes
    assert cut.notes[0].startswith(f"{100 * mask.mean():.1f} % of the pixels")


def test_pixels_are_read_once_but_for_the_margins(build_scene, monkeypatch) -> None:
    images = build_scene(height=512, width=480)
    monkeypatch.setattr(_views, "PIECE", 4 * 256 * 240)
    views = [Counting(image) for image in (images.reference, images.fused)]
    ev.evaluate(reference=views[0], fused=views[1], data_range=2047)
    for view in views:
        # Four pieces with 31 pixels of margin towards the middle.
        assert images.fused.size < view.numbers < 1.3 * images.fused.size
    ev.evaluate(reference=views[0], fused=views[1], workers=2)
    assert len(views[0].threads) == 3


@pytest.mark.parametrize("shape", [(128, 160), (148, 164), (20, 40)])
@pytest.mark.parametrize("masked", [False, True])
def test_maps_with_a_reference_add_up(
    build_scene, monkeypatch, shape: tuple[int, int], masked: bool
) -> None:
    images = build_scene(height=shape[0], width=shape[1])
    x, y = images.reference, images.fused
    mask = holes(shape) if masked else np.ones(shape, dtype=bool)
    monkeypatch.setattr(_views, "PIECE", 1 << 13)
    maps = ev.block_maps(reference=x, fused=y, mask=mask if masked else None)
    assert set(maps) == {"q2n", "sam", "ergas"}
    rows, cols = -(-shape[0] // 32), -(-shape[1] // 32)
    padded = np.pad(mask, ((0, 32 * rows - shape[0]), (0, 32 * cols - shape[1])))
    pixels = padded.reshape(rows, 32, cols, 32).sum(axis=(1, 3))
    np.testing.assert_allclose(maps["q2n"], ev.q2n_map(x, y, mask=mask), rtol=1e-12)
    for name in ("sam", "ergas"):
        np.testing.assert_array_equal(np.isnan(maps[name]), pixels == 0)
    # No spectrum is all zero here, so every valid pixel counts.
    assert np.nansum(maps["sam"] * pixels) / pixels.sum() == pytest.approx(
        ev.sam(x, y, mask=mask), rel=1e-9
    )
    assert np.nansum(maps["ergas"] ** 2 * pixels) / pixels.sum() == pytest.approx(
        ev.ergas(x, y, mask=mask) ** 2, rel=1e-9
    )
    if not masked and shape[0] > 32:
        block = np.s_[:, 32:64, :32]
        assert maps["sam"][1, 0] == pytest.approx(ev.sam(x[block], y[block]), rel=1e-9)


def test_sam_of_a_block_leaves_out_empty_spectra(scene) -> None:
    x, y = scene.reference.copy(), scene.fused.copy()
    x[:, :32, :20] = 0.0
    maps = ev.block_maps(reference=x, fused=y)
    kept = np.s_[:, :32, 20:32]
    assert maps["sam"][0, 0] == pytest.approx(ev.sam(x[kept], y[kept]), rel=1e-9)


def test_maps_without_a_reference(build_scene, monkeypatch) -> None:
    images = build_scene(height=148, width=164)
    common = {"fused": images.fused, "ms": images.ms, "pan": images.pan, "sensor": "QB"}
    whole = ev.evaluate(**common).scores
    monkeypatch.setattr(_views, "PIECE", 1 << 13)
    maps = ev.block_maps(**common)
    assert set(maps) == {"d_lambda_k", "d_s"}
    assert maps["d_s"].shape == (5, 6)
    assert maps["d_lambda_k"].mean() == pytest.approx(whole["d_lambda_k"], rel=1e-9)
    kept = maps["d_s"][np.isfinite(maps["d_s"])]
    # The last 20 rows are more than half a block, the last 4 columns are less.
    assert kept.size == 25
    assert kept.mean() >= whole["d_s"]
    # Of a single block the mean of absolute differences is the index itself.
    one = {k: v[..., :32, :32] for k, v in common.items() if k in ("fused", "pan")}
    small = {**one, "ms": images.ms[:, :8, :8], "sensor": "QB"}
    assert ev.block_maps(**small)["d_s"][0, 0] == pytest.approx(
        ev.evaluate(**small).scores["d_s"], rel=1e-12
    )


def test_maps_of_a_band_without_light_are_refused(scene) -> None:
    dark = scene.reference.copy()
    dark[1] = 0
    with pytest.raises(MetricError, match="band 1 of the reference has mean 0"):
        ev.block_maps(reference=dark, fused=scene.fused)
    with pytest.raises(MetricError, match="no valid pixel"):
        ev.block_maps(reference=dark, fused=scene.fused, mask=np.zeros(scene.pan.shape, dtype=bool))


def test_switches_for_the_corrected_forms(scene) -> None:
    x, y = scene.reference, scene.fused
    # Without rounding a common scale does not matter any more; with it, it does.
    for scale in (1 / 2047, 40.0):
        assert ev.q2n(scale * x, scale * y, rounding="none") == pytest.approx(
            ev.q2n(x, y, rounding="none"), rel=1e-9
        )
    assert ev.q2n(x, y) != ev.q2n(x, y, rounding="none")
    assert ev.q2n(x, np.rint(y), rounding="none") == pytest.approx(ev.q2n(x, y), rel=1e-12)
    report = ev.evaluate(reference=x / 2047, fused=y / 2047, rounding="none")
    assert report.scores["q2n"] == pytest.approx(ev.q2n(x, y, rounding="none"), rel=1e-9)
    assert report.conventions["q2n_rounding"] == "none"
    form = {"sensor": "QB", "rounding": "none"}
    plain, whole = (
        ev.d_lambda_k(y, scene.ms, normalised=normalised, **form) for normalised in (False, True)
    )
    kernels = filters.mtf_kernels("QB", 4, 4)
    for value, used in ((plain, kernels), (whole, kernels / kernels.sum((1, 2), keepdims=True))):
        low = filters.correlate_replicate(y, used)
        up = filters.interp23(scene.ms, 4)
        assert value == pytest.approx(1 - ev.q2n(up, low, rounding="none"), rel=1e-9)
    assert abs(plain - whole) > 1e-8
    assert ev.hqnr(y, scene.ms, scene.pan, normalised=True, **form) == pytest.approx(
        (1 - whole) * (1 - ev.d_s(y, scene.ms, scene.pan)), rel=1e-12
    )
    for call in (
        lambda: ev.q2n(x, y, rounding="int"),
        lambda: ev.d_lambda_k(y, scene.ms, sensor="QB", rounding="int"),
        lambda: ev.hqnr(y, scene.ms, scene.pan, sensor="QB", rounding="int"),
        lambda: ev.evaluate(reference=x, fused=y, rounding="int"),
        lambda: ev.clip_dn(x, 11, top="2047"),
    ):
        with pytest.raises(OptionError, match="choose"):
            call()
    assert ev.clip_dn(np.array([3000.0]), 11, top="largest") == [2047.0]
    assert ev.cut_border(x, 21, symmetric=True).shape == (4, 86, 118)
    np.testing.assert_array_equal(ev.cut_border(x, 5, symmetric=True), x[:, 5:-5, 5:-5])


def test_hyperspectral_cubes_and_long_images(rng: np.random.Generator) -> None:
    cube = rng.integers(100, 4000, (256, 64, 96)).astype(np.float32)
    noisy = cube + rng.normal(0, 80, cube.shape).astype(np.float32)
    report = ev.evaluate(reference=cube, fused=noisy, data_range=4095)
    assert 0.9 < report.scores["q2n"] < 1.0
    assert len(report.per_band["q"]) == 256
    # More than 32 blocks of a side; windows of a period are the same at every place.
    period = rng.integers(100, 2000, (1, 32, 32))
    noise = rng.integers(-90, 90, period.shape)
    long = [np.tile(part, (1, 36, 34)) for part in (period, period + noise)]
    single = [np.tile(part, (1, 2, 2)) for part in (period, period + noise)]
    assert ev.q(*long) == pytest.approx(
        np.mean([ev.q(*(p[:, r : r + 32, c : c + 32] for p in single)) for r in range(32)
                 for c in range(32)]), rel=2e-3,
    )  # fmt: skip


@pytest.mark.parametrize("bands", [1, 3])
def test_constant_images_score_or_say_why_not(bands: int) -> None:
    flat = np.full((bands, 64, 64), 7.0)
    report = ev.evaluate(reference=flat, fused=flat + 1, data_range=255)
    assert set(report.scores) == {"ergas", "sam", "q2n", "rmse", "q", "scc", "psnr", "ssim"}
    assert [note.split()[0] for note in report.notes] == ["cc"]
    assert np.isfinite(list(report.scores.values())).all()
    assert report.scores["q"] == pytest.approx(2 * 7 * 8 / (7**2 + 8**2))
    assert ev.evaluate(reference=flat, fused=flat).scores["q2n"] == 1.0


def test_one_band_is_the_universal_index(rng: np.random.Generator) -> None:
    x = rng.integers(100, 900, (1, 32, 32)).astype(float)
    y = np.rint(x + rng.normal(0, 30, x.shape))
    mean, spread = x.mean(), x.std(ddof=1)
    normal = [(image - mean) / spread + 1 for image in (x, y)]
    assert ev.q2n(x, y) == pytest.approx(abs(ev.q(*normal)), rel=1e-9)


def test_blocks_larger_than_the_image(build_scene) -> None:
    images = build_scene(height=40, width=48)
    report = ev.evaluate(reference=images.reference, fused=images.fused, block_size=128)
    assert 0 < report.scores["q2n"] < 1
    full = ev.evaluate(
        fused=images.fused, ms=images.ms, pan=images.pan, block_size=128, sensor="QB"
    )
    assert set(full.scores) == {"d_lambda_k"}
    assert [note.split()[0] for note in full.notes] == ["d_s", "d_lambda"]
    with pytest.raises(MetricError, match="use smaller blocks"):
        ev.d_s(images.fused, images.ms, images.pan, block_size=128)
