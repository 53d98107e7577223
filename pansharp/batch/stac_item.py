"""A STAC item for a product: what catalogues and browsers of image archives read."""

from __future__ import annotations

import json
import math
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pansharp.batch.footprint import RasterFacts, lonlat_geometry, raster_facts
from pansharp.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["FIRST_POSSIBLE", "item_path", "stac_item", "write_stac_item"]

_EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
)
_MEDIA = {
    "cog": "image/tiff; application=geotiff; profile=cloud-optimized",
    "gtiff": "image/tiff; application=geotiff",
    "zarr": "application/vnd+zarr",
}
#: Launch of Landsat 1: where nothing tells when a scene was taken, it was after this.
FIRST_POSSIBLE = "1972-07-23T00:00:00Z"
#: Common names of the eo extension for the names of our sensor tables.
_COMMON = {
    **{name: name for name in ("coastal", "blue", "green", "yellow", "red", "rededge", "pan")},
    "rededge1": "rededge",
    "nir": "nir",
    "nir1": "nir",
    "nir2": "nir09",
}


def item_path(product: Path) -> Path:
    """Where the item of a product lies."""
    return product.with_name(product.name + ".stac.json")


def write_stac_item(
    product: Path,
    card: Mapping[str, object],
    path: Path,
    *,
    card_file: Path | None = None,
    format: str = "cog",
    identifier: str | None = None,
    checksum: str | None = None,
    links: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """Write the item of a product; it appears complete or not at all.

    Parameters
    ----------
    product : Path
        The raster, which must be there.
    card : mapping
        Its score card.
    path : Path
        The item; paths of assets are relative to its folder.
    card_file : Path, optional
        File of the card.
    format : {"cog", "gtiff", "zarr"}
        Container of the product.
    identifier : str, optional
        Id of the item, unique in its collection; default: name of the product without suffix.
    checksum : str, optional
        SHA-256 of the product, hexadecimal.
    links : sequence of mapping
        Links to the collection or catalogue: ``rel``, ``href``, and ``type``.

    Returns
    -------
    dict
        What was written.

    Raises
    ------
    ReaderError
        The product cannot be read.
    WriteError
        The item cannot be written.
    """
    item = stac_item(
        product,
        card,
        folder=path.parent,
        card_file=card_file,
        format=format,
        identifier=identifier,
        checksum=checksum,
        links=links,
    )
    text = json.dumps(item, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as problem:
        raise WriteError(f"cannot write {path}: {problem.strerror or problem}") from problem
    finally:
        part.unlink(missing_ok=True)
    return item


def stac_item(
    product: Path,
    card: Mapping[str, object],
    *,
    folder: Path,
    card_file: Path | None = None,
    format: str = "cog",
    identifier: str | None = None,
    checksum: str | None = None,
    links: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """The item of a product as JSON types; parameters as in :func:`write_stac_item`.

    Version 1.0.0 of the specification. Without georeference ``geometry`` is null and there is no
    ``bbox``, as the specification wants it for items that have no place. Where only the day of
    acquisition is known, ``datetime`` is null and the day is given by its start and end; where
    nothing is known, the interval goes from the launch of the first civil satellite to the making
    of the product.
    """
    facts = raster_facts(product)
    placed = lonlat_geometry(facts)
    scene = _part(card, "scene")
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": list(_EXTENSIONS),
        "id": identifier or product.name.partition(".")[0],
        "geometry": placed.geometry if placed else None,
        "properties": {
            **_times(scene.get("acquired"), product),
            **_sensor(scene, facts),
            **_projection(facts),
            **_processing(card),
        },
        "links": [dict(link) for link in links],
        "assets": {
            "data": _data(product, facts, scene, folder, format, checksum),
        },
    }
    if placed:
        item["bbox"] = placed.bbox
    if card_file is not None:
        item["assets"]["card"] = {
            "href": _href(card_file, folder),
            "type": "application/json",
            "title": "Score card",
            "roles": ["metadata"],
        }
    return item


def _part(card: Mapping[str, object], key: str) -> Mapping[str, Any]:
    found = card.get(key)
    return found if isinstance(found, dict) else {}


def _times(acquired: object, product: Path) -> dict[str, str | None]:
    """The moment, or an interval that holds it."""
    text = str(acquired) if acquired else ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        until = datetime.fromtimestamp(product.stat().st_mtime, UTC).replace(microsecond=0)
        return _interval(FIRST_POSSIBLE, _iso(until))
    if len(text) <= len("2019-06-15"):
        end = moment.replace(tzinfo=UTC) + timedelta(days=1) - timedelta(milliseconds=1)
        return _interval(_iso(moment), _iso(end))
    return {"datetime": _iso(moment)}


def _interval(start: str, end: str) -> dict[str, str | None]:
    return {"datetime": None, "start_datetime": start, "end_datetime": end}


def _iso(moment: datetime) -> str:
    """RFC 3339 in UTC; times without zone are taken for it, as readers give them."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


def _sensor(scene: Mapping[str, Any], facts: RasterFacts) -> dict[str, object]:
    found: dict[str, object] = {}
    if scene.get("sensor"):
        found["platform"] = str(scene["sensor"])
    size = _pixel_metres(facts)
    if size is not None:
        found["gsd"] = size
    return found


def _pixel_metres(facts: RasterFacts) -> float | None:
    """Side of a pixel in metres, on maps whose units are lengths."""
    if facts.transform is None or facts.metres is None:
        return None
    a, _, _, d, _, _ = facts.transform
    return round(math.hypot(a, d) * facts.metres, 6)


def _projection(facts: RasterFacts) -> dict[str, object]:
    found: dict[str, object] = {
        # Null: there is none, or it has no number.
        "proj:code": None if facts.epsg is None else f"EPSG:{facts.epsg}",
        "proj:shape": list(facts.shape[1:]),
    }
    if facts.epsg is None and facts.wkt:
        found["proj:wkt2"] = facts.wkt
    if facts.transform is not None:
        a, b, c, d, e, f = facts.transform
        found["proj:transform"] = [a, b, c, d, e, f]
        height, width = facts.shape[1:]
        x = [a * col + b * row + c for col in (0, width) for row in (0, height)]
        y = [d * col + e * row + f for col in (0, width) for row in (0, height)]
        found["proj:bbox"] = [min(x), min(y), max(x), max(y)]
    return found


def _processing(card: Mapping[str, object]) -> dict[str, object]:
    model = _part(card, "model")
    used, asked = model.get("used"), model.get("name")
    lineage = f"PAN and multispectral image fused by {used}"
    if asked not in (used, None, "auto"):
        lineage += f" ({asked} was asked for)"
    passes = model.get("backprojections")
    if passes:
        lineage += f", back-projected {passes} times"
    found: dict[str, object] = {
        "processing:software": {"pansharp": str(card.get("pansharp"))},
        "processing:lineage": lineage,
        "pansharp:model": used,
        "pansharp:verdict": card.get("verdict"),
    }
    reduced, full = _part(card, "reduced"), _part(card, "full")
    if "rho" in reduced:
        found["pansharp:rho"] = reduced["rho"]
    if "HQNR" in full:
        found["pansharp:hqnr"] = full["HQNR"]
    return found


def _data(
    product: Path,
    facts: RasterFacts,
    scene: Mapping[str, Any],
    folder: Path,
    format: str,
    checksum: str | None,
) -> dict[str, object]:
    asset: dict[str, object] = {
        "href": _href(product, folder),
        "type": _MEDIA[format],
        "title": "Fused image",
        "roles": ["data"],
        "eo:bands": _eo_bands(facts, scene.get("sensor")),
        "raster:bands": [_raster_band(facts, index) for index in range(facts.shape[0])],
    }
    if product.is_file():
        asset["file:size"] = product.stat().st_size
    if checksum:
        # A multihash: 0x12 is SHA-256, 0x20 its length.
        asset["file:checksum"] = f"1220{checksum}"
    return asset


def _eo_bands(facts: RasterFacts, sensor: object) -> list[dict[str, object]]:
    from pansharp.errors import PansharpError
    from pansharp.sensors import band_key, get_sensor

    known = None
    if sensor:
        try:
            known = get_sensor(str(sensor)).match_bands(facts.band_names)
        except PansharpError:
            known = None
    bands: list[dict[str, object]] = []
    for index, name in enumerate(facts.band_names):
        band: dict[str, object] = {"name": name}
        common = _COMMON.get(band_key(known[index].name if known else name))
        if common:
            band["common_name"] = common
        if known and known[index].centre_nm is not None:
            band["center_wavelength"] = round(float(known[index].centre_nm or 0.0) / 1000, 6)
        if known and known[index].width_nm is not None:
            band["full_width_half_max"] = round(float(known[index].width_nm or 0.0) / 1000, 6)
        bands.append(band)
    return bands


def _raster_band(facts: RasterFacts, index: int) -> dict[str, object]:
    band: dict[str, object] = {"data_type": facts.dtype}
    if facts.nodata is not None:
        band["nodata"] = "nan" if math.isnan(facts.nodata) else facts.nodata
    size = _pixel_metres(facts)
    if size is not None:
        band["spatial_resolution"] = size
    if facts.scales[index] != 1.0:
        band["scale"] = facts.scales[index]
    if facts.offsets[index] != 0.0:
        band["offset"] = facts.offsets[index]
    tags = facts.statistics[index]
    if "UNITS" in tags and tags["UNITS"] != "1":
        band["unit"] = tags["UNITS"]
    told = {
        "minimum": "STATISTICS_MINIMUM",
        "maximum": "STATISTICS_MAXIMUM",
        "mean": "STATISTICS_MEAN",
        "stddev": "STATISTICS_STDDEV",
        "valid_percent": "STATISTICS_VALID_PERCENT",
    }
    statistics = {key: float(tags[tag]) for key, tag in told.items() if tag in tags}
    if statistics:
        band["statistics"] = statistics
    return band


def _href(file: Path, folder: Path) -> str:
    """Relative reference from the item's folder to a file."""
    relative = Path(os.path.relpath(file, folder)).as_posix()
    return quote(relative if relative.startswith("../") else f"./{relative}")
