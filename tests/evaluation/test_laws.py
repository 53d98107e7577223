"""What must hold for every index, and what must be refused."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp import evaluation as ev
from pansharp.errors import MetricError, OptionError, PansharpError, PansharpWarning
from pansharp.filters import imresize, interp23

IDEAL = {
    "ergas": 0.0,
    "sam": 0.0,
    "q2n": 1.0,
    "q": 1.0,
    "scc": 1.0,
    "rmse": 0.0,
    "cc": 1.0,
    "ssim": 1.0,
    "psnr": np.inf,
}


def _score(name: str, reference: np.ndarray, fused: np.ndarray) -> float:
    extra = {"data_range": 2047} if name in ("ssim", "psnr") else {}
    return getattr(ev, name)(reference, fused, **extra)


@pytest.mark.parametrize("name", IDEAL)
@given(bands=st.integers(1, 9), seed=st.integers(0, 99), constant=st.booleans())
def test_identity(name: str, bands: int, seed: int, constant: bool) -> None:
    image = np.random.default_rng(seed).integers(1, 2000, (bands, 40, 36))
    if constant:
        # The first block is flat, the rest is not.
        image[:, :32, :32] = 7
    assert _score(name, image, image) == pytest.approx(IDEAL[name], abs=1e-12)
    if name in ("ergas", "sam", "rmse"):
        assert _score(name, image, image) == 0.0


@pytest.mark.parametrize("name", sorted(set(IDEAL) - {"q2n"}))
def test_order_of_bands_does_not_matter(name: str, scene) -> None:
    order = [2, 0, 3, 1]
    assert _score(name, scene.reference[order], scene.fused[order]) == pytest.approx(
        _score(name, scene.reference, scene.fused), rel=1e-9
    )


def test_order_of_bands_and_full_resolution(scene) -> None:
    order = [2, 0, 3, 1]
    _, fused, ms, pan = scene
    assert ev.qnr(fused[order], ms[order], pan) == pytest.approx(ev.qnr(fused, ms, pan), rel=1e-9)


@pytest.mark.parametrize("name", ["ergas", "sam", "q", "scc", "cc"])
@given(scale=st.floats(0.01, 100.0))
def test_common_scale_does_not_matter(name: str, scene, scale: float) -> None:
    assert _score(name, scene.reference * scale, scene.fused * scale) == pytest.approx(
        _score(name, scene.reference, scene.fused), rel=1e-7
    )


def test_scale_of_the_error(scene) -> None:
    error = scene.fused - scene.reference
    for name in ("ergas", "rmse"):
        once, twice = (_score(name, scene.reference, scene.reference + k * error) for k in (1, 2))
        assert twice == pytest.approx(2 * once, rel=1e-12)
    assert ev.ergas(scene.reference, scene.fused, ratio=2) == pytest.approx(
        2 * ev.ergas(scene.reference, scene.fused, ratio=4), rel=1e-12
    )
    assert ev.sam(scene.reference, 3.7 * scene.reference) == pytest.approx(0.0, abs=1e-5)


def test_hand_made_values() -> None:
    reference = np.stack([np.full((4, 4), 100.0), np.full((4, 4), 200.0)])
    fused = reference + np.array([3.0, -4.0])[:, None, None]
    assert ev.rmse(reference, fused) == pytest.approx(np.sqrt(12.5))
    assert ev.ergas(reference, fused) == pytest.approx(25 * np.sqrt((0.03**2 + 0.02**2) / 2))
    assert ev.psnr(reference, fused, data_range=255) == pytest.approx(10 * np.log10(255**2 / 12.5))
    apart = ev.psnr(reference, fused, data_range=255, pooled=False)
    assert apart == pytest.approx(np.mean(10 * np.log10(255**2 / np.array([9.0, 16.0]))))
    first = np.zeros((2, 2, 2))
    second = np.zeros((2, 2, 2))
    first[0, 0, 0] = second[1, 0, 0] = 5.0
    first[:, 1, 1] = second[:, 1, 1] = 2.0
    # One right angle, one equal pixel, two pixels without a spectrum that do not count.
    assert ev.sam(first, second) == pytest.approx(45.0)


def _multiply(a: list[float], b: list[float]) -> list[float]:
    """Hypercomplex product written out from its recursive definition."""
    if len(a) == 1:
        return [a[0] * b[0]]
    half = len(a) // 2

    def conj(x: list[float]) -> list[float]:
        return [x[0], *(-value for value in x[1:])]

    def add(x: list[float], y: list[float], sign: int) -> list[float]:
        return [p + sign * q for p, q in zip(x, y, strict=True)]

    x1, x2, y1, y2 = a[:half], conj(a[half:]), b[:half], conj(b[half:])
    if half == 1:
        x2, y2 = a[half:], b[half:]
    left = add(_multiply(x1, y1), _multiply(y2, conj(x2)), -1)
    right = add(_multiply(conj(x1), y2), _multiply(y1, x2), 1)
    return left + right


@pytest.mark.parametrize(("bands", "order"), [(1, 1), (2, 2), (3, 4), (5, 8), (16, 16)])
def test_q2n_equals_the_definition_pixel_by_pixel(
    rng: np.random.Generator, bands: int, order: int
) -> None:
    side = 4
    x = rng.integers(100, 900, (bands, side, side)).astype(float)
    y = np.rint(x * 0.9 + rng.normal(30, 60, x.shape)).clip(0)
    mean, std = x.mean(axis=(1, 2)), x.std(axis=(1, 2), ddof=1)
    z1 = np.ones((order, side * side))
    z2 = np.ones((order, side * side))
    z1[:bands] = ((x.reshape(bands, -1).T - mean) / std + 1).T
    z2[:bands] = ((y.reshape(bands, -1).T - mean) / std + 1).T
    z2[1:] *= -1
    n = side * side
    factor = n / (n - 1)
    product = np.mean(
        [_multiply(list(p), list(q)) for p, q in zip(z1.T, z2.T, strict=True)], axis=0
    )
    m1, m2 = z1.mean(axis=1), z2.mean(axis=1)
    crossed = factor * (product - _multiply(list(m1), list(m2)))
    a, b = np.linalg.norm(m1), np.linalg.norm(m2)
    variance = factor * ((z1**2).sum(axis=0).mean() + (z2**2).sum(axis=0).mean() - a**2 - b**2)
    expected = np.linalg.norm(crossed) * 2 * a * b / (a**2 + b**2) * 2 / variance
    assert ev.q2n(x, y, block_size=side, shift=side) == pytest.approx(expected, rel=1e-10)


def test_q2n_rounds_half_up_and_saturates(scene) -> None:
    x = scene.reference
    assert ev.q2n(x, x + 0.5) == ev.q2n(x, x + 1)
    assert ev.q2n(x, x + 0.49) == ev.q2n(x, x)
    wild, limited = x.copy(), x.copy()
    wild[0, 5:9, 5], limited[0, 5:9, 5] = -7.0, 0.0
    wild[1, 5:9, 9], limited[1, 5:9, 9] = 70000.0, 65535.0
    assert ev.q2n(x, wild) == ev.q2n(x, limited) < ev.q2n(x, x)


def test_q2n_of_an_empty_reference_block_does_not_scale_the_fused_one() -> None:
    empty = np.zeros((1, 32, 32))
    # Means 1 and 3 + 1 and no variance: the bias 2 * 1 * 4 / (1 + 16) is all that is left.
    assert ev.q2n(empty, empty + 3) == pytest.approx(8 / 17, rel=1e-12)


@pytest.mark.parametrize("variant", ["2021", "2015"])
def test_scc_equals_the_definition(scene, variant: str) -> None:
    from scipy import ndimage

    kernel = np.array([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]])

    def gradient(band: np.ndarray) -> np.ndarray:
        inner = band[1:-1, 1:-1] if variant == "2021" else band
        parts = [ndimage.correlate(inner, k, mode="constant") for k in (kernel, kernel.T)]
        return np.hypot(*parts) if variant == "2021" else parts[0]

    gx, gy = (np.stack([gradient(b) for b in image]) for image in (scene.reference, scene.fused))
    expected = (gx * gy).sum() / np.sqrt((gx**2).sum() * (gy**2).sum())
    assert ev.scc(scene.reference, scene.fused, variant=variant) == pytest.approx(
        expected, rel=1e-12
    )


def test_q2n_of_an_image_smaller_than_a_block_mirrors_it(rng: np.random.Generator) -> None:
    x = rng.integers(100, 900, (4, 20, 24))
    y = x + rng.integers(-40, 40, x.shape)
    margin = ((0, 0), (0, 12), (0, 8))
    expected = ev.q2n(np.pad(x, margin, mode="symmetric"), np.pad(y, margin, mode="symmetric"))
    assert ev.q2n(x, y) == pytest.approx(expected, rel=1e-12)


def test_q2n_takes_hyperspectral_cubes(rng: np.random.Generator) -> None:
    x = rng.integers(100, 900, (70, 32, 32))
    assert ev.q2n(x, x) == pytest.approx(1.0, abs=1e-12)
    assert 0.0 < ev.q2n(x, x + rng.integers(-90, 90, x.shape)) < 1.0


def test_interpolated_image_has_no_spectral_distortion(scene) -> None:
    up = interp23(scene.ms, 4)
    assert ev.d_lambda(up, scene.ms) == 0.0
    assert ev.d_s(up, scene.ms, scene.pan) > 0.0
    assert ev.d_lambda_k(up, scene.ms, sensor="QB") > 0.0


def test_exponents(scene) -> None:
    _, fused, ms, pan = scene
    lam, space = ev.d_lambda(fused, ms), ev.d_s(fused, ms, pan)
    pairs = [list(pair) for pair in itertools.combinations(range(len(ms)), 2)]
    parts = [ev.d_lambda(fused[pair], ms[pair]) for pair in pairs]
    assert lam == pytest.approx(np.mean(parts))
    assert ev.d_lambda(fused, ms, p=2.0) == pytest.approx(np.sqrt(np.mean(np.square(parts))))
    bands = [ev.d_s(fused[b : b + 1], ms[b : b + 1], pan) for b in range(len(ms))]
    assert space == pytest.approx(np.mean(bands))
    assert ev.d_s(fused, ms, pan, q=3.0) == pytest.approx(np.mean(np.power(bands, 3)) ** (1 / 3))
    assert ev.qnr(fused, ms, pan, alpha=2.0, beta=3.0) == pytest.approx(
        (1 - lam) ** 2 * (1 - space) ** 3
    )


def test_constant_blocks_are_dropped_unless_the_reference_is_wanted(scene) -> None:
    _, fused, ms, pan = scene
    fused, ms = fused.copy(), ms.copy()
    fused[:, :32, :32] = 500.0
    value = ev.d_lambda(fused, ms)
    assert np.isfinite(value)
    assert np.isnan(ev.d_lambda(fused, ms, mode="reference"))
    keep = np.ones(pan.shape, dtype=bool)
    keep[:32, :32] = False
    # The same blocks are left; only the interpolator sees a hole instead of the flat corner.
    assert value == pytest.approx(ev.d_lambda(fused, ms, mask=keep), abs=0.02)


@pytest.mark.parametrize("flat", [("fused", "pan"), ("ms_up", "pan_low")])
def test_a_block_that_is_undefined_at_one_scale_is_dropped_from_both(
    scene, flat: tuple[str, str]
) -> None:
    up, low = interp23(scene.ms, 4), interp23(imresize(scene.pan, 0.25), 4)
    parts = {"fused": scene.fused, "ms_up": up, "pan": scene.pan, "pan_low": low}
    mask = np.ones(scene.pan.shape, dtype=bool)
    mask[:32, 32:64] = False
    expected = ev.FullResolutionAccumulator(4)
    expected.add(**parts, mask=mask)
    for name in flat:
        parts[name] = parts[name].copy()
        parts[name][..., :32, 32:64] = 300.0
    found = ev.FullResolutionAccumulator(4)
    found.add(**parts)
    for name in ("d_lambda", "d_s"):
        assert found.result()[name] == pytest.approx(expected.result()[name], rel=1e-12)


def test_a_pair_of_dead_bands_is_left_out_with_a_word(scene) -> None:
    fused, ms = scene.fused.copy(), scene.ms.copy()
    for band in (1, 2):
        fused[band], ms[band] = 3.0, 3.0
    with pytest.warns(PansharpWarning, match="1 of 6 band pairs"):
        assert np.isfinite(ev.d_lambda(fused, ms))


SMALL = np.ones((2, 8, 8))
BIG = np.ones((2, 32, 32))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ev.ergas(SMALL, SMALL, ratio=0.25), "did you mean 4"),
        (lambda: ev.ergas(SMALL, SMALL, ratio=-1), "1 or more"),
        (lambda: ev.sam(SMALL, SMALL[:, 1:]), "must be equal"),
        (lambda: ev.sam(np.ones(5), np.ones(5)), "non-empty"),
        (lambda: ev.sam(SMALL, SMALL, mask=np.ones((7, 8), bool)), "mask is 7x8"),
        (lambda: ev.sam(SMALL, SMALL, mask=np.zeros((8, 8), bool)), "True means valid"),
        (lambda: ev.sam(0 * SMALL, SMALL), "all-zero"),
        (lambda: ev.ergas(0 * SMALL, SMALL), "mean 0"),
        (lambda: ev.ergas(SMALL, SMALL * np.nan), "fused has values that are not finite"),
        (lambda: ev.rmse(SMALL * np.inf, SMALL), "reference has values"),
        (lambda: ev.rmse(SMALL * 1j, SMALL), "real numbers"),
        (lambda: ev.cc(SMALL, SMALL), "constant"),
        (lambda: ev.scc(SMALL, 0 * SMALL), "fused image has no gradient"),
        (lambda: ev.scc(SMALL[:, :2], SMALL[:, :2]), "too small"),
        (lambda: ev.q(SMALL, SMALL), "smaller than the window"),
        (lambda: ev.ssim(SMALL, SMALL, data_range=255), "smaller than the window"),
        (lambda: ev.ssim(SMALL, SMALL, data_range=0), "positive"),
        (lambda: ev.psnr(SMALL, SMALL, data_range=-1), "positive"),
        (lambda: ev.q2n(SMALL, SMALL, block_size=1), "at least 2"),
        (lambda: ev.q2n(SMALL, SMALL, shift=0), "at least 1"),
        (lambda: ev.q2n(9 * BIG, BIG, mask=np.zeros((32, 32), bool)), "at least half valid"),
        (lambda: ev.q(BIG, BIG, mask=np.zeros((32, 32), bool)), "at least half valid"),
        (lambda: ev.d_lambda(BIG, SMALL[:, 1:]), "must be 2x28x32"),
        (lambda: ev.d_lambda(BIG, SMALL), "has texture"),
        (lambda: ev.d_lambda(BIG[:1], SMALL[:1]), "at least two"),
        (lambda: ev.d_lambda(BIG, SMALL, ratio=3), "power of two"),
        (lambda: ev.d_lambda(BIG, SMALL, ratio=0.25), "did you mean 4"),
        (lambda: ev.d_lambda(BIG, SMALL, block_size=30, variant="paper"), "whole number"),
        (lambda: ev.d_lambda(BIG, SMALL, block_size=24, mode="reference"), "multiple of the block"),
        (lambda: ev.d_lambda(BIG, SMALL, p=0), "has texture|must be positive"),
        (lambda: ev.d_s(BIG, SMALL, BIG), "should be 1x32x32"),
        (lambda: ev.d_s(BIG, SMALL, BIG[0] * np.nan), "pan has values that are not finite"),
        (lambda: ev.d_s(BIG, SMALL * np.nan, BIG[0]), "ms has values that are not finite"),
        (lambda: ev.ReferenceAccumulator(3, 4).add(BIG, BIG), "2 bands"),
        (lambda: ev.FullResolutionAccumulator(2).add(BIG, SMALL), "ms_up has shape"),
        (lambda: ev.FullResolutionAccumulator(2).add(BIG, BIG, pan=BIG[0]), "both pan"),
        (lambda: ev.FullResolutionAccumulator(2).result(), "at least half valid"),
        (lambda: ev.ReferenceAccumulator(2).result(), "no valid pixel"),
        (lambda: ev.cut_border(SMALL, 5), "cut less"),
    ],
)
def test_undefined_scores_are_refused_in_one_line(call, text: str) -> None:
    with pytest.raises(MetricError, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ev.scc(SMALL, SMALL, variant="2020"), "'2021' or '2015'"),
        (lambda: ev.d_lambda(BIG, SMALL, variant="2015"), "'toolbox' or 'paper'"),
        (lambda: ev.d_s(BIG, SMALL, BIG[0], variant="old"), "'2015'"),
        (lambda: ev.d_s(BIG, SMALL, BIG[0], variant="2015"), "pass sensor"),
        (lambda: ev.d_lambda(BIG, SMALL, mode="strict"), "'reference'"),
        (lambda: ev.evaluate(), "pass fused"),
        (lambda: ev.evaluate(fused=BIG), "needs pan and ms"),
        (lambda: ev.evaluate(fused=BIG, pan=BIG[0]), "needs ms"),
        (lambda: ev.evaluate(fused=BIG, reference=BIG, ms=SMALL), "were given"),
    ],
)
def test_wrong_options_are_refused(call, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        call()


def test_values_between_zero_and_one_are_warned_of(scene) -> None:
    small = [scene.reference / 2048, scene.fused / 2048]
    for call in (
        lambda: ev.q2n(*small),
        lambda: ev.q2n_map(*small),
        lambda: ev.d_lambda_k(small[1], scene.ms / 2048, sensor="QB"),
        lambda: ev.evaluate(reference=small[0], fused=small[1]),
    ):
        with pytest.warns(PansharpWarning, match="digital numbers") as caught:
            call()
        assert caught[0].filename == __file__


def test_report(scene) -> None:
    report = ev.evaluate(reference=scene.reference, fused=scene.fused, data_range=2047)
    assert set(report.scores) == {
        "ergas", "sam", "q2n", "q", "scc", "rmse", "cc", "psnr", "ssim",
    }  # fmt: skip
    data = json.loads(report.to_json())
    assert data["scores"]["ergas"] == report.scores["ergas"]
    assert data["protocol"] == "reference"
    assert data["conventions"]["q2n_block"] == 32
    assert len(data["per_band"]["q"]) == 4
    assert np.mean(report.per_band["q"]) == pytest.approx(report.scores["q"])
    assert "ERGAS" in str(report)
    assert "<table>" in report._repr_html_()
    frame = report.to_frame()
    assert frame.loc["reference", "sam"] == report.scores["sam"]
    other = ev.evaluate(fused=scene.fused, ms=scene.ms, pan=scene.pan, sensor="QB")
    assert list(other.scores) == ["d_lambda", "d_s", "qnr", "d_lambda_k", "hqnr"]
    assert not other.conventions["mtf_assumed"]
    table = ev.Report.concat({"a": report, "b": other})
    assert list(table.index) == ["a", "b"]
    assert np.isnan(table.loc["a", "hqnr"])
    assert list(ev.Report.concat([report, other]).index) == ["0", "1"]


def test_report_says_what_it_left_out_or_assumed(scene) -> None:
    small = ev.evaluate(reference=scene.reference[:, :20, :20], fused=scene.fused[:, :20, :20])
    assert "q" not in small.scores
    assert any(note.startswith("q left out") for note in small.notes)
    assert "note: q left out" in str(small)
    full = ev.evaluate(fused=scene.fused, ms=scene.ms, pan=scene.pan)
    assert any("assumed" in note for note in full.notes)
    assert full.conventions["mtf_gains"] == [0.3] * 4
    one = ev.evaluate(fused=scene.fused[:1], ms=scene.ms[:1], pan=scene.pan, sensor=0.3)
    assert set(one.scores) == {"d_s", "d_lambda_k", "hqnr"}
    mask = np.ones(scene.pan.shape, dtype=bool)
    mask[:64] = False
    half = ev.evaluate(reference=scene.reference, fused=scene.fused, mask=mask)
    assert any(note.startswith("50.0 %") for note in half.notes)
    same = ev.evaluate(reference=scene.reference, fused=scene.reference, data_range=2047)
    assert json.loads(same.to_json())["scores"]["psnr"] is None


def test_helpers_follow_the_toolbox() -> None:
    image = np.arange(100.0).reshape(10, 10)
    np.testing.assert_array_equal(ev.cut_border(image, 3), image[2:7, 2:7])
    assert ev.cut_border(image, 0) is image
    clipped = ev.clip_dn(np.array([-1.0, 5.5, 2050.0]), 11)
    np.testing.assert_array_equal(clipped, [0.0, 5.5, 2048.0])
    np.testing.assert_array_equal(ev.clip_dn(np.array([7, 255], dtype=np.uint8), 8), [7, 255])


def test_every_error_is_a_pansharp_error() -> None:
    for kind, call in itertools.product((PansharpError, ValueError), (lambda: ev.q(SMALL, SMALL),)):
        with pytest.raises(kind):
            call()
