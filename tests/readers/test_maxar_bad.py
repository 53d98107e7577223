"""Maxar deliveries that are incomplete, damaged, contradictory, or not to be fused."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from deliveries.maxar import Made, write_delivery
from pansharp.errors import (
    AlignmentWarning,
    AmbiguousReaderError,
    GridMismatchError,
    MissingSidecarError,
    PansharpError,
    PansharpWarning,
    ReaderError,
    SceneError,
    UnknownFormatError,
)
from pansharp.readers import open_scene
from pansharp.scratch import holder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def edit(file: Path, pattern: str, text: str, count: int = 1) -> None:
    """Replace a regular expression in a sidecar; it must be there."""
    new, found = re.subn(pattern, text, file.read_text(), count=count, flags=re.S)
    assert found
    file.write_text(new)


def side(made: Made, ending: str, role: str = "pan") -> Path:
    return next(getattr(made, role)[0].parent.glob(f"*{ending}"))


def check(made: Made, kind: type[PansharpError], finding: str) -> None:
    with pytest.raises(kind, match=finding) as caught:
        open_scene(made.root)
    assert "\n" not in str(caught.value)


Edit = tuple[dict[str, object], "Callable[[Made], object]", type[PansharpError], str]

REFUSED: dict[str, Edit] = {
    "no MS": (
        {}, lambda m: shutil.rmtree(m.ms[0].parent), UnknownFormatError,
        r"No multispectral image found for '.*P2AS.*'\. Looked for .*P001.*_MUL.*--ms FILE",
    ),
    "no PAN": (
        {}, lambda m: shutil.rmtree(m.pan[0].parent), UnknownFormatError,
        r"No panchromatic image found for .*--pan FILE",
    ),
    "tile missing": (
        {"tiles": (2, 2)}, lambda m: m.pan[2].unlink(), MissingSidecarError,
        r"The tile map '.*TIL' lists 4 tiles, 1 is missing: .*R2C1.*partial mosaics",
    ),
    "tile map missing": (
        {"tiles": (1, 2), "sidecars": "imd"}, lambda m: m.pan_map.unlink(), MissingSidecarError,
        r"is tile R1C1 of a product of several tiles .*Give the \.TIL or the product folder",
    ),
    "tile outside": (
        {"tiles": (1, 2)},
        lambda m: edit(m.pan_map, r'filename = "', 'filename = "../other/'), ReaderError,
        "lies outside its folder",
    ),
    "tile twice": (
        {"tiles": (1, 2)}, lambda m: edit(m.pan_map, "R1C2", "R1C1"), ReaderError,
        "names a tile twice",
    ),
    "promised tiles": (
        {"tiles": (1, 2)}, lambda m: edit(m.pan_map, "numTiles = 2", "numTiles = 5"), ReaderError,
        "promises 5 tiles and lists 2",
    ),
    "absurd tile offset": (
        {"tiles": (1, 2)}, lambda m: edit(m.pan_map, "ULColOffset = 96", "ULColOffset = -5"),
        ReaderError, "ULColOffset is -5, outside 0",
    ),
    "tile map empty": (
        {"tiles": (1, 2)}, lambda m: m.pan_map.write_text(""), ReaderError, r"TIL' is empty",
    ),
    "tile map of nothing": (
        {"tiles": (1, 2)}, lambda m: m.pan_map.write_text("numTiles = 2;\nEND;\n"), ReaderError,
        "lists 0 tiles",
    ),
    "tile of another kind": (
        {"tiles": (1, 2)}, lambda m: shutil.copy(m.ms[0], m.pan[1]), ReaderError,
        "differ in bands or number type",
    ),
    "tile cut off": (
        {"tiles": (1, 2)}, lambda m: m.pan[1].write_bytes(m.pan[1].read_bytes()[:9000]),
        ReaderError, r"R1C2.* is incomplete",
    ),
    "IMD of zeros": (
        {"sidecars": "imd"}, lambda m: side(m, ".IMD").write_bytes(bytes(500)), ReaderError,
        "is empty",
    ),
    "IMD of noise": (
        {"sidecars": "imd"}, lambda m: side(m, ".IMD").write_bytes(bytes(range(1, 256)) * 9),
        ReaderError, r"IMD.* no 'key = value;' fields",
    ),
    "ISD with entities": (
        {"sidecars": "xml"},
        lambda m: edit(side(m, ".XML"), r"<isd>", '<!DOCTYPE isd [<!ENTITY a "b">]><isd>&a;'),
        ReaderError, "entities",
    ),
    "RPC of nothing (1B)": (
        {"level": "1B", "sidecars": "imd"},
        lambda m: edit(side(m, ".RPB"), r"lineOffset", "linOffset"), MissingSidecarError,
        r"RPB' has no lineOffset",
    ),
    "short RPC (1B)": (
        {"level": "1B", "sidecars": "imd"},
        lambda m: edit(side(m, ".RPB"), r"lineNumCoef = \(\s*\S+,", "lineNumCoef = ("), ReaderError,
        "lineNumCoef must be 20 numbers",
    ),
    "absurd RPC (1B)": (
        {"level": "1B", "sidecars": "imd"},
        lambda m: edit(side(m, ".RPB"), r"latOffset = [\d.]+", "latOffset = 450.0"), ReaderError,
        "latOffset is 450, outside -90 to 90",
    ),
    "RPC of another place (1B)": (
        {"level": "1B", "sidecars": "imd"},
        lambda m: edit(side(m, ".RPB"), r"latOffset = [\d.]+", "latOffset = -12.0"),
        GridMismatchError, r"overlap in 0 %|cannot be evaluated|same ground",
    ),
    "no RPC and odd sizes": (
        {"level": "1B", "sidecars": "imd", "tiles": (1, 1)}, lambda m: _bare_and_cut(m),
        MissingSidecarError, r"neither a map projection nor RPC coefficients\. Put the \.RPB next",
    ),
    "pan-sharpened by algorithm": (
        {"sidecars": "imd"},
        lambda m: edit(side(m, ".IMD", "ms"), r'Algorithm = "None"', 'Algorithm = "UNB"'),
        UnknownFormatError, "No multispectral image",
    ),
    "PAN of another day": (
        {}, lambda m: _time(m, "2019-07-02T10:20:30Z"), SceneError,
        r"PAN '.*' was taken 2019-07-02 10:20, the MS '.*' 2019-06-15",
    ),
    "PAN projected, MS not": (
        {"level": "OR2A"}, lambda m: _strip(m.ms[0]), GridMismatchError,
        r"the PAN has a projection, the MS '.*' only RPC",
    ),
    "all fill": (
        {}, lambda m: _blank(m.ms[0]), SceneError, r"every pixel of the MS image .* is nodata",
    ),
}  # fmt: skip


def _bare_and_cut(made: Made) -> None:
    for role in ("pan", "ms"):
        side(made, ".RPB", role).unlink()
    _rewrite(made.pan[0], rows=100)


def _rewrite(path: Path, rows: int | None = None) -> None:
    """The same counts without any place, maybe the first rows alone."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as file:
            data = file.read()[:, :rows]
    # GDAL removes an old file's sidecars with it: write elsewhere.
    new = path.with_suffix(".new")
    count, height, width = data.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target = rasterio.open(
            new, "w", driver="GTiff", count=count, height=height, width=width, dtype=data.dtype
        )
    with target:
        target.write(data)
    new.replace(path)


def _strip(path: Path) -> None:
    _rewrite(path)
    for sidecar in path.parent.iterdir():  # nothing else may tell the place
        if sidecar.suffix in (".IMD", ".XML"):
            text = re.sub(
                r"BEGIN_GROUP = MAP.*?END_GROUP[^\n]*\n", "", sidecar.read_text(), flags=re.S
            )
            sidecar.write_text(re.sub(r"<MAP_PRO.*</MAP_PROJECTED_PRODUCT>", "", text, flags=re.S))


def _blank(path: Path) -> None:
    with rasterio.open(path, "r+") as file:
        file.write(np.zeros((file.count, *file.shape), np.uint16))


def _time(made: Made, text: str) -> None:
    edit(side(made, ".IMD"), r"\d{4}-\d\d-15T[\d:.]+Z", text, count=0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_fused_is_one_line(tmp_path: Path, name: str) -> None:
    options, damage, kind, finding = REFUSED[name]
    made = write_delivery(tmp_path, ms_shape=(40, 48), **options)  # type: ignore[arg-type]
    damage(made)
    check(made, kind, finding)


def test_pan_sharpened_product_is_named(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, ms_shape=(40, 48), sidecars="imd")
    edit(side(made, ".IMD", "ms"), r'Algorithm = "None"', 'Algorithm = "UNB"')
    with pytest.raises(SceneError, match=r"already pan-sharpened \(panSharpenAlgorithm is 'UNB'"):
        open_scene(made.ms[0])
    edit(side(made, ".IMD", "ms"), r"panSharpenAlgorithm[^\n]*\n", "")
    edit(side(made, ".IMD", "ms"), r'bandId = "Multi"', 'bandId = "BGRN"')
    with pytest.raises(SceneError, match=r"already pan-sharpened \(bandId is 'BGRN'"):
        open_scene(made.ms[0])


def test_swir_is_neither(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, ms_shape=(40, 48), sidecars="imd", satellite="WV04")
    text = side(made, ".IMD", "ms").read_text()
    for code, other in (("B", "S1"), ("G", "S2"), ("R", "S3"), ("N", "S4")):
        text = text.replace(f"BAND_{code}\n", f"BAND_{other}\n")
    side(made, ".IMD", "ms").write_text(text)
    with pytest.raises(SceneError, match="SWIR bands, neither PAN nor MS"):
        open_scene(made.ms[0])


def test_two_images_could_be_the_ms(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, ms_shape=(40, 48))
    for file in list(made.ms[0].parent.glob("19*")):
        shutil.copy(file, file.with_name(file.name.replace("19JUN15102030", "19JUN15102031")))
    with pytest.raises(AmbiguousReaderError, match=r"2 images could be the MS .*--ms FILE"):
        open_scene(tmp_path)
    assert open_scene(pan=made.pan[0], ms=made.ms[0]).bands == 8


SURVIVED: dict[str, tuple[dict[str, object], Callable[[Made], object], str]] = {
    "absurd sun": (
        {"sidecars": "imd"},
        lambda m: edit(side(m, ".IMD"), "meanSunEl = 62.7", "meanSunEl = 6270"),
        r"meanSunEl is 6270, outside -90 to 90; left out",
    ),
    "no number": (
        {"sidecars": "imd"},
        lambda m: edit(side(m, ".IMD"), "meanSunAz = 145.3", "meanSunAz = east"),
        r"meanSunAz is 'east', not a number; left out",
    ),
    "damaged RPC of a projected product": (
        {"level": "OR2A"}, lambda m: edit(side(m, ".RPB"), "lineScale", "x"), "RPC left out",
    ),
    "RPC of another raster": (
        {"level": "OR2A", "sidecars": "imd"},
        lambda m: edit(side(m, ".RPB"), r"lineOffset = [\d.]+", "lineOffset = 900.5"),
        r"RPC offsets \(row 900\.5, column 95\.5\) do not fit a 160 x 192 raster; was it cropped",
    ),
    "bands that are not there": (
        {"sidecars": "imd"},
        lambda m: edit(side(m, ".IMD", "ms"), r"BEGIN_GROUP = BAND_N2.*?END_GROUP = BAND_N2", ""),
        "the IMD lists 7 bands and the image has 8",
    ),
    "negative factor": (
        {"sidecars": "imd"},
        lambda m: edit(side(m, ".IMD"), r"absCalFactor = ", "absCalFactor = -"),
        "absCalFactor is -",
    ),
    "damaged IMD with a whole ISD": (
        {}, lambda m: side(m, ".IMD").write_bytes(b"\0"), "the ISD XML is used",
    ),
    "place of the IMD": (
        {"tiles": (1, 2), "sidecars": "imd"},
        lambda m: edit(side(m, ".IMD"), r"originX = [\d.]+", "originX = 500002.0"),
        r"the IMD places the image 6\.0 pixels away",
    ),
    "tile offsets of nonsense": (
        {"tiles": (1, 2), "sidecars": "imd"},
        lambda m: edit(m.pan_map, "ULColOffset = 96", "ULColOffset = 3"),
        "tiles laid by their names",
    ),
    "end of tiles": (
        {"tiles": (1, 2), "sidecars": "imd"},
        lambda m: edit(m.pan_map, "LRColOffset = 191", "LRColOffset = 150"),
        "the file itself at 160, 192: using the file",
    ),
    "8 bit": (
        {"sidecars": "imd"}, lambda m: edit(side(m, ".IMD"), "Pixel = 16", "Pixel = 8"), "",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::pansharp.errors.PansharpWarning")
@pytest.mark.parametrize("name", SURVIVED)
def test_what_only_looks_odd_is_noted(tmp_path: Path, name: str) -> None:
    options, damage, note = SURVIVED[name]
    made = write_delivery(tmp_path, ms_shape=(40, 48), **options)  # type: ignore[arg-type]
    damage(made)
    scene = open_scene(tmp_path)
    assert scene.shape == (8, 160, 192)
    assert scene.transform == tuple(made.transform)[:6]
    assert scene.delivery is not None
    noted = (*scene.notes, *scene.delivery.pan.notes, *scene.delivery.ms.notes)
    assert any(re.search(note, line) for line in noted), noted
    if name == "8 bit":
        assert scene.delivery.pan.corrected == "8-bit, stretched for display"
    if name == "negative factor":
        assert scene.delivery.pan.constants == ()
    if name == "bands that are not there":
        assert scene.band_names[0] == "b1"
        assert scene.delivery.ms.constants == ()


def test_no_rpc_but_sizes_that_fit(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, ms_shape=(40, 48), level="1B", sidecars="imd")
    side(made, ".RPB").unlink()
    scene = open_scene(tmp_path)
    assert scene.delivery is not None
    assert scene.delivery.geometry == "pixel"
    assert any("neither a map projection nor RPC" in note for note in scene.notes)
    assert scene.shape == (8, 160, 192)


def test_rpc_of_a_cropped_copy_warn(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, ms_shape=(40, 48), level="1B", sidecars="imd")
    edit(side(made, ".RPB"), r"lineOffset = [\d.]+", "lineOffset = 200.5")
    with pytest.warns(AlignmentWarning):
        scene = open_scene(tmp_path)
    assert any("was it cropped" in note for note in scene.notes)
    assert any("MS laid on the PAN by its size" in note for note in scene.notes)


def test_quarter_of_an_hour_between_pan_and_ms_warns(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, ms_shape=(40, 48), sidecars="imd")
    _time(made, "2019-06-15T10:40:30Z")
    with pytest.warns(PansharpWarning, match=r"was taken 2019-06-15 10:40, the MS .* 10:20"):
        open_scene(tmp_path)
    _time(made, "2019-06-15T10:40:30Z")
    edit(side(made, ".IMD"), r"2019-06-15T", "2020-06-15T", count=0)
    with pytest.warns(PansharpWarning, match="was taken 2020"):
        assert open_scene(pan=made.pan[0], ms=made.ms[0]).bands == 8  # named: the user's will


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folder_without_permission(tmp_path: Path) -> None:
    made = write_delivery(tmp_path / "x", ms_shape=(40, 48))
    made.ms[0].parent.chmod(0)
    try:
        check(made, UnknownFormatError, "No multispectral image")
    finally:
        made.ms[0].parent.chmod(0o755)


def test_users_own_files_are_nobodys_scratch(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, ms_shape=(40, 48), tiles=(1, 2))
    assert holder(str(made.pan[0])) is None
