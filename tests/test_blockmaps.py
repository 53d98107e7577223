"""Maps of blocks on disk: place, values, streaming, and no half results."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from pansharp.blockmaps import BlockMapFiles
from pansharp.errors import WriteError

if TYPE_CHECKING:
    from pathlib import Path

TRANSFORM = (0.5, 0.0, 500.0, 0.0, -0.5, 900.0)


def feed(maps: BlockMapFiles, values: dict[str, np.ndarray], rows: int, cols: int) -> None:
    height, width = next(iter(values.values())).shape
    for row in range(0, height, rows):
        for col in range(0, width, cols):
            at = np.s_[row : row + rows, col : col + cols]
            maps(row, col, {name: image[at] for name, image in values.items()})


@pytest.mark.parametrize(("rows", "cols"), [(1000, 1000), (7, 9), (300, 64), (1, 700)])
def test_pieces_of_any_size_make_the_same_file(
    tmp_path: Path, rng: np.random.Generator, rows: int, cols: int
) -> None:
    values = {"sam": rng.normal(size=(530, 610)), "q2n": rng.normal(size=(530, 610))}
    values["sam"][5, 6] = np.nan
    folder = tmp_path / "deep" / "maps"
    shape = (530 * 32 - 5, 610 * 32 - 31)
    with BlockMapFiles(
        folder, ("sam", "q2n"), shape, crs="EPSG:32633", transform=TRANSFORM
    ) as maps:
        feed(maps, values, rows, cols)
        assert not list(folder.glob("*.tif"))
    assert sorted(path.name for path in folder.iterdir()) == ["q2n.tif", "sam.tif"]
    for name, expected in values.items():
        with rasterio.open(folder / f"{name}.tif") as file:
            assert file.dtypes == ("float32",)
            assert np.isnan(file.nodata)
            assert file.crs.to_epsg() == 32633
            assert tuple(file.transform)[:6] == (16.0, 0.0, 500.0, 0.0, -16.0, 900.0)
            assert file.descriptions == (name,)
            assert file.tags()["PANSHARP_BLOCK"] == "32"
            np.testing.assert_array_equal(file.read(1), expected.astype(np.float32))


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "maps"

    def score(names: tuple[str, ...], rows: int, problem: str | None) -> None:
        with BlockMapFiles(folder, names, (640, 640)) as maps:
            maps(0, 0, {"sam": np.zeros((rows, 20))})
            if problem:
                raise RuntimeError(problem)

    with pytest.raises(RuntimeError, match="stop"):
        score(("sam", "q2n"), 20, "stop")
    assert not folder.exists()
    with pytest.raises(WriteError, match="incomplete"):
        score(("sam",), 10, None)
    with pytest.raises(WriteError, match="incomplete"):
        score(("sam", "q2n"), 20, None)
    assert not folder.exists()


def test_existing_maps_are_kept_unless_they_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "q2n.tif").write_text("mine")
    with pytest.raises(WriteError, match=r"q2n\.tif exists; .*--overwrite"):
        BlockMapFiles(tmp_path, ("sam", "q2n"), (64, 64))
    assert [path.name for path in tmp_path.iterdir()] == ["q2n.tif"]
    with BlockMapFiles(tmp_path, ("sam", "q2n"), (64, 64), overwrite=True) as maps:
        feed(maps, {"sam": np.ones((2, 2)), "q2n": np.ones((2, 2))}, 2, 2)
    with warnings.catch_warnings():
        # It has no place, as the test asked for.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "q2n.tif") as file:
            assert file.read(1).min() == 1
            assert file.crs is None


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot make the folder"):
        BlockMapFiles(tmp_path / "file" / "maps", ("sam",), (64, 64))
