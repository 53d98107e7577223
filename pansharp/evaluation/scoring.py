"""`evaluate`: every index that the given images allow, in one report and one walk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import MetricError, OptionError
from pansharp.evaluation import _views as views
from pansharp.evaluation._fullscene import FullResolution
from pansharp.evaluation._maps import BlockErrorPart, MapArrays, band_means
from pansharp.evaluation._walk import walk
from pansharp.evaluation.q2n import check_rounding
from pansharp.evaluation.report import Report
from pansharp.evaluation.similarity import AveragePart, SimilarityPart, averaging, ssim_bands
from pansharp.evaluation.sums import SumsPart
from pansharp.evaluation.windowed import Q_WINDOW, GradientPart, QualityPart

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.evaluation._views import Mask, Raster
    from pansharp.evaluation._walk import BlockSink, Floats, Part
    from pansharp.evaluation.q2n import Rounding
    from pansharp.sensors import SensorProfile

__all__ = ["block_maps", "evaluate"]

_AVERAGES = 1 << 23
"""Numbers of an averaged image that SSIM may keep; of a longer image it reads the pixels anew."""


def evaluate(
    *,
    reference: Raster | None = None,
    fused: Raster | None = None,
    pan: Raster | None = None,
    ms: Raster | None = None,
    ratio: float = 4,
    sensor: str | SensorProfile | float | None = None,
    mask: Mask | None = None,
    block_size: int = 32,
    data_range: float | None = None,
    rounding: Rounding = "uint16",
    workers: int = 1,
    maps: BlockSink | None = None,
) -> Report:
    """Score a fused image with every index that the given images allow.

    With `reference`: ERGAS, SAM, Q2n, Q, SCC, RMSE, CC, and PSNR and SSIM where `data_range` is
    given. Without: D_lambda, D_s, QNR, D_lambda_K and HQNR from `ms` and `pan`. Images are read
    once, piece by piece.

    Parameters
    ----------
    reference : array, dask array or view, optional
        Truth, shape (band, y, x), digital numbers.
    fused : array, dask array or view
        Image to score, shape (band, y, x), digital numbers.
    pan : array, dask array or view, optional
        Shape (y, x) or (1, y, x).
    ms : array, dask array or view, optional
        Low-resolution MS, shape (band, y / ratio, x / ratio).
    ratio : float
        MS pixel over PAN pixel.
    sensor : str, SensorProfile or float, optional
        Whose MTF gains D_lambda_K uses; None takes 0.30 for every band and says so.
    mask : array or view, optional
        Shape (y, x) of `fused`, True where valid; the scores are then not comparable with
        published tables.
    block_size : int
        Side of the blocks of Q2n and of the indices without a reference.
    data_range : float, optional
        Largest value possible, 2^bits - 1.
    rounding : {"uint16", "none"}
        What Q2n does to the values, see `q2n`.
    workers : int
        Threads; with more than one the images must allow reading from several at once.
    maps : callable, optional
        Called with (block row, block column, name to values (row, col)) for the blocks of each
        piece, in row-major order of the pieces; see `block_maps`.

    Returns
    -------
    Report
        Scores, conventions and notes.

    Raises
    ------
    OptionError
        Neither form is complete.
    MetricError
        An index is not defined for these images.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(100, 2000, (4, 64, 64))
    >>> evaluate(reference=image, fused=image).scores["ergas"]
    0.0
    """
    if fused is None:
        raise OptionError("nothing to score; pass fused")
    check_rounding(rounding)
    if reference is not None:
        if pan is not None or ms is not None:
            raise OptionError(
                "reference and pan or ms were given; pass reference to compare with a truth, "
                "or pan and ms to score without one"
            )
        return _WithReference(
            reference, fused, ratio, mask, block_size, data_range, rounding
        ).report(workers, maps)
    if ms is None or pan is None:
        missing = " and ".join(n for n, given in (("pan", pan), ("ms", ms)) if given is None)
        raise OptionError(f"no reference, so the score needs {missing} as well")
    scene = FullResolution(fused, ms, pan, ratio, mask, block_size, "default", workers=workers)
    return _without_reference(scene, sensor, rounding, maps)


def block_maps(*, fused: Raster, block_size: int = 32, **images: Any) -> dict[str, Floats]:
    """Scores of single blocks: where a fusion is good and where it is not.

    With a reference ``q2n``; ``sam``, mean angle in degrees; ``ergas``, the block's term: the root
    of the mean of the squared terms, weighted by valid pixels, is the ERGAS of the image. Without
    one ``d_lambda_k``, 1 - Q2n of the block; ``d_s``, mean over bands of the absolute difference
    of the block's universal indices: its mean over blocks is at least D_s, in which differences
    of opposite sign cancel.

    Parameters
    ----------
    fused : array, dask array or view
        Shape (band, y, x), digital numbers.
    block_size : int
        Side of a block, pixels.
    **images
        The other images and options of `evaluate`: ``reference``, or ``ms`` and ``pan``.

    Returns
    -------
    dict of str to ndarray
        Name to map, shape (ceil(y / block), ceil(x / block)), float64; NaN where a block was
        dropped.

    Raises
    ------
    MetricError, OptionError
        As `evaluate`.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(100, 2000, (4, 64, 96))
    >>> maps = block_maps(reference=image, fused=image + 10)
    >>> sorted(maps), maps["sam"].shape
    (['ergas', 'q2n', 'sam'], (2, 3))
    """
    view = views.ArrayView(fused, "fused")
    block = views.check_block(block_size)
    collected = MapArrays(-(-view.height // block), -(-view.width // block))
    evaluate(fused=fused, block_size=block, maps=collected, **images)
    return collected.maps


def _mask_note(pixels: int, size: tuple[int, int], masked: bool) -> list[str]:
    if not masked:
        return []
    share = 100.0 * pixels / (size[0] * size[1])
    return [f"{share:.1f} % of the pixels are valid; not comparable with published tables"]


class _WithReference:
    """The parts of a score with a reference, and the report that they make."""

    def __init__(
        self,
        reference: Raster,
        fused: Raster,
        ratio: float,
        mask: Mask | None,
        block_size: int,
        data_range: float | None,
        rounding: Rounding,
    ) -> None:
        self.ratio = views.check_ratio(ratio)
        self.block = views.check_block(block_size)
        self.first, self.second = views.pair(reference, fused)
        self.mask = views.mask_view(mask, self.first.size)
        self.range = None if data_range is None else views.check_range(data_range)
        self.rounding: Rounding = rounding
        self.notes: list[str] = []
        self.sums = SumsPart(self.first.bands, self.block, rounding=rounding)
        self.quality = self._attempt("q", lambda: QualityPart(self.first))
        self.gradient = self._attempt("scc", lambda: GradientPart(self.first))
        self.similarity = self._similarity()

    def _attempt(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives; where the index is not defined None, and a note says why."""
        try:
            return make()
        except MetricError as reason:
            self.notes.append(f"{name} left out: {reason}")
            return None

    def _similarity(self) -> SimilarityPart | AveragePart | None:
        top = self.range
        if top is None:
            return None
        if averaging(self.first.size) == 1:
            part: SimilarityPart | None = self._attempt(
                "ssim", lambda: SimilarityPart(self.first, top)
            )
            return part
        return AveragePart(self.first, top) if self._keeps_averages() else None

    def _keeps_averages(self) -> bool:
        factor = averaging(self.first.size)
        rows, cols = (-(-side // factor) for side in self.first.size)
        return self.first.bands * rows * cols <= _AVERAGES

    def _ssim_bands(self, top: float) -> Floats:
        if self.similarity is not None:
            return self.similarity.bands()
        return ssim_bands(
            self.first.source,
            self.second.source,
            data_range=top,
            mask=None if self.mask is None else self.mask.source,
        )

    def report(self, workers: int, maps: BlockSink | None) -> Report:
        """Walk over the images and put everything together."""
        parts: list[Part[Any]] = [
            part
            for part in (self.sums, self.quality, self.gradient, self.similarity)
            if part is not None
        ]
        if maps is not None:
            means = band_means(self.first, self.mask)
            parts.append(BlockErrorPart(means, self.ratio, self.block))
        walk(self.first, self.second, self.mask, parts, step=self.block, workers=workers, sink=maps)
        self.sums.guard.warn(3)
        sums = self.sums.sums
        scores = sums.scores(self.ratio)
        per_band: dict[str, Floats] = {"rmse": np.sqrt(sums.mse()), "cc": sums.cc_bands()}
        self.notes[:0] = _mask_note(sums.pixels, self.first.size, self.mask is not None)

        def attempt(name: str, compute: Callable[[], float]) -> None:
            value = self._attempt(name, compute)
            if value is not None:
                scores[name] = value

        def mean_of(name: str, bands: Callable[[], Floats]) -> float:
            per_band[name] = bands()
            return float(per_band[name].mean())

        for name in ("q2n", "cc"):
            if name not in scores:
                attempt(name, sums.q2n if name == "q2n" else sums.cc)
        if self.quality is not None:
            attempt("q", lambda: mean_of("q", self.quality.bands))
        if self.gradient is not None:
            attempt("scc", self.gradient.scc)
        top = self.range
        if top is not None:
            scores["psnr"] = sums.psnr(top)
            per_band["psnr"] = sums.psnr_bands(top)
            if not any(note.startswith("ssim") for note in self.notes):
                attempt("ssim", lambda: mean_of("ssim", lambda: self._ssim_bands(top)))
        return Report(
            scores,
            protocol="reference",
            per_band={
                name: tuple(float(value) for value in bands) for name, bands in per_band.items()
            },
            conventions={
                "ratio": self.ratio,
                "q2n_block": self.block,
                "q2n_shift": self.block,
                "q2n_rounding": self.rounding,
                "q_window": Q_WINDOW,
                "scc": "2021",
                "data_range": self.range,
                "masked": self.mask is not None,
            },
            notes=tuple(self.notes),
        )


def _without_reference(
    scene: FullResolution,
    sensor: str | SensorProfile | float | None,
    rounding: Rounding,
    maps: BlockSink | None,
) -> Report:
    from pansharp.sensors import get_sensor

    bands = scene.fused.bands
    notes: list[str] = []
    gains: tuple[float, ...]
    if isinstance(sensor, (int, float)):
        label, gains, assumed = None, (float(sensor),) * bands, False
    else:
        profile = sensor
        if profile is None or isinstance(profile, str):
            profile = get_sensor(profile or "none")
        label = profile.name
        gains, assumed = profile.mtf_gains(None, bands)
    if assumed:
        named = ", ".join(f"{gain:g}" for gain in sorted(set(gains)))
        notes.append(
            f"the MTF gains behind D_lambda_K are assumed ({named}), not published for this sensor"
        )
    if bands < 2:
        notes.append("d_lambda and qnr left out: they need at least two bands")
    sums = scene.sums(
        spectral="toolbox" if bands > 1 else None,
        spatial="toolbox",
        khan="none" if sensor is None else sensor,
        rounding=rounding,
        sink=maps,
        stacklevel=4,
    )
    notes[:0] = _mask_note(scene.valid_pixels, scene.fused.size, scene.mask is not None)
    scores = sums.scores()
    notes.extend(
        f"{name} left out: no block is at least half valid and has texture"
        for name in ("d_s", "d_lambda_k", *(("d_lambda",) if bands > 1 else ()))
        if name not in scores
    )
    if not scores:
        raise MetricError(
            "no block is at least half valid and has texture; "
            "check the mask (True means valid) or use smaller blocks"
        )
    return Report(
        scores,
        protocol="full",
        sensor=label,
        conventions={
            "ratio": scene.ratio,
            "block": scene.block,
            "d_lambda": "toolbox",
            "d_s": "toolbox",
            "q2n_rounding": rounding,
            "mtf_gains": list(gains),
            "mtf_assumed": assumed,
            "masked": scene.mask is not None,
        },
        notes=tuple(notes),
    )
