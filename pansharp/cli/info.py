"""`pansharp info`: what was found at a path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from pansharp.cli import options
from pansharp.cli._output import print_json, span, table
from pansharp.errors import BandMismatchError, ReaderError

if TYPE_CHECKING:
    from pansharp.models.base import ModelSpec
    from pansharp.scene import Scene

__all__ = ["command"]


#: Bands whose factors are all printed; of cubes some are.
_MOST_GAINS = 16


def _gains(scene: Scene) -> dict[str, object]:
    """MTF gains that fusion would use, and which of them are guesses."""
    from pansharp.sensors import get_sensor, mtf_gains

    pan_gain, pan_assumed = (scene.sensor or get_sensor("none")).pan_gain
    facts: dict[str, object] = {"pan": pan_gain, "pan_assumed": pan_assumed}
    try:
        gains, assumed = mtf_gains(scene.sensor, scene.band_names, scene.bands)
    except BandMismatchError as problem:
        # A wrong --sensor must not hide all the rest of the report.
        return {**facts, "ms": None, "ms_assumed": True, "problem": str(problem)}
    return {**facts, "ms": list(gains), "ms_assumed": assumed}


def why_not(spec: ModelSpec, bands: int, ratio: float) -> str | None:
    """Say why a model cannot fuse a scene of `bands` MS bands at `ratio`, or None if it can."""
    if spec.bands is not None:
        low, high = spec.bands
        if bands < low or (high is not None and bands > high):
            return f"needs {span(spec.bands)} bands"
    if spec.ratio is not None:
        least, most = spec.ratio
        if ratio < least - 1e-3 or (most is not None and ratio > most + 1e-3):
            return f"needs ratio {span(spec.ratio)}"
    return None


def _models(scene: Scene) -> dict[str, object]:
    from pansharp.models import get_spec, list_models

    reasons = {n: why_not(get_spec(n), scene.bands, scene.ratio) for n in list_models()}
    return {
        "fit": [name for name, reason in reasons.items() if reason is None],
        "do_not_fit": {name: reason for name, reason in reasons.items() if reason is not None},
    }


def facts_of(scene: Scene) -> dict[str, Any]:
    """Everything the command reports, as one document."""
    y, x = scene.alignment.y, scene.alignment.x
    return {
        **scene.describe(),
        # Zero where the upper-left corners agree; the alignment itself counts pixel centres.
        "offset_pan_pixels": {
            "rows": y.offset - (y.scale - 1.0) / 2.0,
            "columns": x.offset - (x.scale - 1.0) / 2.0,
        },
        "mtf_gains": _gains(scene),
        "models": _models(scene),
    }


def _bands(count: int) -> str:
    return "1 band" if count == 1 else f"{count} bands"


def _epsg(crs: str | None) -> str:
    """The system's name out of its WKT: the first quoted text."""
    if crs is None:
        return "none"
    parts = crs.split('"')
    return parts[1] if len(parts) > 2 else crs


def _text(facts: dict[str, Any]) -> str:
    pan, ms, product = facts["pan"], facts["ms"], facts["product"]
    offset, gains, models = facts["offset_pan_pixels"], facts["mtf_gains"], facts["models"]

    def grid(image: dict[str, Any]) -> str:
        count, height, width = image["shape"]
        nodata = image["nodata"]
        return (
            f"{height} x {width} pixels, {_bands(count)}, {image['dtype']}, "
            f"nodata {'not set' if nodata is None else nodata}"
        )

    def listed(values: list[float] | None) -> str:
        return "unknown" if values is None else " ".join(f"{value:g}" for value in values)

    a, b, _, d, e, _ = facts["transform"]
    size = f"{abs(a):g} x {abs(e):g}" if b == 0 and d == 0 else "rotated grid"
    rows = [("scene", facts["name"])]
    rows += [(f"{role} files", ", ".join(paths)) for role, paths in facts["files"].items()]
    rows += [
        ("sensor", facts["sensor"] or "unknown"),
        ("acquired", facts["acquired"] or "unknown"),
        ("PAN", grid(pan)),
        ("MS", grid(ms)),
        ("bands", ", ".join(ms["bands"])),
        ("ratio", f"{facts['ratio']:g}"),
        ("offset", f"rows {offset['rows']:+.3g}, columns {offset['columns']:+.3g} PAN pixels"),
        ("system", _epsg(facts["crs"])),
        ("PAN pixel", size),
        ("bounds", " ".join(f"{value:.10g}" for value in facts["bounds"])),
        ("product", " x ".join(str(n) for n in product["shape"]) + f", {product['dtype']}"),
        ("MTF PAN", f"{gains['pan']:g}" + (" (assumed)" if gains["pan_assumed"] else "")),
        ("MTF MS", listed(gains["ms"]) + (" (assumed)" if gains["ms_assumed"] else "")),
    ]
    if "problem" in gains:
        rows.append(("problem", gains["problem"]))
    rows += _delivery_rows(facts["delivery"]) + _processing_rows(facts)
    rows.append(("models", " ".join(models["fit"])))
    rows += [("not", f"{name}: {why}") for name, why in models["do_not_fit"].items()]
    rows += [("note", note) for note in facts["notes"]]
    if "quicklook" in facts:
        rows.append(("quicklook", facts["quicklook"]))
    return table(("what", "found"), rows)


def _delivery_rows(delivery: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What the sidecars said: one row an image, and why these files were taken."""
    if delivery is None:
        return []
    geometry = {
        "map": "map projection",
        "rpc": "sensor geometry with RPC",
        "ortho": "sensor geometry, orthorectified by RPC",
        "pixel": "pixels only",
    }[delivery["geometry"]]
    rows = [("delivery", f"{delivery['family']}, {geometry}")]
    for role in ("pan", "ms"):
        image = delivery[role]
        parts = [f"level {image['level']}"] if "level" in image else []
        if "acquired" in image:
            parts.append(image["acquired"])
        if "sun_elevation" in image:
            azimuth = f"/{image['sun_azimuth']:g}" if "sun_azimuth" in image else ""
            parts.append(f"sun {image['sun_elevation']:g}{azimuth} deg")
        if "off_nadir" in image:
            parts.append(f"off nadir {image['off_nadir']:g} deg")
        if "cloud" in image:
            parts.append(f"clouds {100 * image['cloud']:g} %")
        parts.append("RPC" if image["rpc"] else "no RPC")
        if "corrected" in image:
            parts.append(f"no raw counts: {image['corrected']}")
        rows.append((f"{role.upper()} image", ", ".join(parts)))
        known = [band for band in image["constants"] if band is not None]
        if known:
            listed = [
                "-" if band is None else f"{band['gain']:.6g}{band['offset']:+.6g}"
                for band in image["constants"]
            ]
            if len(listed) > _MOST_GAINS:
                listed = [*listed[:3], f"... {len(listed)} bands ...", *listed[-1:]]
            gains = " ".join(listed)
            text = f"{gains} ({known[0]['units']}; {known[0]['source']})"
            what = "reflectance" if known[0]["units"] == "1" else "radiance"
            rows.append((f"{role.upper()} {what}", text))
    return rows + [("found", why) for why in delivery["evidence"]]


def _processing_rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """What is done to the pixels before they are fused."""
    rows = []
    ortho, radiometry = facts["ortho"], facts["radiometry"]
    if ortho is not None:
        height = ortho["height"]
        what = {"dem": f"DEM {height['dem']}", "constant": "as given", "rpc": "of the PAN's RPC"}
        metres = f"{height['metres']:g} m, {what[height['kind']]}"
        text = f"by RPC to {ortho['crs']}, {ortho['pixel_m']:g} m, height {metres}; MS camera: "
        rows.append(("ortho", text + ortho["ms_camera"]))
    if radiometry is not None:
        bands = " ".join(f"{b['gain']:.6g}{b['offset']:+.6g}" for b in radiometry["bands"])
        rows.append(("radiometry", f"{radiometry['kind']} = {bands} (units {radiometry['units']})"))
    return rows


def _lone_raster(path: str) -> dict[str, object] | None:
    """Facts about a raster that is no scene by itself; None when it is no raster either."""
    from pansharp.source import open_raster

    try:
        raster = open_raster(path)
    except ReaderError:
        return None
    with raster:
        count = raster.count
        return {
            "raster": path,
            "driver": raster.driver,
            "bands": count,
            "height": raster.height,
            "width": raster.width,
            "dtype": raster.dtypes[0],
            "nodata": raster.nodata,
            "crs": raster.crs.to_wkt() if raster.crs else None,
            "pixel": list(raster.res),
            "could_be": "PAN" if count == 1 else "MS",
            "missing": "the MS image: pass --ms" if count == 1 else "the PAN image: pass --pan",
        }


def _lone_text(facts: dict[str, object]) -> str:
    height, width, count = (cast(int, facts[key]) for key in ("height", "width", "bands"))
    pixel = cast("list[float]", facts["pixel"])
    rows = [
        ("raster", str(facts["raster"])),
        ("size", f"{height} x {width} pixels, {_bands(count)}, {facts['dtype']}"),
        ("system", _epsg(cast("str | None", facts["crs"]))),
        ("pixel", " x ".join(f"{side:g}" for side in pixel)),
        ("could be", str(facts["could_be"])),
        ("missing", str(facts["missing"])),
    ]
    return table(("what", "found"), rows)


@click.command(
    name="info",
    epilog="""\b
Examples:
  pansharp info delivery/
  pansharp info --pan pan.tif --ms ms.tif --json
  pansharp info delivery/ --quicklook look.png
""",
)
@click.argument("path", required=False)
@options.quicklook_option
@click.option("--overwrite", is_flag=True, help="Replace an existing picture.")
@options.scene_options
@options.json_option
@options.verbosity_options
def command(
    path: str | None, quicklook: str | None, overwrite: bool, as_json: bool, **values: Any
) -> None:
    """Say what was found at PATH, which MTF gains are used, and which models fit."""
    quicklook, path = options.picture_target(quicklook, path)
    scene_values, _ = options.split_values(path, values)
    try:
        scene = options.open_input(path, scene_values)
    except ReaderError:
        lone = _lone_raster(path) if path is not None and Path(path).is_file() else None
        if lone is not None:
            if as_json:
                print_json(lone)
            else:
                click.echo(_lone_text(lone))
        raise
    facts = facts_of(scene)
    if quicklook is not None:
        from pansharp.quicklook import write_quicklook

        target = quicklook or f"{scene.name}.quicklook.png"
        facts["quicklook"] = str(write_quicklook(scene, target, overwrite=overwrite))
    if as_json:
        print_json(facts)
    else:
        click.echo(_text(facts))
