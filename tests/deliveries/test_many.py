"""Looking for scenes in archives of many folders: each folder once, and not a word."""

from __future__ import annotations

import os
import shutil
import warnings
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from deliveries import gaofen, landsat, maxar, stores
from deliveries.packing import pack
from pansharp.readers import _scan, find_scenes
from pansharp.readers.maxar import _products as products

if TYPE_CHECKING:
    from pathlib import Path

EACH = 12


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve deliveries of each of six kinds, in folders by year."""
    root = tmp_path_factory.mktemp("archive")
    made = gaofen.gaofen2(tmp_path_factory.mktemp("one"), side=8)
    home = landsat.landsat(tmp_path_factory.mktemp("two"), side=8)
    for number in range(EACH):
        year = root / f"y{number % 3}"
        scene = made.folder.name[:-4] + f"{number:04d}"
        (year / scene).mkdir(parents=True)
        for file in made.folder.iterdir():
            os.link(file, year / scene / file.name.replace(made.folder.name, scene))
        order = f"{10_000_000_000 + number:012d}_01_P001"
        maxar.write_delivery(year / f"order{number}", ms_shape=(8, 8), order=order)
        shutil.copytree(home, year / f"landsat{number}" / home.name)
        plain = year / f"plain{number}"
        plain.mkdir()
        os.link(made.pan, plain / "a_pan.tif")
        os.link(made.ms, plain / "a_ms.tif")
        stores.scene(year / f"store{number}.zarr", side=8)
        pack(plain, year / f"packed{number}.tar.gz")
    return root


def test_each_folder_is_looked_at_once(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    looked: Counter[str] = Counter()
    compared: list[int] = []
    listed, partners = _scan._listed, products.partners

    def watched(folder: Path) -> object:
        looked[str(folder)] += 1
        return listed(folder)

    def counted(product: object, role: str, there: list[object]) -> object:
        compared.append(len(there))
        return partners(product, role, there)  # type: ignore[arg-type]

    monkeypatch.setattr(_scan, "_listed", watched)
    monkeypatch.setattr(products, "partners", counted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find_scenes(archive)
    kinds = Counter(scene.reader for scene in found)
    assert kinds == dict.fromkeys(("archive", "gaofen", "landsat", "maxar", "pair", "zarr"), EACH)
    assert set(looked.values()) == {1}
    assert not any(".zarr/" in folder for folder in looked)  # stores are leaves
    assert max(compared) == 2  # the products of one order, not those of the archive
    assert capfd.readouterr() == ("", "")
