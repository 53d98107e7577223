"""Python, packages, GDAL, caches: what is installed and in which version."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

from pansharp import __version__
from pansharp.doctor.finding import Finding
from pansharp.errors import WeightsError

__all__ = ["caches", "extras", "packages", "rasters", "system"]

#: Extras for those who work on pansharp itself.
_OURS = {"dev", "docs", "notebooks"}
#: GDAL driver to what pansharp does with it; the first must be there.
_NEEDED = {
    "GTiff": "GeoTIFF products",
    "COG": "cloud-optimised GeoTIFF",
    "VRT": "one file per band, mosaics",
}
_USEFUL = {
    "JP2OpenJPEG": "JPEG 2000 deliveries (Airbus)",
    "NITF": "NITF deliveries (Maxar)",
    "ENVI": "ENVI cubes",
    "HFA": "ERDAS Imagine files",
    "netCDF": "NetCDF files",
    "HDF5": "HDF5 files through GDAL",
}


def system() -> list[Finding]:
    """Python, platform, pansharp itself."""
    import pansharp

    version = platform.python_version()
    supported = sys.version_info >= (3, 11)
    return [
        Finding("environment", "pansharp", f"{__version__} in {Path(pansharp.__file__).parent}"),
        Finding(
            "environment",
            "python",
            f"{version} ({sys.executable})",
            "ok" if supported else "broken",
            "" if supported else "pansharp needs Python 3.11 or newer",
        ),
        Finding("environment", "platform", f"{platform.platform()}, {platform.machine()}"),
    ]


def _requirements() -> list[tuple[str, str, str]]:
    """Name, version wanted and extra of all that pansharp asks for."""
    found = []
    for line in metadata.requires("pansharp") or []:
        needed, _, marker = line.partition(";")
        parts = re.match(r"\s*([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*\(?([^)]*)\)?", needed)
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        if parts is not None:
            found.append((parts[1], parts[2].strip(), extra[1] if extra else ""))
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def packages() -> list[Finding]:
    """What pansharp cannot do without."""
    from packaging.specifiers import SpecifierSet

    try:
        wanted = [(name, limits) for name, limits, extra in _requirements() if not extra]
    except metadata.PackageNotFoundError:
        return [
            Finding(
                "packages", "pansharp", "runs from a folder and is not installed", "note",
                "pip install .",
            )
        ]  # fmt: skip
    findings = []
    for name, limits in wanted:
        version = _version(name)
        if version is None:
            advice = f"pip install '{name}{limits}'"
            findings.append(Finding("packages", name, "is not installed", "broken", advice))
        elif limits and not SpecifierSet(limits).contains(version, prereleases=True):
            text = f"{version}, but {limits} is needed"
            advice = f"pip install '{name}{limits}'"
            findings.append(Finding("packages", name, text, "broken", advice))
        else:
            findings.append(Finding("packages", name, version))
    return findings


def extras() -> list[Finding]:
    """Which optional parts are there, and how to get the others."""
    try:
        requirements = _requirements()
    except metadata.PackageNotFoundError:
        return []
    by_extra: dict[str, list[str]] = {}
    for name, _, extra in requirements:
        if extra and extra not in _OURS:
            by_extra.setdefault(extra, []).append(name)
    findings = []
    for extra, names in sorted(by_extra.items()):
        missing = [name for name in names if _version(name) is None]
        if missing:
            text = f"missing: {', '.join(missing)}"
            advice = f"pip install 'pansharp[{extra}]'"
            findings.append(Finding("extras", extra, text, "note", advice))
        else:
            have = ", ".join(f"{name} {_version(name)}" for name in names)
            findings.append(Finding("extras", extra, have))
    return findings


def rasters() -> list[Finding]:
    """GDAL: version, drivers, map projections."""
    try:
        import rasterio
        from rasterio.drivers import raster_driver_extensions
        from rasterio.env import Env
        from rasterio.warp import transform
    except ImportError as problem:
        advice = "pip install --force-reinstall rasterio"
        return [Finding("GDAL", "rasterio", f"cannot be imported: {problem}", "broken", advice)]
    findings = [
        Finding("GDAL", "rasterio", f"{rasterio.__version__} with GDAL {rasterio.__gdal_version__}")
    ]
    with Env() as env:
        there = {*env.drivers(), *raster_driver_extensions().values()}
    missing = [f"{name} ({use})" for name, use in _NEEDED.items() if name not in there]
    findings.append(
        Finding("GDAL", "drivers needed", "missing: " + ", ".join(missing), "broken",
                "pip install --force-reinstall rasterio")
        if missing
        else Finding("GDAL", "drivers needed", ", ".join(_NEEDED))
    )  # fmt: skip
    found = [name for name in _USEFUL if name in there]
    absent = [f"{name} ({use})" for name, use in _USEFUL.items() if name not in there]
    text = ", ".join(found) or "none"
    if absent:
        text += f"; not in this build: {', '.join(absent)}"
    findings.append(Finding("GDAL", "drivers useful", text, "note" if absent else "ok"))
    try:
        ((east,), (north,)) = transform("EPSG:4326", "EPSG:32633", [15.0], [52.0])[:2]
        right = abs(east - 500_000.0) < 1.0 and abs(north - 5_761_038.2) < 1.0
        text = (
            "EPSG:4326 to 32633 agrees" if right else f"a known point came out at {east}, {north}"
        )
    except Exception as problem:  # noqa: BLE001 - GDAL raises its own kinds, and any is a finding
        right, text = False, f"PROJ does not work: {' '.join(str(problem).split())}"
    advice = "" if right else "unset PROJ_DATA and PROJ_LIB: they name the data of another PROJ"
    findings.append(Finding("GDAL", "projections", text, "ok" if right else "broken", advice))
    return findings


def caches() -> list[Finding]:
    """Folders that pansharp keeps files in, and the variables that move them."""
    from pansharp.weights import list_weights
    from pansharp.weights.places import cache_folder

    findings = []
    try:
        folder, found = cache_folder(), list_weights(check=False)
        broken = [entry.name for entry in found if entry.problem]
        text = f"{folder}: {len(found)} file{'' if len(found) == 1 else 's'}"
        if broken:
            advice = "`pansharp weights list` says what is wrong with them"
            text += f", broken: {', '.join(broken)}"
            findings.append(Finding("caches", "weights", text, "note", advice))
        else:
            findings.append(Finding("caches", "weights", text))
    except WeightsError as problem:
        findings.append(Finding("caches", "weights", str(problem), "note"))
    names = sorted(
        name for name in os.environ if name.startswith("PANSHARP_") or name in _VARIABLES
    )
    text = ", ".join(f"{name}={os.environ[name]}" for name in names) or "none set"
    return [*findings, Finding("caches", "variables", text)]


#: Variables of others that change what pansharp does or how fast.
_VARIABLES = {
    *("GDAL_CACHEMAX", "GDAL_DATA", "PROJ_DATA", "PROJ_LIB"),
    *("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"),
}
