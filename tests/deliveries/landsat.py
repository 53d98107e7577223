"""A Landsat 9 level-1 product around a known ground, with the grids that USGS gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deliveries.ground import Ground
from deliveries.rasters import framed, on_map, write

if TYPE_CHECKING:
    from pathlib import Path

PRODUCT = "LC09_L1TP_195028_20230615_20230615_02_T1"
#: Centre of the first pixel, which PAN and MS share: their corners are 7.5 m apart.
CENTRE = (300_000.0, 5_200_020.0)
CRS = "EPSG:32632"
DISTANCE = 1.0157


def mtl(**fields: object) -> str:
    """The MTL as text; fields given here replace or remove (None) those of the product."""
    lines: dict[str, object] = {
        "SPACECRAFT_ID": '"LANDSAT_9"',
        "SENSOR_ID": '"OLI_TIRS"',
        "DATE_ACQUIRED": "2023-06-15",
        "SCENE_CENTER_TIME": '"10:10:13.1234560Z"',
        "PROCESSING_LEVEL": '"L1TP"',
        "LANDSAT_SCENE_ID": '"LC91950282023166LGN00"',
        "CLOUD_COVER": "12.5",
        "ROLL_ANGLE": "-0.001",
        "SUN_AZIMUTH": "140.5",
        "SUN_ELEVATION": "62.25",
        "EARTH_SUN_DISTANCE": str(DISTANCE),
        "QUANTIZE_CAL_MAX_BAND_8": "65535",
    }
    for number in range(1, 10):
        lines[f"RADIANCE_MULT_BAND_{number}"] = f"{0.012 + 0.0001 * number:.4E}"
        lines[f"RADIANCE_ADD_BAND_{number}"] = f"-{60 + number}.5"
        lines[f"REFLECTANCE_MULT_BAND_{number}"] = "2.0000E-05"
        lines[f"REFLECTANCE_ADD_BAND_{number}"] = "-0.100000"
    lines |= fields
    body = "\n".join(f"    {k} = {v}" for k, v in lines.items() if v is not None)
    return (
        "GROUP = LANDSAT_METADATA_FILE\n  GROUP = PRODUCT_CONTENTS\n"
        f"{body}\n  END_GROUP = PRODUCT_CONTENTS\nEND_GROUP = LANDSAT_METADATA_FILE\nEND\n"
    )


def landsat(folder: Path, *, side: int = 64, name: str = PRODUCT, **fields: object) -> Path:
    """Write a product's folder: bands 1 to 7 at 30 m, 8 at 15 m, MTL."""
    home = folder / name
    # The first centre is common, so the corners of the two grids are 7.5 m apart.
    fine = (CENTRE[0] - 7.5, CENTRE[1] + 7.5)
    coarse = (CENTRE[0] - 15.0, CENTRE[1] + 15.0)
    ground = ground_of()
    pan = on_map(ground, fine, (2 * side - 1, 2 * side - 1), 15.0)[1:4].mean(axis=0)
    frame = framed(10 * pan[None], 4)
    write(home / f"{name}_B8.TIF", frame, corner=fine, pixel=15.0, crs=CRS, point=True)
    for number, band in enumerate(10 * on_map(ground, coarse, (side, side), 30.0), start=1):
        file = home / f"{name}_B{number}.TIF"
        write(file, framed(band[None], 2), corner=coarse, pixel=30.0, crs=CRS, point=True)
    (home / f"{name}_MTL.txt").write_text(mtl(**fields))
    (home / f"{name}_ANG.txt").write_text("GROUP = FILE_HEADER\nEND_GROUP = FILE_HEADER\nEND\n")
    return home


def ground_of() -> Ground:
    """Seven bands; the PAN is the mean of the second to the fourth, counts are ten times these."""
    return Ground(7, 15.0, origin=CENTRE, seed=3)
