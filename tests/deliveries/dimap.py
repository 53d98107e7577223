"""Airbus bundles around a known ground: DIMAP 2 documents, tiles, RPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deliveries.ground import Camera, Ground, flat
from deliveries.rasters import on_map, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TIME = "201308051042194"
CORNER, CENTRE = (450_000.0, 5_400_000.0), (8.5, 48.75)
#: Counts per radiance and irradiance of every band, by id.
GAINS = {"P": 11.7, "B0": 9.3, "B1": 9.5, "B2": 10.5, "B3": 15.6}
SUNS = {"P": 1548.0, "B0": 1915.0, "B1": 1830.0, "B2": 1594.0, "B3": 1060.0}
#: Order of the file, as in products that are delivered now.
ORDER = ("B2", "B1", "B0", "B3")
#: Band of the ground that each id shows.
ROWS = {"B0": 0, "B1": 1, "B2": 2, "B3": 3, "B": 0, "G": 1, "R": 2, "NIR": 3, "RE": 4, "DB": 5}


def document(
    bands: Sequence[Sequence[str]],
    tiles: Sequence[tuple[int, int, str]],
    shape: tuple[int, int],
    *,
    mission: tuple[str, str] = ("PHR", "1A"),
    spectral: str = "MS",
    processing: str = "BASIC",
    level: str = "ORTHO",
    place: str = "",
    date: str = "2013-08-05",
) -> str:
    """Text of a DIM_*.XML."""
    lists = "".join(
        "<Raster_Index_List>"
        + "".join(
            f"<Raster_Index><BAND_ID>{code}</BAND_ID><BAND_INDEX>{index}</BAND_INDEX></Raster_Index>"
            for index, code in enumerate(group, start=1)
        )
        + "</Raster_Index_List>"
        for group in bands
    )
    # Sorted by id, as vendors list them: not the order of the file.
    codes = sorted(code for group in bands for code in group)
    measured = "".join(
        f"<Band_Radiance><BAND_ID>{c}</BAND_ID><GAIN>{GAINS.get(c, 10.0)}</GAIN><BIAS>0.5</BIAS>"
        "</Band_Radiance>"
        for c in codes
    ) + "".join(
        f"<Band_Solar_Irradiance><BAND_ID>{c}</BAND_ID><VALUE>{SUNS.get(c, 1000.0)}</VALUE>"
        "</Band_Solar_Irradiance>"
        for c in codes
    )
    files = "".join(
        f'<Data_File tile_R="{row}" tile_C="{col}"><DATA_FILE_PATH href="{name}"/></Data_File>'
        for row, col, name in tiles
    )
    angles = "".join(
        f"<Located_Geometric_Values><TIME>2013-08-05T10:42:1{i}.4Z</TIME><Acquisition_Angles>"
        f"<AZIMUTH_ANGLE>180.1</AZIMUTH_ANGLE><VIEWING_ANGLE>{9 + i}.5</VIEWING_ANGLE>"
        f"<INCIDENCE_ANGLE>{10 + i}.5</INCIDENCE_ANGLE></Acquisition_Angles><Solar_Incidences>"
        f"<SUN_AZIMUTH>15{i}.5</SUN_AZIMUTH><SUN_ELEVATION>5{i}.25</SUN_ELEVATION>"
        "</Solar_Incidences></Located_Geometric_Values>"
        for i in range(3)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Dimap_Document>
<Metadata_Identification><METADATA_FORMAT version="2.15">DIMAP</METADATA_FORMAT>
</Metadata_Identification>
<Dataset_Content><CLOUD_COVERAGE unit="percent">2.5</CLOUD_COVERAGE></Dataset_Content>
<Processing_Information><Product_Settings><PROCESSING_LEVEL>{level}</PROCESSING_LEVEL>
<SPECTRAL_PROCESSING>{spectral}</SPECTRAL_PROCESSING><Radiometric_Settings>
<RADIOMETRIC_PROCESSING>{processing}</RADIOMETRIC_PROCESSING></Radiometric_Settings></Product_Settings></Processing_Information>
{place}
<Raster_Data><Data_Access><DATA_FILE_FORMAT>image/tiff</DATA_FILE_FORMAT>
<DATA_FILE_TILES>true</DATA_FILE_TILES><Data_Files>{files}</Data_Files></Data_Access>
<Raster_Dimensions><NROWS>{shape[0]}</NROWS><NCOLS>{shape[1]}</NCOLS>
<NBANDS>{len(codes)}</NBANDS><Tile_Set><NTILES>{len(tiles)}</NTILES><Regular_Tiling>
<NTILES_SIZE nrows="{shape[0]}" ncols="{shape[1] // 2}"/><NTILES_COUNT ntiles_R="1" ntiles_C="2"/>
<OVERLAP_ROW>0</OVERLAP_ROW><OVERLAP_COL>0</OVERLAP_COL></Regular_Tiling></Tile_Set></Raster_Dimensions>
<Raster_Encoding><DATA_TYPE>INTEGER</DATA_TYPE><NBITS>16</NBITS><SIGN>UNSIGNED</SIGN></Raster_Encoding>
<Raster_Display>{lists}</Raster_Display></Raster_Data>
<Radiometric_Data><Radiometric_Calibration><Instrument_Calibration><Band_Measurement_List>{measured}</Band_Measurement_List></Instrument_Calibration></Radiometric_Calibration></Radiometric_Data>
<Geometric_Data><Use_Area>{angles}</Use_Area></Geometric_Data>
<Dataset_Sources><Source_Identification><Strip_Source><MISSION>{mission[0]}</MISSION>
<MISSION_INDEX>{mission[1]}</MISSION_INDEX><IMAGING_DATE>{date}</IMAGING_DATE>
<IMAGING_TIME>10:42:19.4Z</IMAGING_TIME></Strip_Source></Source_Identification></Dataset_Sources>
</Dimap_Document>
"""


def rpc(camera: Camera) -> str:
    """Text of an RPC_*.XML; unlike RPC00B it counts the first pixel as 1."""
    told = camera.rpc()
    inverse = "".join(
        f"<{name}_{i}>{value}</{name}_{i}>"
        for name, key in (
            ("SAMP_NUM_COEFF", "sampNumCoef"),
            ("SAMP_DEN_COEFF", "sampDenCoef"),
            ("LINE_NUM_COEFF", "lineNumCoef"),
            ("LINE_DEN_COEFF", "lineDenCoef"),
        )
        for i, value in enumerate(told[key], start=1)  # type: ignore[arg-type]
    )
    validity = {
        "LONG_SCALE": camera.long_scale,
        "LONG_OFF": camera.centre[0],
        "LAT_SCALE": camera.lat_scale,
        "LAT_OFF": camera.centre[1],
        "HEIGHT_SCALE": camera.height_scale,
        "HEIGHT_OFF": camera.height,
        "SAMP_SCALE": camera.samp_scale,
        "SAMP_OFF": camera.samp_off + 1,
        "LINE_SCALE": camera.line_scale,
        "LINE_OFF": camera.line_off + 1,
    }
    values = "".join(f"<{key}>{value!r}</{key}>" for key, value in validity.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Dimap_Document><Rational_Function_Model>'
        f"<Global_RFM><Inverse_Model>{inverse}</Inverse_Model><RFM_Validity>{values}"
        "</RFM_Validity></Global_RFM></Rational_Function_Model></Dimap_Document>"
    )


def bundle(
    folder: Path,
    *,
    level: str = "ORT",
    order: Sequence[str] = ORDER,
    side: int = 64,
    satellite: str = "PHR1A",
    mission: tuple[str, str] = ("PHR", "1A"),
    pixel: float = 0.5,
    full: bool = False,
    **told: object,
) -> tuple[Path, Path]:
    """Write a PAN and an MS folder of two tiles each; returns their documents.

    `level`: ``ORT`` with a map, ``SEN`` with RPC; `full`: six bands in two rasters.
    """
    ground = ground_of(6 if full else 4, pixel)
    eyes = [Camera((n * side, n * side), 4 * pixel / n, CENTRE, height=50.0) for n in (4, 1)]
    if level == "ORT":
        fine, ms = (on_map(ground, CORNER, eye.shape, eye.gsd) for eye in eyes)
    else:
        fine, ms = (eye.view(ground, flat(50.0), "EPSG:32632") for eye in eyes)
    codes = [["R", "G", "B"], ["NIR", "RE", "DB"]] if full else [list(order)]
    pan = fine[:3].mean(axis=0, keepdims=True)
    spectral = "MS-FS" if full else "MS"
    documents = []
    for number, kind, groups, image, size in (
        (1, "P", [["P"]], {"P": pan[0]}, pixel),
        (2, spectral, codes, {c: ms[ROWS[c]] for group in codes for c in group}, 4 * pixel),
    ):
        home = folder / f"IMG_{satellite}_{kind}_{number:03d}"
        stem = f"{satellite}_{kind}_{TIME}_{level}_123456101-{number:03d}"
        shape = next(iter(image.values())).shape
        tiles: list[tuple[int, int, str]] = []
        for group, word in zip(groups, ("_RGB", "_NED") if len(groups) > 1 else ("",), strict=True):
            for col, part in enumerate(_halved([image[code] for code in group]), start=1):
                name = f"IMG_{stem}{word}_R1C{col}.TIF"
                left = CORNER[0] + (col - 1) * shape[1] // 2 * size
                corner = (left, CORNER[1]) if level == "ORT" else None
                write(home / name, part, corner=corner, pixel=size)
                tiles.append((1, col, name))
        place = ""
        if level == "ORT":
            place = (
                "<Coordinate_Reference_System><Projected_CRS><PROJECTED_CRS_CODE>"
                "urn:ogc:def:crs:EPSG::32632</PROJECTED_CRS_CODE></Projected_CRS>"
                "</Coordinate_Reference_System><Geoposition><Geoposition_Insert>"
                f"<ULXMAP>{CORNER[0]}</ULXMAP><ULYMAP>{CORNER[1]}</ULYMAP><XDIM>{size}</XDIM>"
                f"<YDIM>{size}</YDIM></Geoposition_Insert></Geoposition>"
            )
        else:
            (home / f"RPC_{stem}.XML").write_text(rpc(eyes[number - 1]))
        told_level = "ORTHO" if level == "ORT" else "SENSOR"
        text = document(
            groups,
            tiles,
            shape,
            mission=mission,
            spectral=kind,
            level=told_level,
            place=place,
            **told,
        )
        path = home / f"DIM_{stem}.XML"
        path.write_text(text)
        (home / f"IMG_{stem}-BROWSE.JPG").write_bytes(b"\xff\xd8\xff\xd9")
        documents.append(path)
    return documents[0], documents[1]


def ground_of(bands: int, pixel: float) -> Ground:
    """What a bundle shows; its PAN is the mean of the first three."""
    return Ground(bands, pixel, origin=CORNER, seed=11)


def _halved(bands: Sequence[np.ndarray]) -> list[np.ndarray]:
    image = np.stack(bands)
    middle = image.shape[2] // 2
    return [image[:, :, :middle], image[:, :, middle:]]
