"""Time and peak memory of opening and plotting a large product.

python benchmarks/plotting.py                      20000 x 20000 x 4, the limits of the issue
python benchmarks/plotting.py --size 8000 --keep
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import common

#: Seconds and MiB that opening and plotting may take.
SECONDS, MEBIBYTES = 5.0, 500.0

_PLOTS = {
    "rgb": "array.pansharp.rgb()",
    "view": "array.pansharp.view(combination='false-colour')",
    "zoom": "plotting.zoom(array, {'a': (9000.5, 7000.2)}, coords='pixel')",
    "spectrum": "array.pansharp.spectrum({'a': (9000, 7000)}, coords='pixel')",
    "power": "plotting.spatial_frequency(array)",
}

# As in a notebook, where the packages are loaded: the inner time begins with the opening.
_SCRIPT = """
import matplotlib; matplotlib.use("Agg")
import matplotlib.pyplot, xarray, dask.array, rasterio
import io, time, pansharp as ps
from pansharp import plotting
begin = time.perf_counter()
array = ps.open_product({path!r})
figure = {plot}
figure.savefig(io.BytesIO(), format="png", dpi=100)
print(time.perf_counter() - begin)
"""


def make(path: Path, size: int) -> None:
    """Write a smooth random product of four uint16 bands with the writer of pansharp."""
    import numpy as np
    from scipy.ndimage import zoom

    from pansharp.geometry.grids import Window
    from pansharp.writers import RasterProfile, open_writer

    rng = np.random.default_rng(0)
    coarse = rng.uniform(200.0, 1800.0, (4, 64, 64)).astype(np.float32)
    profile = RasterProfile(
        height=size,
        width=size,
        count=4,
        dtype="uint16",
        crs="EPSG:32633",
        transform=(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_800_000.0),
        nodata=0,
        band_names=("blue", "green", "red", "nir"),
    )
    with open_writer(path, profile, overwrite=True) as writer:
        block = writer.block
        tile = zoom(coarse, (1, block / 64, block / 64), order=1)
        for row in range(0, size, block):
            for col in range(0, size, block):
                height, width = min(block, size - row), min(block, size - col)
                # A slow wave over the image, so that no two blocks are alike.
                level = 1.0 + 0.5 * np.sin(row / 3000.0) * np.cos(col / 2000.0)
                pixels = (tile[:, :height, :width] * level).astype(np.uint16)
                window = Window(row, col, height, width)
                writer.append(writer.encode(window, pixels))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--keep", action="store_true", help="leave the product in results/")
    chosen = parser.parse_args()
    path = common.RESULTS / f"plotting_{chosen.size}.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # In a child, so that its memory does not count for those that are measured.
        here = str(Path(__file__).parent)
        script = (
            f"import sys; sys.path.insert(0, {here!r}); from pathlib import Path; import plotting; "
            f"plotting.make(Path({str(path)!r}), {chosen.size})"
        )
        common.run([sys.executable, "-c", script])
    print(
        f"product {chosen.size} x {chosen.size} x 4 uint16, {path.stat().st_size / 2**20:.0f} MiB"
    )
    print("| plot | open to picture, s | with imports, s | CPU s | peak MiB |")
    print("|---|---|---|---|---|")
    good = True
    for name, plot in _PLOTS.items():
        code = _SCRIPT.format(path=str(path), plot=plot)
        result = common.run([sys.executable, "-c", code], environment={"OMP_NUM_THREADS": "1"})
        inner = float(result.output)
        times = f"{inner:.2f} | {result.wall:.2f} | {result.cpu:.2f}"
        print(f"| {name} | {times} | {result.peak:.0f} |", flush=True)
        good &= inner < SECONDS and result.peak < MEBIBYTES
    if not chosen.keep:
        path.unlink()
    print("within" if good else "BEYOND", f"{SECONDS:g} s and {MEBIBYTES:g} MiB")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
