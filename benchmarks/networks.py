"""Networks fitted to five real pairs: time, memory, and what the score card says.

    python benchmarks/networks.py                           pairs in shared/data beside the checkout
    python benchmarks/networks.py --data DIR --models rescnn bugpan-small --device cuda

The pairs have been published by others: WorldView-2 Rio, IKONOS, GaoFen-2, Landsat 8 Gulf Coast,
WorldView-2 Rotterdam. Each run is a process of its own: `pansharp fuse` as a user calls it, with
its card.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common import Run


@dataclass(frozen=True)
class Pair:
    """A real pair and its sensor."""

    name: str
    pan: Path
    ms: Path
    sensor: str


@dataclass(frozen=True)
class Fitted:
    """A run of one network on one pair."""

    pair: Pair
    model: str
    run: Run
    card: dict[str, Any]


#: Name, files below the data folder, sensor.
PAIRS = (
    ("WorldView-2 Rio", "worldview2_rio", "pan.tif", "ms.tif", "worldview2"),
    ("IKONOS", "ikonos_grip", "pan.tif", "ms.tif", "ikonos"),
    (
        "GaoFen-2",
        "gaofen2_psdata3",
        "test_full_res_0_pan.tif",
        "test_full_res_0_ms.tif",
        "gaofen2",
    ),
    ("Landsat 8 Gulf Coast", "landsat8_gulf_coast", "pan.tif", "ms.tif", "landsat8_9"),
    ("WorldView-2 Rotterdam", "worldview2_rotterdam", "pan_1.tif", "ms_1.tif", "worldview2"),
)


def public_pairs(data: Path) -> list[Pair]:
    """The five pairs below a folder.

    Raises
    ------
    SystemExit
        A file is missing.
    """
    pairs = [
        Pair(name, data / folder / pan, data / folder / ms, sensor)
        for name, folder, pan, ms, sensor in PAIRS
    ]
    missing = [str(p) for pair in pairs for p in (pair.pan, pair.ms) if not p.is_file()]
    if missing:
        raise SystemExit(f"not found: {', '.join(missing)}; name the folder with --data")
    return pairs


def default_data() -> Path:
    """``$PANSHARP_SHARED``, else the folder `shared` beside the checkout, as the tests look."""
    named = os.environ.get("PANSHARP_SHARED")
    home = Path(named) if named else common.ROOT.parent / "shared"
    return home / "data" if (home / "data").is_dir() else home


def measure(
    pairs: Sequence[Pair], models: Sequence[str], folder: Path, extra: Sequence[str] = ()
) -> list[Fitted]:
    """Fuse every pair with every network; products are removed, cards kept in the result."""
    results = []
    for pair in pairs:
        for model in models:
            target = folder / f"network_{model}.tif"
            common.remove(target)
            command = common.pansharp(
                *("fuse", "--pan", pair.pan, "--ms", pair.ms, "--sensor", pair.sensor),
                *("-m", model, "-q", "-o", target, *extra),
            )
            run = common.run(command)
            results.append(Fitted(pair, model, run, common.card(target)))
            common.remove(target)
    return results


def report(results: Sequence[Fitted]) -> str:
    """Markdown table of times and scores."""
    rows = []
    for r in results:
        reduced, full, model = r.card["reduced"], r.card["full"], r.card["model"]
        row = [r.pair.name, r.model, f"{r.run.wall:.0f}", f"{r.run.cpu:.0f}", f"{r.run.peak:.0f}"]
        if reduced:
            low, high = reduced["rho_interval"]
            own, best = reduced["model"], reduced["best_classical"]
            row += [
                f"{reduced['rho']:.3f} ({low:.3f}-{high:.3f}), {reduced['blocks']} blocks",
                str(r.card["verdict"]),
                str(model["backprojections"]),
                f"{own['ergas']:.3f} / {own['sam']:.2f}",
                f"{best['ergas']:.3f} / {best['sam']:.2f} ({reduced['classical_name']})",
            ]
        else:
            row += ["-", f"not judged, made by {model['used']}", "-", "-", "-"]
        row.append(f"{full['HQNR']:.3f}" if full else "-")
        row.append(f"{full['rmse_to_ms_percent']:.1f}" if "rmse_to_ms_percent" in full else "-")
        rows.append(row)
    return common.table(
        [
            *("pair", "model", "wall s", "CPU s", "peak MiB", "rho (5-95 %)", "verdict"),
            *("passes", "ERGAS / SAM", "best classical ERGAS / SAM", "HQNR", "RMSE to MS %"),
        ],
        rows,
    )


def main(arguments: Sequence[str] | None = None) -> list[Fitted]:
    """Run the benchmark as the command line says."""
    parser = common.parser("Networks fitted to five real pairs: time, memory, scores.")
    parser.add_argument("--data", type=Path, default=default_data(), help="folder of the pairs")
    parser.add_argument("--models", nargs="+", default=["rescnn", "ssft-small", "ssft"])
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N [%(default)s]")
    options = common.parse(parser, arguments)
    extra = ("--device", options.device)
    results = measure(public_pairs(options.data), options.models, options.folder, extra)
    common.emit("Networks fitted to real pairs", report(results), options)
    return results


if __name__ == "__main__":
    main()
