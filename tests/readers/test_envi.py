"""ENVI images by header or by image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import pansharp as ps
from pansharp.errors import MissingSidecarError, PansharpError
from pansharp.readers._envi import data_of_header

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import WriteRaster


@pytest.mark.parametrize("name", ["cube", "cube.img", "cube.dat", "cube.bil", "CUBE.BSQ"])
def test_the_header_leads_to_the_image(tmp_path: Path, name: str) -> None:
    image = tmp_path / name
    image.write_bytes(b"\0" * 8)
    header = image.with_suffix(".hdr")
    header.write_text("ENVI\nsamples = 2\n")
    assert data_of_header(str(header)) == str(image)
    assert data_of_header(str(image)) == str(image)
    double = image.with_name(image.name + ".hdr")
    double.write_text("ENVI\n")
    assert data_of_header(str(double)) == str(image)


def test_other_headers_are_left_alone(tmp_path: Path) -> None:
    header = tmp_path / "a.hdr"
    header.write_text("BYTEORDER I\n")
    assert data_of_header(str(header)) == str(header)
    assert data_of_header(str(tmp_path / "absent.hdr")) == str(tmp_path / "absent.hdr")


def test_a_header_alone_is_an_error(tmp_path: Path) -> None:
    header = tmp_path / "cube.hdr"
    header.write_text("ENVI\n")
    with pytest.raises(MissingSidecarError, match=r"looked for 'cube', 'cube.img'"):
        ps.open_scene(hsi=header, msi="guide.tif")


def test_pairs_open_by_their_headers(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_raster("pan.dat", (1, 64, 64), pixel=1, driver="ENVI")
    write_raster("ms.dat", (3, 16, 16), pixel=4, driver="ENVI")
    scene = ps.open_scene(pan=tmp_path / "pan.hdr", ms=[tmp_path / "ms.hdr"])
    assert scene.shape == (3, 64, 64)
    assert ps.open_scene(tmp_path / "ms.hdr", pan=tmp_path / "pan.hdr").shape == (3, 64, 64)
    with pytest.raises(PansharpError):
        ps.open_scene(pan=tmp_path / "pan.hdr", ms=tmp_path / "absent.hdr")
