"""PRISMA files around a known ground: the groups and attributes that readers rely on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deliveries.ground import Ground
from deliveries.rasters import on_map

if TYPE_CHECKING:
    from pathlib import Path

NAME = "PRS_{level}_STD_20200601101010_20200601101014_0001.he5"
#: Stored from long to short, an unused slot at 0; the two detectors overlap at 950 to 1000 nm.
VNIR = (0.0, 1000.0, 950.0, 900.0, 800.0, 700.0, 650.0, 600.0, 550.0, 500.0, 450.0)
SWIR = (2400.0, 2200.0, 1650.0, 1250.0, 1100.0, 990.0, 960.0, 0.0)
EPSG, CORNER = 32_632, (500_000.0, 5_000_000.0)


def spectra() -> tuple[np.ndarray, np.ndarray]:
    """Brightness of every stored band (all VNIR, then all SWIR): tells which band is which."""
    vnir = np.array([0.0 if w == 0 else 1.0 + w / 1000 for w in VNIR])
    swir = np.array([0.0 if w == 0 else 3.0 + w / 1000 for w in SWIR])
    return vnir, swir


def prisma(
    folder: Path,
    *,
    level: str = "L2D",
    side: int = 24,
    corners: str = "centres",
    chunks: bool = True,
    flagged: int | None = None,
    **attributes: object,
) -> Path:
    """Write a file; `flagged`: number of a VNIR slot whose flag is 0."""
    import h5py

    path = folder / NAME.format(level=level)
    folder.mkdir(parents=True, exist_ok=True)
    ground = ground_of()
    pan = 3 * on_map(ground, CORNER, (6 * side, 6 * side), 5.0)[0]
    base = on_map(ground, CORNER, (side, side), 30.0)[0]
    with h5py.File(path, "w") as file:
        home = f"HDFEOS/SWATHS/PRS_{level}_"
        for word, bright in zip(("VNIR", "SWIR"), spectra(), strict=True):
            cube = np.rint(base[:, None, :] * bright[None, :, None]).astype(np.uint16)
            name = f"{home}HCO/Data Fields/{word}_Cube"
            file.create_dataset(name, data=cube, chunks=(4, *cube.shape[1:]) if chunks else None)
        file.create_dataset(f"{home}PCO/Data Fields/Cube", data=np.rint(pan).astype(np.uint16))
        half = 0.0 if corners == "outer" else 15.0
        left, top = CORNER[0] + half, CORNER[1] - half
        right, bottom = CORNER[0] + 30 * side - half, CORNER[1] - 30 * side + half
        told: dict[str, object] = {
            "List_Cw_Vnir": np.array(VNIR, np.float32),
            "List_Cw_Swir": np.array(SWIR, np.float32),
            "List_Fwhm_Vnir": np.array([12.0 if w else 0.0 for w in VNIR], np.float32),
            "List_Fwhm_Swir": np.array([14.0 if w else 0.0 for w in SWIR], np.float32),
            "List_Cw_Vnir_Flags": np.array(
                [int(w > 0 and i != flagged) for i, w in enumerate(VNIR)], np.int8
            ),
            "List_Cw_Swir_Flags": np.array([int(w > 0) for w in SWIR], np.int8),
            "Product_StartTime": np.bytes_("2020-06-01T10:10:10.500"),
            "Sun_zenith_angle": np.float32(25.5),
            "Sun_azimuth_angle": np.float32(150.0),
        }
        if level == "L1":
            for word, factor in (("Vnir", 100.0), ("Swir", 200.0), ("Pan", 50.0)):
                told[f"ScaleFactor_{word}"] = np.float32(factor)
                told[f"Offset_{word}"] = np.float32(0.5)
        else:
            for word in ("Vnir", "Swir", "Pan"):
                told[f"L2Scale{word}Min"] = np.float32(0.0)
                told[f"L2Scale{word}Max"] = np.float32(1.3107)
            told |= {
                "Epsg_Code": np.int64(EPSG),
                "Product_ULcorner_easting": left,
                "Product_ULcorner_northing": top,
                "Product_LRcorner_easting": right,
                "Product_LRcorner_northing": bottom,
            }
        for key, value in (told | attributes).items():
            if value is not None:
                file.attrs[key] = value
    return path


def ground_of() -> Ground:
    """One brightness that all bands share; the PAN has three times its counts."""
    return Ground(1, 5.0, origin=CORNER, seed=5)
