"""STAC items: the PAN and MS assets of one acquisition, local or remote."""

from __future__ import annotations

import json
import math
import posixpath
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pansharp.acquisition import Delivery, ImageFacts
from pansharp.errors import (
    AmbiguousReaderError,
    MissingSidecarError,
    PansharpError,
    ReaderError,
    UnknownFormatError,
    UnknownSensorError,
)
from pansharp.readers._base import SURE, Found, only_scene, readers
from pansharp.readers._scan import files_below
from pansharp.readers._sidecar import Fields, read_text
from pansharp.scratch import holder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["StacReader"]

_PAN_KEYS = ("pan_analytic", "pan", "panchromatic", "b8")
_MS_KEYS = ("ms_analytic", "ms", "multispectral", "analytic")
_LIMIT = 4 * 2**20


@dataclass(frozen=True)
class _Asset:
    key: str
    href: str
    names: tuple[str, ...]


class StacReader:
    """Opens the pair that a STAC item names; assets may lie beside it or on a server."""

    summary = "STAC items (.json) with a PAN and an MS asset, such as Maxar Open Data"

    def matches(self, path: str) -> float:
        """Sure of JSON files that call themselves STAC items, and of folders with such items."""
        place = Path(path)
        if place.is_dir():
            return SURE if self.find(path) else 0.0
        return SURE if _is_item(place) else 0.0

    def find(self, path: str, *, depth: int = 4) -> list[Found]:
        """Items below a folder, or the item itself, that name a PAN and an MS."""
        place = Path(path)
        files = files_below(place, depth=depth) if place.is_dir() else [place]
        found = []
        for file in filter(_is_item, files):
            hrefs: tuple[str, ...] = ()
            try:
                pair = _assets(_read(file), file)
            except PansharpError:
                if place.is_dir():  # items of other things are no scenes
                    continue
            else:
                with suppress(PansharpError):
                    hrefs = tuple(_located(asset, file) for asset in pair)
            found.append(Found(str(file), file.stem, "stac", hrefs, "a STAC item"))
        return found

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Open the assets of an item.

        Raises
        ------
        ReaderError
            The item is damaged, or lacks an asset.
        AmbiguousReaderError
            Several assets could be one half.
        """
        from pansharp.readers.pair import open_pair

        if Path(path).is_dir():
            path = only_scene(self.find(path), path).path
        file = Path(path)
        item = _read(file)
        pan, ms = _assets(item, file)
        fields, notes = _properties(item, file)
        scene = open_pair(
            _located(pan, file), [_located(ms, file)], sensor=sensor or _sensor(fields),
            nodata=nodata, ratio=ratio,
        )  # fmt: skip
        facts, odd = _facts(fields, placed=scene.crs is not None)
        evidence = (f"asset '{pan.key}' is the PAN", f"asset '{ms.key}' is the MS")
        named = len(ms.names) == scene.bands == len(set(ms.names))
        return replace(
            scene,
            name=str(item.get("id") or scene.name).replace("/", "_")[:100],
            band_names=ms.names if named else scene.band_names,
            acquired=scene.acquired or fields.text("datetime"),
            files={**scene.files, "item": (path,)},
            notes=(*notes, *odd, *scene.notes),
            delivery=Delivery("stac", facts, facts, "map" if scene.crs else "pixel", evidence),
        )


def _is_item(file: Path) -> bool:
    if file.suffix.lower() not in (".json", ".geojson") or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
    except OSError:
        return False
    return len(data) <= _LIMIT and b'"stac_version"' in data and b'"assets"' in data


def _read(file: Path) -> dict[str, Any]:
    try:
        item = json.loads(read_text(file, limit=_LIMIT))
    except (ValueError, RecursionError) as problem:
        raise ReaderError(f"'{file}' is damaged JSON; copy or download it again") from problem
    if not isinstance(item, dict) or item.get("type") != "Feature" or "stac_version" not in item:
        raise ReaderError(f"'{file}' is no STAC item (type 'Feature' with 'stac_version')")
    return item


def _assets(item: Mapping[str, Any], file: Path) -> tuple[_Asset, _Asset]:
    assets = item.get("assets")
    if not isinstance(assets, dict):
        raise ReaderError(f"'{file}' has no assets; it is damaged")
    known = [asset for key, value in assets.items() if (asset := _asset(key, value)) is not None]
    pan = [a for a in known if a.key.lower() in _PAN_KEYS] or [
        a for a in known if a.names == ("pan",)
    ]
    ms = [a for a in known if a.key.lower() in _MS_KEYS]
    found = []
    for role, candidates in (("PAN", pan), ("MS", ms)):
        keys = ", ".join(f"'{asset.key[:40]}'" for asset in (candidates or known)[:12])
        option = f"--{role.lower()} FILE"
        if not candidates:
            raise MissingSidecarError(
                f"'{file}' has no asset that is a {role} (assets: {keys or 'none'}); name the "
                f"files with {option}"
            )
        if len(candidates) > 1:
            raise AmbiguousReaderError(
                f"'{file}' has {len(candidates)} assets that could be the {role}: {keys}; name one "
                f"with {option}"
            )
        found.append(candidates[0])
    return found[0], found[1]


def _asset(key: object, value: object) -> _Asset | None:
    """An asset with an address; overviews for the eye are none."""
    if not isinstance(value, dict) or not isinstance(value.get("href"), str):
        return None
    roles = value.get("roles")
    shown = isinstance(roles, list) and {"overview", "thumbnail", "visual"} & set(map(str, roles))
    if shown or str(key).lower() in ("visual", "thumbnail", "overview"):
        return None
    bands = value.get("eo:bands") or value.get("bands") or []
    words = [
        str(band.get("eo:common_name") or band.get("common_name") or band.get("name") or "")
        for band in (bands if isinstance(bands, list) else [])
        if isinstance(band, dict)
    ]
    names = tuple(word.lower()[:40] for word in words) if all(words) else ()
    return _Asset("".join(c if c.isprintable() else "?" for c in str(key)), value["href"], names)


def _located(asset: _Asset, file: Path) -> str:
    """Path or address of an asset; relative ones count from the item."""
    parts = urlsplit(asset.href)
    if parts.scheme in ("http", "https", "s3", "gs"):
        if holder(str(file)) is not None:
            raise ReaderError(
                f"'{file.name}' in an archive names '{asset.href[:80]!s}', which lies outside it"
            )
        return asset.href
    if parts.scheme not in ("", "file"):
        raise UnknownFormatError(
            f"'{file}' names the asset '{asset.key}' at '{parts.scheme}:…', which cannot be read"
        )
    path = unquote(parts.path) if parts.scheme == "file" else asset.href
    if posixpath.isabs(path):
        target = path
    else:
        target = posixpath.normpath(posixpath.join(file.parent.as_posix(), path))
    if holder(str(file)) is not None and holder(target) is None:
        raise ReaderError(f"'{file.name}' in an archive names a file outside of it")
    return target


def _properties(item: Mapping[str, Any], file: Path) -> tuple[Fields, tuple[str, ...]]:
    properties = item.get("properties")
    if not isinstance(properties, dict):
        return Fields(str(file)), (f"'{file.name}' has no properties",)
    plain = {
        str(key): str(value)
        for key, value in properties.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
    return Fields.of(file, plain), ()


def _facts(fields: Fields, *, placed: bool) -> tuple[ImageFacts, tuple[str, ...]]:
    notes: list[str] = []

    def soft(name: str, low: float, high: float) -> float | None:
        try:
            return fields.number(name, low=low, high=high)
        except ReaderError as problem:
            notes.append(str(problem).partition(";")[0] + "; left out")
            return None

    cloud = soft("eo:cloud_cover", 0, 100)
    facts = ImageFacts(
        acquired=fields.time("datetime"),
        sun_elevation=soft("view:sun_elevation", -90, 90),
        sun_azimuth=soft("view:sun_azimuth", 0, 360),
        view_azimuth=soft("view:azimuth", 0, 360),
        off_nadir=soft("view:off_nadir", 0, 90),
        cloud=None if cloud is None or not math.isfinite(cloud) else cloud / 100,
        identifier=fields.text("catalog_id"),
        placed=placed,
    )
    return replace(facts, notes=tuple(notes)), tuple(notes)


def _sensor(fields: Fields) -> SensorProfile | None:
    from pansharp.sensors import get_sensor

    for name in ("vehicle_name", "platform", "constellation"):
        text = fields.text(name)
        try:
            sensor = get_sensor(text) if text else None
        except UnknownSensorError:
            continue
        if sensor is not None and sensor.name != "none":
            return sensor
    return None


readers.register("stac")(StacReader())
