"""Cubes without a PAN of their own, and Sentinel-2 as their guide, around one known ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deliveries.ground import Ground
from deliveries.rasters import on_map, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CORNER, CRS = (600_000.0, 5_000_040.0), "EPSG:32632"
ENMAP = "ENMAP01-____L{level}-DT0000001234_20220601T101010Z_001_V010111_20220602T101010Z"
#: Six bands of two cameras that overlap from 950 to 990 nm.
WAVES = (500.0, 660.0, 850.0, 990.0, 950.0, 1650.0)
VNIR = 4
SAFE = "S2A_MSIL{level}_20220601T101031_N0400_R022_T32TQM_20220601T133000.SAFE"


def ground_of() -> Ground:
    """One brightness, seen by the 10 m guide and the 30 m cubes."""
    return Ground(1, 10.0, origin=CORNER, seed=9)


def cube(side: int, bands: int) -> np.ndarray:
    """A cube whose band k is (k + 1) times the ground."""
    base = on_map(ground_of(), CORNER, (side, side), 30.0)[0]
    return np.stack([(k + 1) * base for k in range(bands)])


def enmap_xml(
    waves: Sequence[float] = WAVES, *, vnir: int = VNIR, channels: bool = True, gain: str = "1e-05"
) -> str:
    """Text of a METADATA.XML."""
    bands = "".join(
        f'<bandID number="{i}"><wavelengthCenterOfBand>{w}</wavelengthCenterOfBand><FWHMOfBand>'
        f"{7.5 + i}</FWHMOfBand><GainOfBand>{gain}</GainOfBand><OffsetOfBand>-0.001</OffsetOfBand>"
        "</bandID>"
        for i, w in enumerate(waves, start=1)
    )
    near = ",".join(str(i) for i in range(1, vnir + 1))
    far = ",".join(str(i) for i in range(vnir + 1, len(waves) + 1))
    lists = (
        f"<vnirProductQuality><expectedChannelsList>{near}</expectedChannelsList>"
        f"</vnirProductQuality><swirProductQuality><expectedChannelsList>{far}"
        "</expectedChannelsList></swirProductQuality>"
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><level_X><base><temporalCoverage><startTime>'
        "2022-06-01T10:10:10.5Z</startTime></temporalCoverage></base><specific>"
        "<sunElevationAngle><center>61.5</center></sunElevationAngle><sunAzimuthAngle><center>"
        f"150.25</center></sunAzimuthAngle><bandCharacterisation>{bands}</bandCharacterisation>"
        f"{lists if channels else ''}</specific></level_X>"
    )


def enmap(folder: Path, *, level: str = "2A", side: int = 20, **told: object) -> Path:
    """Write a product's folder; returns its metadata."""
    stem = ENMAP.format(level=level)
    image = folder / stem / f"{stem}-SPECTRAL_IMAGE.TIF"
    write(
        image,
        cube(side, len(WAVES)),
        corner=CORNER,
        pixel=30.0,
        crs=CRS,
        dtype="int16",
        nodata=-32768,
    )
    sheet = folder / stem / f"{stem}-METADATA.XML"
    sheet.write_text(enmap_xml(**told))  # type: ignore[arg-type]
    return sheet


def sentinel2(folder: Path, *, level: str = "2A", side: int = 60, offset: int = -1000) -> Path:
    """Write a SAFE folder with bands of 10, 20 and (level 2) doubled resolutions."""
    home = folder / SAFE.format(level=level)
    data = home / "GRANULE" / "L2A_T32TQM_A000001_20220601T101031" / "IMG_DATA"
    ground = ground_of()
    for metres, codes in (
        (10, ("B02", "B03", "B04", "B08")),
        (20, ("B05", "B06", "B07", "B8A", "B11", "B12")),
    ):
        cells = side * 10 // metres
        base = on_map(ground, CORNER, (cells, cells), float(metres))
        for index, code in enumerate(codes, start=1):
            place = data / f"R{metres}m" if level == "2A" else data
            tail = f"_{metres}m" if level == "2A" else ""
            file = place / f"T32TQM_20220601T101031_{code}{tail}.jp2"
            options = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}
            counts = base * index - offset
            write(file, counts, corner=CORNER, pixel=float(metres), crs=CRS, **options)
    spectrum = "".join(
        f'<Spectral_Information bandId="{i}" physicalBand="{code}"><Wavelength><MIN unit="nm">'
        f'{c - w / 2}</MIN><MAX unit="nm">{c + w / 2}</MAX><CENTRAL unit="nm">{c}</CENTRAL>'
        "</Wavelength></Spectral_Information>"
        for i, code, c, w in (
            (1, "B2", 490.0, 98.0),
            (2, "B3", 560.0, 46.0),
            (3, "B4", 665.0, 40.0),
            (7, "B8", 835.0, 130.0),
        )
    )
    word = "BOA" if level == "2A" else "RADIO"
    offsets = "".join(
        f'<{word}_ADD_OFFSET band_id="{i}">{offset}</{word}_ADD_OFFSET>' for i in range(13)
    )
    scale = "BOA_QUANTIFICATION_VALUE" if level == "2A" else "QUANTIFICATION_VALUE"
    (home / f"MTD_MSIL{level}.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?><n1:Product xmlns:n1="https://psd/user.xsd">'
        "<General_Info><PRODUCT_START_TIME>2022-06-01T10:10:31.024Z</PRODUCT_START_TIME>"
        f"<{scale} unit='none'>10000</{scale}>{offsets}{spectrum}</General_Info>"
        "<Cloud_Coverage_Assessment>4.5</Cloud_Coverage_Assessment></n1:Product>"
    )
    (data.parent / "MTD_TL.xml").write_text(
        "<Tile><Mean_Sun_Angle><ZENITH_ANGLE>28.5</ZENITH_ANGLE><AZIMUTH_ANGLE>150.5"
        "</AZIMUTH_ANGLE></Mean_Sun_Angle></Tile>"
    )
    return home


def desis(folder: Path, *, level: str = "2A", side: int = 20, unit: str = "Nanometers") -> Path:
    """Write a DESIS product's files; returns the image."""
    stem = f"DESIS-HSI-L{level}-DT0331190256_002-20190926T041912-V0210"
    image = folder / f"{stem}-SPECTRAL_IMAGE.tif"
    data = cube(side, 5)
    write(image, data, corner=CORNER, pixel=30.0, crs=CRS, dtype="int16", nodata=-32768)
    waves = [450.0, 550.0, 650.0, 750.0, 850.0]
    told = [w / 1000 for w in waves] if unit != "Nanometers" else waves
    wide = [0.003] * 5 if unit != "Nanometers" else [3.0] * 5
    (folder / f"{stem}-SPECTRAL_IMAGE.hdr").write_text(
        f"ENVI\nbands = 5\nwavelength units = {unit}\nwavelength = {{\n"
        + ", ".join(map(str, told))
        + f"}}\nfwhm = {{{', '.join(map(str, wide))}}}\nbbl = {{1,1,0,1,1}}\n"
        "data gain values = {0.1,0.1,0.1,0.1,0.1}\n"
    )
    (folder / f"{stem}-METADATA.xml").write_text("<hsi_doc/>")
    return image


def hyperion(folder: Path, *, side: int = 20) -> Path:
    """Write a Hyperion scene of four bands, one of them empty; returns the first."""
    scene = "EO1H1910272002151111KZ_PF1_01"
    data = cube(side, 4)
    data[1] = 0
    for number, band in zip((8, 9, 70, 71), data, strict=True):
        file = folder / f"{scene}_B{number:03d}_L1T.TIF"
        write(file, band[None], corner=CORNER, pixel=30.0, crs=CRS, dtype="int16")
    (folder / f"{scene}_MTL_L1T.TXT").write_text(
        "GROUP = L1_METADATA_FILE\n  ACQUISITION_DATE = 2002-05-31\n"
        '  START_TIME = "2002 151 10:10:10"\n  SUN_ELEVATION = 60.5\n  GROUP = RADIANCE_SCALING\n'
        "    SCALING_FACTOR_VNIR = 40\n    SCALING_FACTOR_SWIR = 80\n  END_GROUP\nEND\n"
    )
    return folder / f"{scene}_B008_L1T.TIF"


def ahsi(folder: Path, *, side: int = 20, texts: bool = True) -> Path:
    """Write a GaoFen-5 scene of two cubes on a map; returns the VNIR cube."""
    scene = "GF5_AHSI_E121.45_N31.31_20191228_008714_L10000071208"
    for part, bands in (("VN", 3), ("SW", 2)):
        file = folder / f"{scene}_{part}.geotiff"
        write(file, cube(side, bands), corner=CORNER, pixel=30.0, crs=CRS)
    if texts:
        for word, rows in (
            ("VNIR_Spectralresponse", ("450.0 4.5", "700.0,4.5", "1010 4.5")),
            ("SWIR_Spectralresponse", ("1000.0 8.0", "1650.0 8.0")),
            ("VNIR_RadCal", ("0.01 0.1",) * 3),
            ("SWIR_RadCal", ("0.02 0.2",) * 2),
        ):
            (folder / f"{scene}_{word}.raw").write_text("\n".join(rows) + "\n")
    return folder / f"{scene}_VN.geotiff"
