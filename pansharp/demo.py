"""The whole main job on a small real cube, with the truth at hand to check it."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pansharp.errors import OptionError, WriteError
from pansharp.simulate import (
    load_indian_pines,
    simulate_hsi_msi,
    simulate_pair,
    write_hsi_msi,
    write_pair,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from pansharp.scene import Scene

__all__ = ["describe", "run_demo"]

#: 145 pixels are few: at ratio 2 the MS keeps 72 x 72 pixels, enough to train on some blocks and
#: to judge on others; at ratio 4 it would keep 36 x 36, on which neither is possible.
SENSOR, RATIO, SEED = "worldview3", 2, 0
NETWORK = "rescnn"
#: What the network is compared with, beside the best classical method of its own score card: a
#: good one on most scenes, and no sharpening at all.
COMPARED = ("mtf-glp-fs", "exp")

_SOURCE = (
    "AVIRIS Indian Pines, 12 June 1992: Baumgardner, Biehl, Landgrebe (2015), "
    "doi:10.4231/R7RX991C, CC BY 3.0"
)


def _need(package: str) -> None:
    if find_spec(package) is None:
        raise OptionError(
            f"the demo needs the package {package}, which is not installed; "
            "run: pip install 'pansharp[demo]'"
        )


def run_demo(
    folder: str | Path, *, progress: Callable[[float, float, str], None] | None = None
) -> dict[str, Any]:
    """Simulate a pair from a real cube, fuse it, and score the products against the truth.

    A WorldView-3 pair (PAN 144 x 144, MS 72 x 72, eight bands) is simulated from Indian Pines,
    written as GeoTIFFs, and read back as any delivery. The network `rescnn` is adapted to it;
    MTF-GLP-FS, plain interpolation and the classical method that the score card finds best stand
    beside it, with as many back-projections. A pair of a coarse hyperspectral cube and a sharp
    multispectral guide from the same cube is written too (``pansharp info --hsi --msi`` reads it).

    Parameters
    ----------
    folder : str or Path
        Created if need be; earlier results in it are replaced.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    dict
        ``files`` (name to path), ``scores`` (method to ERGAS, SAM in degrees and Q2n against the
        truth), ``verdict`` and ``used`` (from the score card, which never saw the truth), ``card``,
        ``seconds``, ``source``.

    Raises
    ------
    OptionError
        If tensorly or matplotlib is not installed.
    WriteError
        If the folder cannot be written.
    """
    _need("tensorly")
    _need("matplotlib")
    from pansharp.pipeline import FuseOptions, fuse_to_file
    from pansharp.readers import open_scene

    start = time.monotonic()
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise WriteError(f"cannot create the folder '{target}': {problem.strerror}") from problem
    cube, wavelengths = load_indian_pines()
    pair = simulate_pair(cube, wavelengths, sensor=SENSOR, ratio=RATIO, seed=SEED)
    pan, ms, reference = write_pair(pair, target, name="indian_pines")
    scene = open_scene(pan=str(pan), ms=str(ms), sensor=SENSOR)
    spectral = simulate_hsi_msi(cube, wavelengths, sensor=SENSOR, ratio=2 * RATIO, seed=SEED)
    hsi, msi = write_hsi_msi(spectral, target, name="indian_pines")

    fused = target / f"fused_{NETWORK}.tif"
    options = FuseOptions.checked(model=NETWORK, adapt="always", seed=SEED, overwrite=True)
    product = fuse_to_file(scene, fused, options, progress=progress)
    model = cast("dict[str, Any]", product.card["model"])
    passes = int(model["backprojections"])
    files = {"pan": pan, "ms": ms, "reference": reference, "hsi": hsi, "msi": msi, NETWORK: fused}
    reduced = cast("dict[str, Any]", product.card["reduced"])
    compared = list(dict.fromkeys([reduced.get("classical_name", COMPARED[0]), *COMPARED]))
    for name in compared:
        files[name] = target / f"fused_{name}.tif"
        plain = FuseOptions.checked(model=name, backproject=passes, overwrite=True, card=False)
        fuse_to_file(scene, files[name], plain, progress=progress)

    images = {name: _read(files[name]) for name in (NETWORK, *compared)}
    scores = {name: _score(pair.reference, image) for name, image in images.items()}
    files["picture"] = target / "comparison.png"
    _picture(files["picture"], scene, pair.reference, images[NETWORK], scores)
    return {
        "files": {name: str(path) for name, path in files.items()},
        "scores": scores,
        "backproject": passes,
        "verdict": product.card["verdict"],
        "used": model["used"],
        "card": str(product.card_path) if product.card_path else None,
        "seconds": round(time.monotonic() - start, 1),
        "source": _SOURCE,
    }


def _read(path: Path) -> NDArray[np.float64]:
    import rasterio

    with rasterio.open(path) as raster:
        return np.asarray(raster.read(), dtype=np.float64)


def _score(reference: NDArray[np.generic], image: NDArray[np.float64]) -> dict[str, float]:
    """ERGAS, SAM (degrees) and Q2n of a product against the truth, whole image."""
    from pansharp.evaluation import ergas, q2n, sam

    truth = reference.astype(np.float64)
    return {
        "ERGAS": float(ergas(truth, image, ratio=RATIO)),
        "SAM": float(sam(truth, image)),
        "Q2n": float(q2n(truth, image)),
    }


def _picture(
    path: Path,
    scene: Scene,
    reference: NDArray[np.generic],
    fused: NDArray[np.float64],
    scores: Mapping[str, Mapping[str, float]],
) -> None:
    """PAN, MS, product and truth side by side; the three in colour share one stretch."""
    # Late, and with the file-only canvas: the demo must run where there is no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = scene.band_names
    rgb = [names.index(name) for name in ("red", "green", "blue")]
    pan = _all(scene.pan_source)[0]
    ms = _all(scene.ms_source)
    truth = reference.astype(np.float64)[rgb]
    low, high = (np.percentile(truth, q, axis=(1, 2))[:, None, None] for q in (1.0, 99.0))

    def colours(image: NDArray[Any]) -> NDArray[np.float64]:
        stretched = (image[rgb].astype(np.float64) - low) / (high - low)
        return np.moveaxis(np.clip(stretched, 0.0, 1.0), 0, 2)

    panels: list[tuple[str, NDArray[Any]]] = [
        ("PAN (simulated)", np.asarray(pan, dtype=np.float64)),
        (f"MS, {RATIO} times coarser", colours(ms)),
        (f"{NETWORK}: ERGAS {scores[NETWORK]['ERGAS']:.3f}", colours(fused)),
        ("truth", colours(reference.astype(np.float64))),
    ]
    figure = Figure(figsize=(14.0, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, image) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        if image.ndim == 2:
            bottom, top = np.percentile(image, (1.0, 99.0))
            axes.imshow(image, cmap="gray", vmin=bottom, vmax=top, interpolation="nearest")
        else:
            axes.imshow(image, interpolation="nearest")
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    figure.text(0.005, 0.005, _SOURCE, fontsize=6, color="0.4")
    try:
        figure.savefig(path, dpi=120)
    except OSError as problem:
        raise WriteError(f"cannot write '{path}': {problem.strerror}") from problem


def _all(source: Any) -> NDArray[np.generic]:
    """Every pixel of a source, (band, y, x)."""
    from pansharp.geometry.grids import Window

    image: NDArray[np.generic] = source.read(Window(0, 0, source.height, source.width))
    return image


def describe(result: Mapping[str, Any]) -> str:
    """Say in plain words what the demo found, also when the network did not win.

    Parameters
    ----------
    result : mapping
        What `run_demo` returned.

    Returns
    -------
    str
        Several lines.
    """
    scores = result["scores"]
    width = max(len(name) for name in scores)
    lines = [f"{'':<{width}}   ERGAS     SAM     Q2n   (against the truth; 0, 0 and 1 are perfect)"]
    lines += [
        f"{name:<{width}}  {s['ERGAS']:6.3f}  {s['SAM']:6.3f}  {s['Q2n']:6.4f}"
        for name, s in scores.items()
    ]
    best = min((name for name in scores if name != NETWORK), key=lambda n: scores[n]["ERGAS"])
    change = scores[NETWORK]["ERGAS"] / scores[best]["ERGAS"] - 1.0
    word = "lower" if change < 0.0 else "higher"
    lines.append(
        f"The ERGAS of {NETWORK} is {abs(change):.1%} {word} than that of {best}, the best of the "
        f"others (all with {result['backproject']} back-projections)."
    )
    judged = {"better": "better than", "equal": "not surely better than", "worse": "worse than"}
    lines.append(
        f"The score card, which never saw the truth, calls {NETWORK} "
        f"{judged.get(result['verdict'], result['verdict'])} the best classical method"
        + ("." if result["used"] == NETWORK else f" and the product is made with {result['used']}.")
    )
    lines.append(
        "A simulated pair is kinder than a real one: no parallax, one moment, and a known MTF."
    )
    files = result["files"]
    lines.append(f"product {files[NETWORK]}, card {result['card']}, picture {files['picture']}")
    lines.append(f"{result['seconds']} s; cube: {result['source']}")
    return "\n".join(lines)
