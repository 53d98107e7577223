"""Shifts of real pairs agree with those that were measured when the pairs were collected."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

from pansharp.options import FuseOptions
from pansharp.readers import open_scene
from pansharp.registration import register

if TYPE_CHECKING:
    from pathlib import Path

#: Folder, PAN, MS, and the residual shift measured in half PAN pixels (rows, columns).
PAIRS = [
    ("landsat8_gulf_coast", "pan.tif", "ms.tif", (0.5, 0.0)),  # a flat optimum
    ("landsat8_chips", "pan_5.tif", "ms_5.tif", (0.0, 0.0)),
    ("landsat8_chips", "pan_6.tif", "ms_6.tif", (0.0, 0.0)),
    ("landsat_istanbul", "pan.tif", "ms.tif", (0.0, 0.0)),
    ("worldview2_rotterdam", "pan_1.tif", "ms_1.tif", (-0.5, -1.5)),
    ("worldview2_rotterdam", "pan_2.tif", "ms_2.tif", (-0.5, 1.5)),
    ("ikonos_grip", "pan.tif", "ms.tif", (0.5, 0.5)),
    ("worldview2_rio", "pan.tif", "ms.tif", (0.5, 0.5)),
    ("gaofen2_psdata3", "test_full_res_0_pan.tif", "test_full_res_0_ms.tif", (0.5, -0.5)),
    ("gaofen2_psdata3", "test_low_res_0_pan.tif", "test_low_res_0_ms.tif", (0.0, -0.5)),
]


@pytest.mark.parametrize(("folder", "pan", "ms", "known"), PAIRS)
def test_shift_is_the_known_one(
    shared_data: Path, folder: str, pan: str, ms: str, known: tuple[float, float]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scene = open_scene(pan=shared_data / folder / pan, ms=shared_data / folder / ms)
    found = register(scene, FuseOptions(), apply=False).shift
    assert found is not None
    # The known ones are whole steps of half a pixel.
    assert (found.rows, found.cols) == pytest.approx(known, abs=0.5)
    assert found.patches >= 4
    assert found.spread is not None
    assert found.spread < 0.5
