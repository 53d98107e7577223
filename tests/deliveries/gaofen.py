"""GaoFen-2 and kin as their ground system delivers them, around a known ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deliveries.ground import Camera, Ground, Terrain, flat
from deliveries.maxar import pvl
from deliveries.rasters import framed, on_map, write

if TYPE_CHECKING:
    from pathlib import Path

SCENE = "GF2_PMS{camera}_E113.5_N23.1_20180325_L1A0003080123"
#: Centre of the scene, its UTM zone, and the corner of a projected product there.
CENTRE, CRS = (113.5, 23.1), "EPSG:32649"
CORNER = (756_000.0, 2_557_000.0)


def xml(**fields: object) -> str:
    """A product's XML; fields given here replace or remove (None) those of an old product."""
    lines = {
        "SatelliteID": "GF2",
        "SensorID": "PMS1",
        "ReceiveTime": "2018-03-25 11:25:01",
        "StartTime": "2018-03-25 11:24:47",
        "EndTime": "2018-03-25 11:24:51",
        "ProduceTime": "2018-03-26 02:00:00",
        "ProductID": "3080123",
        "ProductLevel": "LEVEL1A",
        "CloudPercent": "3",
        # Of 03:24:49 UTC at the scene's centre.
        "SolarAzimuth": "129.5",
        "SolarZenith": "26.9",
        "SatelliteAzimuth": "98.2",
        "SatelliteZenith": "86.5",
        "TopLeftLatitude": "23.20",
        "TopLeftLongitude": "113.40",
        "TopRightLatitude": "23.18",
        "TopRightLongitude": "113.60",
        "BottomRightLatitude": "23.00",
        "BottomRightLongitude": "113.58",
        "BottomLeftLatitude": "23.02",
        "BottomLeftLongitude": "113.38",
        **fields,
    }
    body = "\n".join(f"  <{k}>{v}</{k}>" for k, v in lines.items() if v is not None)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ProductMetaData>\n{body}\n</ProductMetaData>\n'
    )


#: Fields that products of 2023 and later have.
NEW = {
    "CenterLatitude": "23.1",
    "CenterLongitude": "113.5",
    "AbsCeof": "0.1374, 0.1784, 0.1723, 0.1894",
    "ZoneNo": "",
}


@dataclass(frozen=True)
class Made:
    """One camera's scene: its files, and what they show."""

    folder: Path
    pan: Path
    ms: Path
    ground: Ground
    terrain: Terrain
    pan_camera: Camera
    ms_camera: Camera


def gaofen2(
    folder: Path,
    *,
    camera: int = 1,
    name: str = SCENE,
    roles: tuple[str, str] | None = None,
    new: bool = False,
    side: int = 64,
    placed: bool = False,
    shift: tuple[float, float] = (0.0, 0.0),
    terrain: Terrain | None = None,
    satellite: str = "GF2",
    **fields: object,
) -> Made:
    """Write one camera's folder.

    `side`: MS pixels; `new`: an XML of 2023 and later; `placed`: with a map projection instead of
    RPC; `shift`: MS pixels by which the MS shows the ground further down and right than its RPC
    say; `fields`: of the XML.
    """
    stem = name.format(camera=camera)
    home = folder / stem
    pan_role, ms_role = roles or (f"PAN{camera}", f"MSS{camera}")
    pixel = 0.8
    ground = Ground(4, pixel, origin=CORNER, seed=camera)
    terrain = terrain or flat(20.0)
    eyes = (
        Camera((4 * side, 4 * side), pixel, CENTRE, height=20.0),
        Camera((side, side), 4 * pixel, CENTRE, height=20.0, shift=shift),
    )
    if placed:
        pan, ms = (on_map(ground, CORNER, eye.shape, eye.gsd) for eye in eyes)
    else:
        pan, ms = (eye.view(ground, terrain, CRS) for eye in eyes)
    gains = {**(NEW if new else {}), **fields}
    one = {**gains, "AbsCeof": "0.1817"} if gains.get("AbsCeof") else gains
    paths = home / f"{stem}-{pan_role}.tiff", home / f"{stem}-{ms_role}.tiff"
    for path, image, eye, frame, told in (
        (paths[0], pan.mean(axis=0, keepdims=True), eyes[0], 16, one),
        (paths[1], ms, eyes[1], 4, gains),
    ):
        corner = CORNER if placed else None
        write(path, framed(image, frame), corner=corner, pixel=eye.gsd, crs=CRS)
        path.with_suffix(".xml").write_text(xml(**{"SensorID": f"PMS{camera}", **told}))
        path.with_suffix(".jpg").write_bytes(b"\xff\xd8\xff\xd9")
        if not placed:
            head = {"satId": satellite, "bandId": "X", "SpecId": "RPC00B"}
            path.with_suffix(".rpb").write_text(pvl({**head, "IMAGE": eye.rpc()}))
    (home / f"{stem}.xml").write_text(xml(SensorID=f"PMS{camera}"))
    (home / f"{stem}_thumb.jpg").write_bytes(b"\xff\xd8\xff\xd9")
    return Made(home, *paths, ground, terrain, *eyes)
