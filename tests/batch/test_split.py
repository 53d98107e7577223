"""A scene in row bands on several workers: the bytes of the unsplit product, and no remains."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pansharp.batch.rows import RowsSource, emitted_rows
from pansharp.batch.split import can_split, fuse_split
from pansharp.engine import blend_tiles
from pansharp.errors import ModelError, PansharpError, ReaderError, WriteError
from pansharp.geometry.grids import Window
from pansharp.models.classical.interpolate import Exp
from pansharp.options import FuseOptions
from pansharp.pipeline import fuse_to_file
from pansharp.readers import open_scene
from pansharp.scene import Scene
from pansharp.tiling import TileGrid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import MakePair, Pair


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as made:
        yield made


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    from distributed import Client

    with Client(cluster) as made:
        yield made


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def both(
    client: Any, pair: Pair, folder: Path, options: FuseOptions, **split: Any
) -> tuple[Path, Path]:
    given = {"pan": pair.pan, "ms": pair.ms}
    work = folder / "work"
    work.mkdir()
    whole, parts = folder / "whole" / "p.tif", folder / "parts" / "p.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in (whole, parts):
            path.parent.mkdir()
        fuse_to_file(open_scene(**given), whole, options)
        product = fuse_split(client, None, given, options, parts, work=work, **split)
    assert list(work.iterdir()) == []
    expected = ["p.tif", "p.tif.card.json"] if options.card else ["p.tif"]
    assert sorted(p.name for p in parts.parent.iterdir()) == expected
    assert product.path == parts
    return whole, parts


@pytest.mark.parametrize("rows", [None, 1, 2])
def test_classical(client: Any, make_pair: MakePair, tmp_path: Path, rows: int | None) -> None:
    pair = make_pair(shape=(2300, 1100), nodata=0.0)
    options = FuseOptions.checked(model="mtf-glp-fs", card=rows is None, workers=1)
    whole, parts = both(client, pair, tmp_path, options, rows=rows)
    assert digest(whole) == digest(parts)
    if rows is None:
        cards = [json.loads((p.parent / "p.tif.card.json").read_text()) for p in (whole, parts)]
        for card in cards:
            del card["timings"]
        assert cards[0] == cards[1]


def test_network(client: Any, make_pair: MakePair, tmp_path: Path) -> None:
    pair = make_pair(shape=(1100, 600))
    options = FuseOptions.checked(model="rescnn-tiny", adapt_steps=5, force=True, workers=1)
    whole, parts = both(client, pair, tmp_path, options, rows=1)
    assert digest(whole) == digest(parts)
    card = json.loads((parts.parent / "p.tif.card.json").read_text())
    assert card["model"]["used"] == "rescnn-tiny"


def test_other_formats(client: Any, make_pair: MakePair, tmp_path: Path) -> None:
    import zarr

    pair = make_pair(shape=(1100, 600))
    given = {"pan": str(pair.pan), "ms": str(pair.ms)}
    found = {}
    for name in ("whole", "parts"):
        options = FuseOptions.checked(
            model="brovey", card=False, workers=1, format="zarr", dtype="float32", overwrite=True
        )
        target = tmp_path / f"{name}.zarr"
        for _ in range(2):  # the second time over the first
            if name == "whole":
                fuse_to_file(open_scene(**given), target, options)
            else:
                fuse_split(client, None, given, options, target, work=tmp_path)
        found[name] = zarr.open_group(target, mode="r")["fused"][:]
    assert np.array_equal(found["whole"], found["parts"])
    assert not list(tmp_path.glob("split-*"))


def test_worker_is_killed(client: Any, make_pair: MakePair, tmp_path: Path) -> None:
    pair = make_pair(shape=(2600, 600))
    options = FuseOptions.checked(model="mtf-glp-fs", card=False, workers=1)
    killed = []

    def kill(done: float, total: float, label: str) -> None:
        if label == "fusing" and not killed:
            killed.append(client.run(os.getpid).popitem()[1])
            os.kill(killed[0], signal.SIGKILL)

    whole, parts = both(client, pair, tmp_path, options, rows=1, progress=kill)
    assert killed
    assert digest(whole) == digest(parts)


def test_errors_leave_nothing(client: Any, make_pair: MakePair, tmp_path: Path) -> None:
    pair = make_pair(shape=(1100, 600))
    given = {"pan": str(pair.pan), "ms": str(pair.ms)}
    options = FuseOptions.checked(model="brovey", card=False, workers=1)
    target, work = tmp_path / "p.tif", tmp_path / "work"
    work.mkdir()

    def spoil(done: float, total: float, label: str) -> None:
        if label == "statistics" and done == total:
            # Readable for the header, and cut below the rows that a task reads.
            data = pair.pan.read_bytes()
            pair.pan.write_bytes(data[: len(data) // 2])

    with pytest.raises(PansharpError) as caught:
        fuse_split(client, None, given, options, target, work=work, progress=spoil)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ReaderError)
    assert not target.exists()
    assert list(work.iterdir()) == []
    target.write_text("mine")
    with pytest.raises(WriteError, match="exists"):
        fuse_split(client, None, given, options, target, work=work)
    assert target.read_text() == "mine"


def test_interrupt_cancels(client: Any, make_pair: MakePair, tmp_path: Path) -> None:
    pair = make_pair(shape=(2600, 600))
    given = {"pan": str(pair.pan), "ms": str(pair.ms)}
    options = FuseOptions.checked(model="mtf-glp-fs", card=False, workers=1)

    def stop(done: float, total: float, label: str) -> None:
        if label == "fusing":
            raise KeyboardInterrupt

    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(KeyboardInterrupt):
        fuse_split(
            client, None, given, options, tmp_path / "p.tif", work=work, rows=1, progress=stop
        )
    assert not (tmp_path / "p.tif").exists()
    assert list(work.iterdir()) == []


def test_what_cannot_be_split(client: Any, make_pair: MakePair, tmp_path: Path) -> None:
    pair = make_pair(shape=(96, 96))
    scene = open_scene(pan=pair.pan, ms=pair.ms)
    assert can_split(scene, FuseOptions())
    assert not can_split(scene, FuseOptions.checked(model="gdal-brovey"))
    cube = Scene.from_arrays(np.ones((64, 64)), np.ones((40, 16, 16)))
    assert not can_split(cube, FuseOptions.checked(model="gsa-hs"))
    options = FuseOptions.checked(model="gdal-brovey")
    given = {"pan": pair.pan, "ms": pair.ms}
    with pytest.raises(ModelError, match="row bands"):
        fuse_split(client, None, given, options, tmp_path / "p.tif", work=tmp_path)


@pytest.mark.parametrize(("kind", "overlap"), [("hann", 32), ("crop", 32), ("crop", 0)])
def test_rows_of_tiles_give_the_same_bits(
    kind: str, overlap: int, rng: np.random.Generator, tmp_path: Path
) -> None:
    scene = Scene.from_arrays(rng.uniform(1, 900, (700, 300)), rng.uniform(1, 900, (2, 175, 75)))
    lattice = {"tile": 128, "overlap": overlap, "kind": kind, "multiple": 16}

    class Tinted(Exp):
        """Depends on the tile, as networks without bounds do."""

        def __call__(self, chip: Any) -> Any:
            return super().__call__(chip) + np.float32(chip.window.row % 97)

    grid = TileGrid(scene.shape[1:], tile=128, overlap=overlap, multiple_of=16)
    whole = np.zeros(scene.shape, np.float32)
    for window, piece in blend_tiles(scene, Tinted(), **lattice):
        whole[:, *window.slices] = piece
    parts = []
    for band in ((0, 1), (1, 3), (3, len(grid.rows))):
        top, bottom = emitted_rows(grid, kind, band)
        array = np.full((2, bottom - top, 300), np.nan, np.float32)
        for window, piece in blend_tiles(scene, Tinted(), rows=band, **lattice):
            array[:, window.row - top : window.row_end - top, window.col : window.col_end] = piece
        np.save(tmp_path / f"{top}.npy", array)
        parts.append((top, bottom, str(tmp_path / f"{top}.npy")))
    source = pickle.loads(pickle.dumps(RowsSource(scene.shape, tuple(parts))))
    assert np.array_equal(source.read(Window(0, 0, 700, 300)), whole)
    assert np.array_equal(source.read(Window(90, 7, 200, 60)), whole[:, 90:290, 7:67])
    with pytest.raises(TypeError):
        source.cut(Window(0, 0, 1, 1))
