"""Products with cards of synthetic pairs, and pages in a headless browser."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pansharp.errors import PansharpWarning
from pansharp.pipeline import FuseOptions, fuse_to_file
from pansharp.readers import open_scene
from pansharp.report import product_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    OpenPage = Callable[..., Page]

_CHROMIUM = os.environ.get("PANSHARP_CHROMIUM", "/usr/bin/chromium")
_SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def make_product(make_pair: Any) -> Callable[..., Path]:
    """Fuse a synthetic pair; the product lies beside its files."""

    def make(model: str = "gsa", name: str = "fused.tif", **pair: Any) -> Path:
        pair = {"shape": (320, 320), **pair}
        paths = make_pair(**pair)
        scene = open_scene(pan=str(paths.pan), ms=str(paths.ms))
        product = paths.pan.with_name(name)
        with warnings.catch_warnings():
            # What the fusion of a tiny or shifted pair warns of is on its card.
            warnings.simplefilter("ignore", PansharpWarning)
            fuse_to_file(scene, product, FuseOptions.checked(model=model, workers=1))
        return product

    return make


@pytest.fixture(scope="session")
def big_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a product with an overview and four windows."""
    from pansharp.large_scene import write_large_scene

    folder = tmp_path_factory.mktemp("report")
    pan, ms = write_large_scene(folder, 1280, seed=3)
    scene = open_scene(pan=str(pan), ms=str(ms))
    fuse_to_file(scene, folder / "fused.tif", FuseOptions.checked(model="gsa", workers=1))
    return product_report(folder / "fused.tif")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(_CHROMIUM).exists():
        pytest.skip(f"no Chromium at {_CHROMIUM}; set PANSHARP_CHROMIUM")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_CHROMIUM, args=_SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open a page; any message, error or request but for the page itself fails the test."""
    contexts, troubles = [], []

    def open_(path: Path, **options: Any) -> Page:
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url == path.as_uri() or request.url.startswith("data:")
                else troubles.append(f"request: {request.url}")
            ),
        )
        page.goto(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert troubles == []
