"""What a report says, and that it says the same twice."""

from __future__ import annotations

import base64
import json
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from pansharp.errors import PansharpWarning
from pansharp.report import product_report
from pansharp.report.inputs import load
from pansharp.report.layers import draw, embed
from pansharp.report.places import choose_places
from pansharp.report.rivals import find_rival

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Path]


class Page(HTMLParser):
    """Texts, addresses and attributes of a page; checks that what opens closes."""

    VOID = ("meta", "br", "link", "img", "line", "circle", "polyline", "polygon")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.keys: list[str] = []
        self.feed(path.read_text("utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attributes]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attributes]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "dt":
            self.keys.append(data)
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def values(self, tag: str, key: str) -> list[str]:
        return [v for t, k, v in self.attributes if (t, k) == (tag, key)]


def _leaves(prefix: str, value: object) -> list[str]:
    if isinstance(value, dict) and value:
        return [
            leaf
            for key, item in value.items()
            for leaf in _leaves(f"{prefix}.{key}" if prefix else key, item)
        ]
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return [leaf for i, one in enumerate(value, 1) for leaf in _leaves(f"{prefix}[{i}]", one)]
    return [prefix]


def test_every_key_of_the_card_appears(make_product: Make) -> None:
    product = make_product()
    page = Page(product_report(product))
    card = json.loads(product.with_name("fused.tif.card.json").read_text())
    assert set(_leaves("", card)) <= set(page.keys)


def test_verdict_scores_and_files_are_in_words(make_product: Make) -> None:
    product = make_product()
    text = Page(product_report(product)).text
    card = json.loads(product.with_name("fused.tif.card.json").read_text())
    reduced = card["reduced"]
    assert f"Verdict: {card['verdict']}" in text
    assert f"rho = {reduced['rho']:.3f}" in text
    for column in ("model", "best_classical", "exp"):
        assert f"{reduced[column]['ergas']:.3f}" in text
    assert "smaller is better" in text
    assert "larger is better" in text
    assert card["scene"]["files"]["pan"][0]["sha256"] in text
    for sentence in card["warnings"]:
        assert sentence in text


def test_nothing_is_loaded_from_elsewhere(make_product: Make) -> None:
    path = product_report(make_product())
    page = Page(path)
    sources = page.values("img", "src")
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert page.values("a", "href") == []
    assert not page.values("link", "href")
    assert "://" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", path.read_text("utf-8"))
    policy = page.values("meta", "content")[0]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy


def test_no_style_that_the_policy_would_drop(make_product: Make) -> None:
    page = Page(product_report(make_product()))
    assert not [key for _, key, _ in page.attributes if key == "style" or key.startswith("on")]


def test_same_files_same_bytes(make_product: Make, tmp_path: Path) -> None:
    product = make_product()
    first = product_report(product, tmp_path / "a.html").read_bytes()
    assert product_report(product, tmp_path / "b.html").read_bytes() == first


def test_windows_of_a_large_product(big_page: Path) -> None:
    page = Page(big_page)
    titles = page.values("div", "data-title")
    assert titles == ["Overview", "Most detail", "Darkest", "Largest difference", "Typical"]
    assert big_page.stat().st_size <= 6_000_000
    assert len(page.values("img", "data-layer")) == 3 + 4 * 4


def _decoded(address: str) -> np.ndarray:
    data = base64.b64decode(address.partition(",")[2])
    with warnings.catch_warnings(), MemoryFile(data) as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open() as picture:
            return picture.read()


def test_ms_pixels_lie_where_they_are(make_product: Make) -> None:
    """The MS squares of a picture, averaged from the product, are the MS: no shift, no blur."""
    product = make_product(model="gsa", offset=(6.0, -3.0))
    inputs = load(product)
    places = choose_places(inputs, None)
    drawn = {p.layer: p for p in draw(inputs, None, places).pictures}
    ms, fused = drawn["ms"], drawn["fused"].pixels[..., :3].astype(float)
    assert (ms.px, ms.py) == (4.0, 4.0)
    height, width = ms.pixels.shape[:2]

    def disagreement(dy: int, dx: int) -> float:
        errors = []
        for i in range(8, height - 8):
            for j in range(8, width - 8):
                y, x = round(ms.y + i * 4) + dy, round(ms.x + j * 4) + dx
                inside = fused[y : y + 4, x : x + 4].mean(axis=(0, 1))
                errors.append(np.abs(inside - ms.pixels[i, j, :3]).mean())
        return float(np.mean(errors))

    shifts = [(dy, dx) for dy in (-2, 0, 2) for dx in (-2, 0, 2)]
    assert min(shifts, key=lambda s: disagreement(*s)) == (0, 0)


def test_other_product_is_the_method_of_the_card(make_product: Make, tmp_path: Path) -> None:
    """Fused for a window, the rival has the pixels that it would have in a file."""
    product = make_product(model="gsa")
    inputs = load(product)
    rival = find_rival(inputs, "brovey")
    assert rival is not None
    other = make_product(model="brovey", name="brovey.tif")
    with rasterio.open(other) as file:
        whole = file.read().astype(float)
    window = choose_places(inputs, None)[0].window
    rows, cols = window.slices
    assert np.abs(rival.read(window) - whole[:, rows, cols]).max() <= 0.51


def test_pictures_shrink_until_they_fit(make_product: Make) -> None:
    inputs = load(make_product())
    drawing = draw(inputs, find_rival(inputs), choose_places(inputs, None))
    lossless, note = embed(drawing.pictures)
    assert note == ""
    assert all(one["src"].startswith("data:image/png") for one in lossless)
    small, note = embed(drawing.pictures, 60_000)
    assert "losses" in note
    assert sum(len(one["src"]) for one in small) < sum(len(one["src"]) for one in lossless)
    ms = next(one for one in small if one["layer"] == "ms")
    assert ms["src"].startswith("data:image/png")
    shape = _decoded(ms["src"]).shape
    assert shape[1:] == (ms["height"], ms["width"])


def test_product_without_a_card_shows_no_figures(make_product: Make) -> None:
    product = make_product()
    product.with_name("fused.tif.card.json").unlink()
    text = Page(product_report(product)).text
    assert "no score card" in text
    assert "ERGAS" not in text
    assert "No scores are known" in text


def test_cubes(make_product: Make, tmp_path: Path) -> None:
    from pansharp.pipeline import FuseOptions, fuse_to_file
    from pansharp.readers import open_scene

    simulate = pytest.importorskip("pansharp.simulate")
    rng = np.random.default_rng(5)
    waves = np.linspace(430, 900, 24)
    ground = np.kron(rng.uniform(400, 3000, (1, 12, 12)), np.ones((1, 8, 8)))
    slopes = rng.uniform(0.5, 1.5, (24, 1, 1))
    cube = np.rint(ground * slopes + rng.normal(0, 5, (24, 96, 96))).clip(1).astype(np.uint16)
    pair = simulate.simulate_hsi_msi(cube, waves, sensor="worldview2", ratio=4, seed=1)
    hsi, msi = simulate.write_hsi_msi(pair, tmp_path, name="cube")
    scene = open_scene(hsi=str(hsi), msi=str(msi))
    product = tmp_path / "cube_fused.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PansharpWarning)
        fuse_to_file(scene, product, FuseOptions.checked(model="gsa-hs", workers=1))
    page = Page(product_report(product))
    assert {"HSI", "Guide (MSI)", "Product"} <= set(page.values("img", "data-label"))
    assert "Blur of the HSI" in page.text
    assert "wavelength, nm" in page.text


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_bounded_by_the_windows(
    tmp_path: Path, run_python: Callable[..., object]
) -> None:
    """A product of 8192 x 8192 pixels and four bands: 0.5 GB of pixels, a fraction in memory."""
    side = 8192
    for name, bands, size in (("pan", 1, side), ("ms", 4, side // 4), ("fused", 4, side)):
        profile = {
            **{"driver": "GTiff", "dtype": "uint16", "count": bands, "height": size},
            **{"width": size, "tiled": True, "blockxsize": 512, "blockysize": 512},
            **{"sparse_ok": True, "compress": "deflate", "crs": "EPSG:32633"},
            "transform": rasterio.Affine(side / size, 0, 5e5, 0, -side / size, 5e6),
        }
        with rasterio.open(tmp_path / f"{name}.tif", "w", **profile) as file:
            spot = np.random.default_rng(0).integers(1, 999, (bands, 512, 512), dtype=np.uint16)
            file.write(spot, window=((0, 512), (0, 512)))
    script = (
        "from pansharp.report import product_report\n"
        f"product_report({str(tmp_path / 'fused.tif')!r}, pan={str(tmp_path / 'pan.tif')!r}, "
        f"ms={str(tmp_path / 'ms.tif')!r})\n"
        # Not ru_maxrss: it begins with the size of the process that started this one.
        "print(next(int(line.split()[1]) // 1024 for line in open('/proc/self/status')"
        " if line.startswith('VmHWM')))\n"
    )
    peak = int(run_python(script).stdout)  # type: ignore[attr-defined]
    assert peak < 450
    assert (tmp_path / "fused.report.html").stat().st_size < 6_000_000
