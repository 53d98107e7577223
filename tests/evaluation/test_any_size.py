"""The value of an index does not depend on how the images are stored or read."""

from __future__ import annotations

import numpy as np
import pytest

from pansharp import evaluation as ev
from pansharp.evaluation import _views


def _same(value: float, expected: float) -> None:
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("shape", [(128, 160), (148, 164), (36, 200)])
@pytest.mark.parametrize("holes", [False, True])
def test_pieces_equal_the_whole(
    score, build_scene, lazy, monkeypatch, shape: tuple[int, int], holes: bool
) -> None:
    images = build_scene(height=shape[0], width=shape[1])
    mask = None
    if holes:
        mask = np.ones(shape, dtype=bool)
        mask[:9, 60:71] = mask[20:40, 5:30] = mask[:, 130:] = mask[-3:] = False
    whole = score(*images, mask)
    monkeypatch.setattr(_views, "PIECE", 1 << 13)
    # 48x48 pixels of 4 bands make a piece; halos and overlapping blocks come on top.
    views = [lazy(image, 56_000) for image in images]
    _same(score(*views, None if mask is None else lazy(mask, 40_000)), whole)
    for view, image in zip(views, images, strict=True):
        assert view.largest == 0 or image.size < 60_000 or view.largest < image.size


def test_dask_equals_numpy(score, scene, monkeypatch) -> None:
    dask = pytest.importorskip("dask")
    da = pytest.importorskip("dask.array")
    monkeypatch.setattr(_views, "PIECE", 1 << 15)
    lazy = [da.from_array(image, chunks=50) for image in scene]
    mask = np.ones(scene.pan.shape, dtype=bool)
    mask[30:60, 40:70] = False
    with dask.config.set(scheduler="synchronous"):
        value = score(*lazy, da.from_array(mask, chunks=64))
    _same(value, score(*scene, mask))


def test_xarray_and_a_leading_axis_are_accepted(score, scene) -> None:
    xr = pytest.importorskip("xarray")
    wrapped = [xr.DataArray(image) for image in scene]
    expected = score(*scene, None)
    assert score(*wrapped, None) == expected
    assert score(*scene[:3], scene.pan[None], None) == expected


def test_number_types_agree(score, scene) -> None:
    rounded = [np.rint(np.clip(image, 0, 2047)) for image in scene]
    expected = score(*rounded, None)
    for dtype in (np.uint16, np.int32, np.float32):
        _same(score(*(image.astype(dtype) for image in rounded), None), expected)


def test_full_mask_changes_nothing(score, scene, lazy) -> None:
    expected = score(*scene, None)
    mask = np.ones(scene.pan.shape, dtype=bool)
    assert score(*scene, mask) == expected
    assert score(*scene, lazy(mask, mask.size)) == expected


def test_what_is_masked_has_no_influence(score, scene) -> None:
    mask = np.ones(scene.pan.shape, dtype=bool)
    mask[40:80, 24:60] = False
    mask[97, 33] = False
    results = []
    for poison in (np.nan, np.inf, 0.0, -9999.0):
        images = [image.copy() for image in scene]
        for image in images:
            ratio = mask.shape[0] // image.shape[-2]
            blocks = mask.reshape(mask.shape[0] // ratio, ratio, -1, ratio).all(axis=(1, 3))
            image[..., ~blocks] = poison
        results.append(score(*images, mask))
    assert np.isfinite(results).all()
    np.testing.assert_allclose(results, results[0], rtol=1e-12, atol=1e-15)


def test_masking_a_good_half_leaves_the_bad_half(scene) -> None:
    fused = scene.reference.copy()
    fused[:, :, :64] += 50.0
    left = np.zeros(scene.pan.shape, dtype=bool)
    left[:, :64] = True
    cut = (scene.reference[:, :, :64], fused[:, :, :64])
    for name in ("ergas", "sam", "rmse", "cc", "q2n"):
        index = getattr(ev, name)
        _same(index(scene.reference, fused, mask=left), index(*cut))
    assert ev.rmse(scene.reference, fused, mask=~left) == 0.0
    assert ev.q2n(scene.reference, fused, mask=~left) == pytest.approx(1.0, abs=1e-12)


IDEAL = {
    "ergas": 0.0, "sam": 0.0, "q2n": 1.0, "q": 1.0, "scc": 1.0, "scc_2015": 1.0,
    "ssim": 1.0, "rmse": 0.0, "cc": 1.0, "psnr": np.inf,
}  # fmt: skip


@pytest.mark.parametrize("name", IDEAL)
@pytest.mark.parametrize("size", [(128, 160), (452, 484)])
def test_masking_all_errors_leaves_a_perfect_image(
    build_scene, scores, name: str, size: tuple[int, int]
) -> None:
    images = build_scene(bands=2, height=size[0], width=size[1])
    mask = np.ones(size, dtype=bool)
    # The edge of a hole must not count either; nor may an averaged cell that it touches.
    mask[30:57, 41:80] = mask[90:101, :9] = False
    fused = np.where(mask, images.reference, 9.0 * images.reference[::-1] + 500.0)
    value = scores[name](images.reference, fused, images.ms, images.pan, mask)
    assert value == pytest.approx(IDEAL[name], abs=1e-12)
    assert scores[name](images.reference, fused, images.ms, images.pan, None) != pytest.approx(
        IDEAL[name], abs=1e-3
    )


def test_masked_windows_follow_their_definition(scene) -> None:
    rows, cols = 44, 41
    x, y = scene.reference[:2, :rows, :cols], scene.fused[:2, :rows, :cols]
    mask = np.ones((rows, cols), dtype=bool)
    mask[8:40, 3:20] = mask[0, 0] = False
    gauss = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    gauss = np.outer(gauss, gauss) / gauss.sum() ** 2

    def windows(side: int):
        for row in range(rows - side + 1):
            for col in range(cols - side + 1):
                at = np.s_[..., row : row + side, col : col + side]
                yield x[at], y[at], mask[at]

    quality = []
    for a, b, valid in windows(32):
        if 2 * valid.sum() < 32 * 32:
            continue
        for p, q in zip(a[:, valid], b[:, valid], strict=True):
            (cpp, cpq), (_, cqq) = np.cov(p, q, bias=True)
            m, n = p.mean(), q.mean()
            quality.append(4 * cpq * m * n / ((cpp + cqq) * (m * m + n * n)))
    _same(ev.q(x, y, mask=mask), np.mean(quality))
    similar = []
    c1, c2 = (0.01 * 2047) ** 2, (0.03 * 2047) ** 2
    for a, b, valid in windows(11):
        weight = gauss * valid
        if weight.sum() < 0.5:
            continue
        weight = weight / weight.sum()
        for p, q in zip(a, b, strict=True):
            m, n = (weight * p).sum(), (weight * q).sum()
            cpp, cqq = (weight * (p - m) ** 2).sum(), (weight * (q - n) ** 2).sum()
            cpq = (weight * (p - m) * (q - n)).sum()
            similar.append(
                (2 * m * n + c1) * (2 * cpq + c2) / ((m * m + n * n + c1) * (cpp + cqq + c2))
            )
    _same(ev.ssim(x, y, data_range=2047, mask=mask), np.mean(similar))


def test_masked_filters_follow_their_definition(scene) -> None:
    from pansharp.filters import correlate_replicate, interp23, mtf_kernel, mtf_kernels

    _, fused, ms, pan = scene
    low = np.ones(ms.shape[1:], dtype=bool)
    # Far from the blocks that are compared, nothing but the filters can see the hole.
    low[8:16, 16:24] = False
    mask = low.repeat(4, axis=0).repeat(4, axis=1)

    def soft(image: np.ndarray, kernels: np.ndarray) -> np.ndarray:
        total = correlate_replicate(np.where(mask, image, 0.0), kernels)
        seen = correlate_replicate(mask[None] * np.ones(total.shape), kernels)
        return total / np.where(mask, seen / kernels.sum((1, 2))[:, None, None], 1.0)

    # A smooth MS, so that holes filled from the neighbours change nothing.
    ms = np.full_like(ms, 500.0)
    up = interp23(ms, 4)
    blurred = soft(fused, mtf_kernels("QB", 4, 4))
    assert ev.d_lambda_k(fused, ms, sensor="QB", mask=mask) == pytest.approx(
        1 - ev.q2n(up, blurred, mask=mask), rel=1e-9
    )
    _, _, ms, _ = scene
    kernel = mtf_kernel("QB", 4, "pan", legacy=True)[None]
    plain = ev.d_s(fused, ms, pan, variant="2015", sensor="QB", mask=mask)
    poisoned = pan.copy()
    poisoned[~mask] = 9999.0
    assert ev.d_s(fused, ms, poisoned, variant="2015", sensor="QB", mask=mask) == plain
    accumulator = ev.FullResolutionAccumulator(4)
    # Blocks that the interpolator's filled hole does not reach.
    accumulator.add(fused, interp23(ms, 4), None, pan, soft(pan[None], kernel)[0], mask)
    assert plain == pytest.approx(accumulator.result()["d_s"], abs=2e-3)


def test_holes_move_full_resolution_scores_little(scene) -> None:
    mask = np.ones(scene.pan.shape, dtype=bool)
    mask[44:52, 60:68] = False
    for call in (
        lambda k: ev.d_lambda(scene.fused, scene.ms, mask=k),
        lambda k: ev.d_s(scene.fused, scene.ms, scene.pan, mask=k),
        lambda k: ev.d_lambda_k(scene.fused, scene.ms, sensor="QB", mask=k),
    ):
        assert call(mask) == pytest.approx(call(None), abs=5e-3)


def test_blocks_less_than_half_valid_are_dropped(scene) -> None:
    mask = np.ones(scene.pan.shape, dtype=bool)
    mask[:17, :32] = False
    mask[32:48, :32] = False
    blocks = ev.q2n_map(scene.reference, scene.fused, mask=mask)
    assert np.isnan(blocks[0, 0])
    assert np.isfinite(np.delete(blocks.ravel(), 0)).all()
    plain = ev.q2n_map(scene.reference, scene.fused)
    np.testing.assert_allclose(blocks[:, 1:], plain[:, 1:], rtol=1e-12)


@pytest.mark.parametrize("step", [32, 64])
def test_accumulators_equal_the_functions(scene, step: int) -> None:
    reference, fused, _, pan = scene
    rows, cols = pan.shape
    mask = np.ones(pan.shape, dtype=bool)
    mask[50:60, 10:90] = False
    accumulator = ev.ReferenceAccumulator(4, 4)
    parts = []
    for row in range(0, rows, step):
        for col in range(0, cols, step):
            at = np.s_[..., row : row + step, col : col + step]
            parts.append(accumulator.add(reference[at], fused[at], mask[at]))
    result = accumulator.result()
    for name in ("ergas", "sam", "q2n", "rmse", "cc"):
        _same(result[name], getattr(ev, name)(reference, fused, mask=mask))
    total = sum(parts, ev.ReferenceSums.zero(4))
    assert total.scores(4) == pytest.approx(result, rel=1e-12)
    assert total.pixels == mask.sum()
    np.testing.assert_allclose(total.reference_sum, reference[:, mask].sum(axis=1), rtol=1e-12)


def test_full_resolution_accumulator_equals_the_functions(scene) -> None:
    from pansharp.filters import correlate_replicate, imresize, interp23, mtf_kernels

    _, fused, ms, pan = scene
    up, low = interp23(ms, 4), interp23(imresize(pan, 0.25), 4)
    soft = correlate_replicate(fused, mtf_kernels("QB", 4, 4))
    accumulator = ev.FullResolutionAccumulator(4)
    total = ev.FullResolutionSums.zero(4)
    for row in range(0, pan.shape[0], 64):
        at = np.s_[..., row : row + 64, :]
        total += accumulator.add(fused[at], up[at], soft[at], pan[at], low[at])
    result = accumulator.result()
    assert list(result) == ["d_lambda", "d_s", "qnr", "d_lambda_k", "hqnr"]
    assert total.scores() == result
    _same(result["d_lambda"], ev.d_lambda(fused, ms))
    _same(result["d_s"], ev.d_s(fused, ms, pan))
    _same(result["qnr"], ev.qnr(fused, ms, pan))
    _same(result["d_lambda_k"], ev.d_lambda_k(fused, ms, sensor="QB"))
    _same(result["hqnr"], ev.hqnr(fused, ms, pan, sensor="QB"))
    partial = ev.FullResolutionAccumulator(4)
    partial.add(fused, up)
    assert partial.result() == {"d_lambda": pytest.approx(result["d_lambda"], rel=1e-12)}


def test_ssim_of_large_images_averages_first(rng: np.random.Generator) -> None:
    from scipy import ndimage

    reference = rng.integers(0, 2047, (1, 650, 700)).astype(float)
    fused = reference + rng.normal(0, 100, reference.shape)
    # round(650 / 256) = 3
    small = [
        ndimage.uniform_filter(image[0], 3, mode="reflect")[None, ::3, ::3]
        for image in (reference, fused)
    ]
    _same(ev.ssim(reference, fused, data_range=2047), ev.ssim(*small, data_range=2047))
    # An even factor averages each pixel with the following one.
    reference, fused = reference[:, :512], fused[:, :512]
    small = [
        ndimage.uniform_filter(image[0], 2, mode="reflect", origin=-1)[None, ::2, ::2]
        for image in (reference, fused)
    ]
    _same(ev.ssim(reference, fused, data_range=2047), ev.ssim(*small, data_range=2047))
