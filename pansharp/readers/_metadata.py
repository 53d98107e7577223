"""What a raster's tags and name tell: band names, wavelengths, date, sensor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import UnknownSensorError
from pansharp.sensors import get_sensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rasterio.io import DatasetReader

    from pansharp.sensors import SensorProfile

__all__ = [
    "acquisition",
    "flagged_bands",
    "sniff_sensor",
    "stack_names",
    "unique_names",
    "wavelengths",
    "widths",
]

_SENSOR_TAGS = ("sensor", "satellite", "platform", "spacecraft_id", "satelliteid", "mission")
_DATE_TAGS = ("acquired", "acquisition_date", "acquisitiondatetime", "date_acquired", "datetime")

# Names that vendors give to their files, and nobody else.
_FILE_NAMES: tuple[tuple[str, str], ...] = (
    (r"^L[CO]0[89]_L[12]", "landsat8_9"),
    (r"^L[CO][89]\d{13}[A-Z]{3}\d{2}", "landsat8_9"),
    (r"^GF2_PMS\d?_", "gaofen2"),
    (r"^GF1_PMS\d?_", "gaofen1"),
    (r"^GF1B_PMS_", "gaofen1b"),
    (r"^GF1C_PMS_", "gaofen1c"),
    (r"^GF1D_PMS_", "gaofen1d"),
    (r"^GF6_PMS_", "gaofen6_pms"),
    (r"^GF7_DLC_", "gaofen7"),
    (r"^ZY30[123]A?_?(TMS|MUX|NAD)", "ziyuan3"),
    (r"^SV1-0[1-4]_\d{8}_L(1B|2A)", "superview1"),
    (r"^VIS1_(PAN|BUN|PSH|MS4)_", "triplesat"),
    (r"^IMG_PHR1A_", "pleiades1a"),
    (r"^IMG_PHR1B_", "pleiades1b"),
    (r"^IMG_PNEO\d_", "pleiades_neo"),
    (r"^IMG_SPOT6_", "spot6"),
    (r"^IMG_SPOT7_", "spot7"),
    (r"^ENMAP01-", "enmap"),
    (r"^DESIS-HSI-", "desis"),
)


def unique_names(descriptions: Sequence[str | None]) -> tuple[str, ...]:
    """Band names from descriptions; empty unless every band has one of its own."""
    names = [text.strip() for text in descriptions if text and text.strip()]
    complete = len(names) == len(descriptions) == len(set(names))
    return tuple(names) if complete else ()


def stack_names(paths: Sequence[str]) -> tuple[str, ...]:
    """Band names of single-band files: the words in which their names differ."""
    words = [re.split(r"[^A-Za-z0-9]+", Path(path).stem) for path in paths]
    if len({len(parts) for parts in words}) != 1:
        return unique_names([Path(path).stem for path in paths])
    differ = [i for i in range(len(words[0])) if len({parts[i] for parts in words}) > 1]
    return unique_names(["_".join(parts[i] for i in differ) for parts in words])


def wavelengths(dataset: DatasetReader, indexes: Iterable[int]) -> tuple[float, ...]:
    """Centre wavelengths in nanometres from the band tags; empty unless all bands have one."""
    found = []
    for index in indexes:
        tags = {key.lower(): value for key, value in dataset.tags(index).items()}
        text, unit = tags.get("wavelength"), tags.get("wavelength_units", "").lower()
        if text is None:
            text, unit = dataset.tags(index, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM"), "um"
        try:
            value = float(text)
        except (TypeError, ValueError):
            return ()
        # Without a unit, numbers below 10 can only be micrometres.
        micro = unit.startswith(("um", "µm", "micro")) or (not unit.startswith("n") and value < 10)
        found.append(round(value * 1000, 6) if micro else value)
    return tuple(found)


def widths(dataset: DatasetReader, indexes: Iterable[int]) -> tuple[float, ...]:
    """Full widths at half maximum in nanometres from the band tags; empty unless all have one."""
    found = []
    listed = _listed(dataset, "fwhm")
    for index in indexes:
        tags = {key.lower(): value for key, value in dataset.tags(index).items()}
        text, unit = tags.get("fwhm"), tags.get("wavelength_units", "").lower()
        if text is None and len(listed) == dataset.count:
            text = listed[index - 1]
            unit = unit or dataset.tags(ns="ENVI").get("wavelength_units", "").lower()
        if text is None:
            text, unit = dataset.tags(index, ns="IMAGERY").get("FWHM_UM"), "um"
        try:
            value = float(text)
        except (TypeError, ValueError):
            return ()
        # No optical band is as narrow as 1 nm and as wide as 1 um at once: below 1 it is um.
        micro = unit.startswith(("um", "µm", "micro")) or (not unit.startswith("n") and value < 1)
        found.append(round(value * 1000, 6) if micro else value)
    return tuple(found)


def flagged_bands(dataset: DatasetReader) -> tuple[int, ...]:
    """Bands, counted from 0, that the file itself calls bad (ENVI's ``bbl``, or a band tag)."""
    listed = _listed(dataset, "bbl")
    flags = listed if len(listed) == dataset.count else []
    if not flags:
        for index in range(1, dataset.count + 1):
            tags = {key.lower(): value for key, value in dataset.tags(index).items()}
            flags.append(tags.get("bbl", tags.get("good_band", "1")))
    return tuple(i for i, flag in enumerate(flags) if flag.strip() in ("0", "0.0"))


def _listed(dataset: DatasetReader, key: str) -> list[str]:
    """A list in an ENVI header: ``{1, 2, 3}``."""
    text = dataset.tags(ns="ENVI").get(key, "")
    return [part.strip() for part in text.strip("{} ").split(",")] if text else []


def _all_tags(dataset: DatasetReader) -> dict[str, str]:
    tags: dict[str, str] = {}
    for space in ("IMD", "IMAGERY", None):
        for key, value in dataset.tags(ns=space).items():
            # PVL text keeps its quotes and its groups: IMAGE_1.satId = "WV03".
            tags[key.lower().rpartition(".")[2]] = str(value).strip().strip('"')
    return tags


def acquisition(datasets: Iterable[DatasetReader]) -> str | None:
    """Date or time of acquisition from the tags, if it reads like one."""
    for dataset in datasets:
        tags = _all_tags(dataset)
        for key in (*_DATE_TAGS, "firstlinetime"):
            value = tags.get(key, "")
            if re.match(r"^\d{4}-\d{2}-\d{2}", value):
                return value
    return None


def sniff_sensor(
    datasets: Sequence[DatasetReader], paths: Sequence[str], bands: int
) -> SensorProfile | None:
    """Sensor that tags or file names name for certain, None otherwise.

    A sensor with fewer bands than the image is not taken.
    """
    for name in (*_tagged(_all_tags(dataset) for dataset in datasets), *_named(paths)):
        words = name.replace("/", " ").split()
        # "Landsat 8 OLI" is known as "Landsat 8": leave off words from the end.
        for stop in range(len(words), 0, -1):
            try:
                sensor = get_sensor(" ".join(words[:stop]))
            except UnknownSensorError:
                continue
            if sensor.name != "none" and (not sensor.bands or bands <= len(sensor.bands)):
                return sensor
    return None


def _tagged(tables: Iterable[Mapping[str, str]]) -> list[str]:
    return [
        tags[key]
        for tags in tables
        for key in ("satid", *_SENSOR_TAGS)
        if tags.get(key, "").strip()
    ]


def _named(paths: Iterable[str]) -> list[str]:
    return [
        sensor
        for path in paths
        for pattern, sensor in _FILE_NAMES
        if re.match(pattern, Path(path).name, re.IGNORECASE)
    ]
