"""How a report finds its files, what it refuses, and hostile names and cards."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from typing import TYPE_CHECKING

import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pansharp.errors import (
    GridMismatchError,
    ModelError,
    PansharpError,
    PansharpWarning,
    ReaderError,
    WriteError,
)
from pansharp.report import product_report, words
from pansharp.report.inputs import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    Make = Callable[..., Path]

EVIL = "<img src=x onerror=alert(1)>\"'&</script>.tif"


def _card(product: Path, **changes: Any) -> dict[str, Any]:
    place = product.with_name(product.name + ".card.json")
    card = json.loads(place.read_text())
    for key, value in changes.items():
        card[key] = value
    place.write_text(json.dumps(card))
    return card


def test_moved_files_are_named(make_product: Make, tmp_path: Path) -> None:
    product = make_product()
    away = tmp_path / "away"
    away.mkdir()
    for name in ("fused.tif", "fused.tif.card.json"):
        shutil.move(product.with_name(name), away / name)
    with pytest.raises(ReaderError, match=r"'pan\.tif' of scene .* --pan and --ms"):
        product_report(away / "fused.tif")
    assert sorted(p.name for p in away.iterdir()) == ["fused.tif", "fused.tif.card.json"]
    pan, ms = product.with_name("pan.tif"), product.with_name("ms.tif")
    path = product_report(away / "fused.tif", pan=str(pan), ms=str(ms))
    assert path == away / "fused.report.html"


def test_files_in_the_working_folder_are_found(
    make_product: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = make_product()
    away = tmp_path / "away"
    away.mkdir()
    for name in ("fused.tif", "fused.tif.card.json"):
        shutil.move(product.with_name(name), away / name)
    monkeypatch.chdir(product.parent)
    assert load(away / "fused.tif").scene is not None


def test_a_changed_input_is_told(make_product: Make) -> None:
    product = make_product()
    with rasterio.open(product.with_name("ms.tif"), "r+") as file:
        file.write(file.read() + 1)
    assert "another digest" in load(product).notes[0]
    assert "another digest" in product_report(product).read_text("utf-8")


def test_product_of_a_part_is_found_by_its_grid(make_product: Make, tmp_path: Path) -> None:
    from pansharp.pipeline import FuseOptions, fuse_to_file
    from pansharp.readers import open_scene

    whole = make_product()
    pan, ms = (str(whole.with_name(name)) for name in ("pan.tif", "ms.tif"))
    scene = open_scene(pan=pan, ms=ms, window=(32, 64, 160, 128), bands=["red", "green", "blue"])
    part = whole.with_name("part.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PansharpWarning)
        fuse_to_file(scene, part, FuseOptions.checked(model="gsa", workers=1))
    inputs = load(part)
    assert inputs.scene is not None
    assert inputs.scene.shape == (3, 160, 128)
    assert inputs.scene.transform == scene.transform


def test_files_of_another_scene_are_refused(make_product: Make, make_pair: Any) -> None:
    product = make_product()
    other = make_pair(shape=(96, 96), folder="other")
    with pytest.raises(GridMismatchError, match="another grid"):
        product_report(product, pan=str(other.pan), ms=str(other.ms))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"pansharp": 1, "reduced": 3}', "\xff", '{"scene": {}}']
)
def test_what_is_no_card_is_one_line(make_product: Make, text: str) -> None:
    product = make_product(shape=(96, 96))
    product.with_name("fused.tif.card.json").write_text(text, encoding="latin-1")
    with pytest.raises(ReaderError, match="score card") as caught:
        product_report(product)
    assert "\n" not in str(caught.value)
    assert not product.with_name("fused.report.html").exists()


@pytest.mark.parametrize("name", ["../pan.tif", "/etc/passwd", "..", "", 7])
def test_a_card_names_no_files_elsewhere(make_product: Make, name: object) -> None:
    product = make_product(shape=(96, 96))
    card = _card(product)
    card["scene"]["files"]["pan"][0]["name"] = name
    _card(product, scene=card["scene"])
    with pytest.raises(ReaderError, match="names no file for pan"):
        load(product)


def test_other_products(make_product: Make) -> None:
    product = make_product(shape=(96, 96))
    with pytest.raises(ModelError, match="no classical method"):
        product_report(product, classical="rescnn")
    small = make_product(shape=(64, 64), folder="small")
    with pytest.raises(GridMismatchError, match="of the same scene"):
        product_report(product, classical=str(small))
    assert "small" not in [p.name for p in product.parent.iterdir()]


def test_an_existing_page_stays(make_product: Make, tmp_path: Path) -> None:
    product = make_product(shape=(96, 96))
    page = tmp_path / "a.html"
    page.write_text("mine")
    with pytest.raises(WriteError, match="--overwrite"):
        product_report(product, page)
    assert page.read_text() == "mine"
    product_report(product, page, overwrite=True)
    with pytest.raises(WriteError, match="does not exist"):
        product_report(product, tmp_path / "none" / "a.html")


def _harmless(text: str) -> None:
    body = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "<script" not in body
    assert "<img src=x" not in text
    assert "onerror=alert(1)>" not in text


def test_hostile_names_and_texts_stay_texts(make_product: Make, tmp_path: Path) -> None:
    product = make_product()
    card = _card(product)
    name = "<img src=x onerror=alert(1)>.tif"
    evil = product.with_name(name)
    product.rename(evil)
    product.with_name("fused.tif.card.json").rename(evil.with_name(name + ".card.json"))
    card["scene"]["name"] = EVIL
    card["scene"]["sensor"] = None
    card["scene"]["acquired"] = EVIL
    card["model"] |= {"name": EVIL, "used": EVIL, "reference": EVIL, EVIL: EVIL}
    card["reduced"]["classical_name"] = EVIL
    card["warnings"] = [EVIL, 3, None]
    card["timings"] = {EVIL: 1.0}
    card["conventions"]["note"] = EVIL
    _card(evil, **card)
    with rasterio.open(evil, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        file.set_band_description(1, EVIL)
    text = product_report(evil, tmp_path / "page.html").read_text("utf-8")
    _harmless(text)
    assert text.count("&lt;img src=x") > 5


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=4,
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            **{
                key: st.fixed_dictionaries(
                    {},
                    optional=dict.fromkeys(
                        (
                            *("name", "used", "rho", "rho_interval", "classical_name", "blocks"),
                            *("block_size", "model", "best_classical", "products", "psf", "files"),
                            *("mtf_gains", "applied_rows_cols_pan_px", "r2_before", "r2_after"),
                        ),
                        _json,
                    ),
                )
                for key in ("scene", "model", "alignment", "reduced", "full", "conventions")
            },
            "verdict": _json,
        },
    )
)
def test_any_card_becomes_words(card: dict[str, Any]) -> None:
    """Values of any kind are shown or left out, never a failure."""
    card = {"pansharp": "0", **card}
    assert words.verdict_words(card)["sentence"]
    words.reduced_table(card)
    words.full_table(card)
    words.alignment_words(card)
    words.convention_words(card)
    words.provenance(card)
    assert words.flat_card(card)


def test_errors_are_ours(tmp_path: Path) -> None:
    with pytest.raises(PansharpError, match="does not exist"):
        product_report(tmp_path / "none.tif")
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(ReaderError, match="Zarr"):
        product_report(tmp_path / "a.zarr")


def test_deliveries_and_their_archives(tmp_path: Path) -> None:
    """The second argument is whatever was fused; shift and sensor come from the card."""
    from deliveries import gaofen
    from deliveries.packing import pack
    from pansharp.pipeline import FuseOptions, fuse_to_file
    from pansharp.readers import open_scene

    made = gaofen.gaofen2(tmp_path / "drop", placed=True, side=48)
    product = tmp_path / "fused.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PansharpWarning)
        fuse_to_file(
            open_scene(str(made.folder)), product, FuseOptions.checked(model="gsa", workers=1)
        )
    with pytest.raises(ReaderError, match="or the delivery behind the product"):
        load(product)
    inputs = load(product, made.folder)
    assert inputs.scene is not None
    assert inputs.notes == ()
    assert inputs.scene.sensor is not None
    card = json.loads(product.with_name("fused.tif.card.json").read_text())
    offset = card["alignment"]["pan_index_of_first_ms_pixel"]
    assert [inputs.scene.alignment.y.offset, inputs.scene.alignment.x.offset] == offset
    archive = pack(made.folder, tmp_path / f"{made.folder.name}.tar.gz")
    assert product_report(product, scene=archive).exists()
