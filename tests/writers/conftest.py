from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pansharp.tiling import TileGrid, ordered_map
from pansharp.writers import RasterProfile, open_writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from pansharp.geometry.grids import Window

UTM = (
    'PROJCS["WGS 84 / UTM zone 33N",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,'
    '298.257223563,AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]],PROJECTION["Transverse_Mercator"],'
    'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",15],'
    'PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],'
    'PARAMETER["false_northing",0],UNIT["metre",1],AUTHORITY["EPSG","32633"]]'
)


def make_image(
    count: int, height: int, width: int, dtype: str, *, nodata: float | None = None, seed: int = 0
) -> NDArray[Any]:
    """Texture with edges; with `nodata` a missing corner and scattered missing pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = 60 + 50 * np.sin(x / 9.0) * np.cos(y / 7.0) + 40 * (x > width // 2)
    bands = [base * (1 + 0.1 * (k % 5)) + rng.normal(0, 3, base.shape) for k in range(count)]
    image = np.clip(np.stack(bands), 1, 250).astype(dtype)
    if nodata is not None:
        image[:, y + x < min(height, width) // 2] = nodata
        image[:, rng.random(base.shape) < 0.01] = nodata
    return image


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write an image through the real chain: tiles, threads, writer."""

    def run(
        image: NDArray[Any],
        name: str = "out.tif",
        *,
        tile: int | None = None,
        workers: int = 2,
        late: dict[str, str] | None = None,
        facts: dict[str, Any] | None = None,
        **options: Any,
    ) -> Path:
        count, height, width = image.shape
        known = {"crs": UTM, "transform": (0.5, 0.0, 5e5, 0.0, -0.5, 5e6)}
        profile = RasterProfile(height, width, count, image.dtype.name, **known | (facts or {}))
        path = tmp_path / name
        with open_writer(path, profile, **options) as writer:
            grid = TileGrid((height, width), tile=tile or writer.block)

            def encode(window: Window) -> object:
                rows, cols = window.slices
                return writer.encode(window, image[:, rows, cols])

            for encoded in ordered_map(encode, (t.window for t in grid), workers=workers):
                writer.append(encoded)
            writer.set_tags(late or {})
        assert [p.name for p in tmp_path.iterdir() if ".part" in p.name] == []
        return path

    return run


@pytest.fixture(name="make_image", scope="session")
def image_maker() -> Callable[..., NDArray[Any]]:
    return make_image
