"""Fixtures shared by all tests: sample rasters, synthetic pairs, seeds and thread caps."""

from __future__ import annotations

import os

# The linear-algebra libraries read these once, when numpy is first imported.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
SEED = 20260101

settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
settings.register_profile("dev", deadline=None, max_examples=25)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


class Pair(NamedTuple):
    """Paths of a synthetic scene."""

    pan: Path
    ms: Path


class RunPython(Protocol):
    def __call__(self, script: str) -> subprocess.CompletedProcess[str]: ...


class MakePair(Protocol):
    def __call__(
        self,
        *,
        ratio: float = 4,
        bands: int = 4,
        dtype: str = "uint16",
        nodata: float | None = None,
        shape: tuple[int, int] = (96, 96),
        offset: tuple[float, float] = (0.0, 0.0),
        shift: tuple[float, float] = (0.0, 0.0),
        crs: str | None = "EPSG:32633",
        seed: int = SEED,
        folder: str = "pair",
    ) -> Pair: ...


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start every test from the same state of whatever random generators are loaded."""
    np.random.seed(SEED)  # noqa: NPY002 - libraries under test may use the global generator
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(SEED)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real sample rasters: $PANSHARP_SHARED, or a folder `shared` beside the checkout."""
    named = os.environ.get("PANSHARP_SHARED")
    candidates = [ROOT.parent / "shared" / "data", ROOT / "shared" / "data"]
    if named:
        candidates = [Path(named) / "data", Path(named)]
    for folder in candidates:
        if (folder / "README.md").is_file():
            return folder
    return pytest.skip("no sample rasters; set PANSHARP_SHARED to the folder that holds data/")


@pytest.fixture(scope="session")
def golden(shared_data: Path) -> Path:
    """Values of the reference toolboxes."""
    folder = shared_data / "golden"
    if not folder.is_dir():
        pytest.skip(f"no golden values in {shared_data}")
    return folder


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """Run a script in a fresh interpreter that sees the very package under test."""
    import pansharp

    home = str(Path(pansharp.__file__).parents[1])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": home}

    def run(script: str) -> subprocess.CompletedProcess[str]:
        # -P: without it Python would look into the working folder before the installed package.
        return subprocess.run(
            [sys.executable, "-P", "-c", script],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env=environment,
        )

    return run


class _Ground:
    """A smooth image defined everywhere, so that any grid can be laid over it exactly.

    Each band is a constant plus plane waves; all bands share the waves with different weights,
    as real bands share edges. Coordinates are PAN pixels.
    """

    def __init__(self, bands: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        count = 24
        # From waves as long as the image to detail that only the PAN resolves.
        wavelength = np.geomspace(3.0, 120.0, count)
        angle = rng.uniform(0, math.pi, count)
        self.fy = np.cos(angle) / wavelength
        self.fx = np.sin(angle) / wavelength
        self.phase = rng.uniform(0, 2 * math.pi, count)
        shared = wavelength**0.7 * rng.uniform(0.5, 1.0, count)
        weights = shared * rng.uniform(0.6, 1.4, (bands, count))
        self.weights = weights / weights.sum(axis=1, keepdims=True)
        self.mean = rng.uniform(450.0, 900.0, bands)

    def sample(self, y: np.ndarray, x: np.ndarray, pixel: float) -> np.ndarray:
        """Means over square pixels of side `pixel` centred on (y, x): (band, y, x), counts."""
        # The mean of a wave over a square is the wave times two sinc factors.
        blur = np.sinc(self.fy * pixel) * np.sinc(self.fx * pixel)
        wave_y = np.exp(2j * math.pi * np.outer(y, self.fy))
        wave_x = np.exp(2j * math.pi * (np.outer(x, self.fx) + self.phase))
        waves = np.einsum("bk,yk,xk->byx", self.weights * blur, wave_y, wave_x).real
        return self.mean[:, None, None] * (1 + 0.8 * waves)


@pytest.fixture
def make_pair(tmp_path: Path) -> MakePair:
    """Write a PAN and an MS GeoTIFF of the same synthetic ground.

    Options: `ratio` of pixel sizes; `bands`; `dtype`; `nodata` value set on a corner of both;
    `shape` (rows, columns) of the PAN; `offset` (rows, columns) of the MS origin from the PAN
    origin in PAN pixels, told by the georeference; `shift`, a misregistration that it hides: the
    MS shows at every place the ground `shift` PAN pixels further down and right; `crs`, None for
    files without georeference; `seed`; `folder` below tmp_path.
    """

    def make(
        *,
        ratio: float = 4,
        bands: int = 4,
        dtype: str = "uint16",
        nodata: float | None = None,
        shape: tuple[int, int] = (96, 96),
        offset: tuple[float, float] = (0.0, 0.0),
        shift: tuple[float, float] = (0.0, 0.0),
        crs: str | None = "EPSG:32633",
        seed: int = SEED,
        folder: str = "pair",
    ) -> Pair:
        ground = _Ground(bands, seed)
        rows, columns = shape
        pan = ground.sample(np.arange(rows) + 0.5, np.arange(columns) + 0.5, 1.0).mean(axis=0)
        low_rows, low_columns = int(rows / ratio), int(columns / ratio)
        y = (np.arange(low_rows) + 0.5) * ratio + offset[0] + shift[0]
        x = (np.arange(low_columns) + 0.5) * ratio + offset[1] + shift[1]
        ms = ground.sample(y, x, ratio)
        if nodata is not None:
            hole = (max(1, low_rows // 4), max(1, low_columns // 4))
            ms[:, : hole[0], : hole[1]] = nodata
            pan[: int(hole[0] * ratio), : int(hole[1] * ratio)] = nodata
        home = tmp_path / folder
        home.mkdir(parents=True, exist_ok=True)
        paths = Pair(home / "pan.tif", home / "ms.tif")
        names = ("blue", "green", "red", "nir") if bands == 4 else ()
        _write(paths.pan, pan[None], dtype, nodata, crs, 1.0, (0.0, 0.0), ("pan",))
        _write(paths.ms, ms, dtype, nodata, crs, ratio, offset, names)
        return paths

    return make


def _write(
    path: Path,
    array: np.ndarray,
    dtype: str,
    nodata: float | None,
    crs: str | None,
    pixel: float,
    offset: tuple[float, float],
    names: tuple[str, ...],
) -> None:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.transform import Affine

    gsd = 0.5
    left, top = 500_000.0 + gsd * offset[1], 5_800_000.0 - gsd * offset[0]
    place = {}
    if crs is not None:
        place = {"crs": crs, "transform": Affine(gsd * pixel, 0, left, 0, -gsd * pixel, top)}
    if np.issubdtype(np.dtype(dtype), np.integer):
        array = np.rint(array)
    profile = {"count": len(array), "height": array.shape[1], "width": array.shape[2], **place}
    with warnings.catch_warnings():
        # A file without georeference is what the test asked for.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", dtype=dtype, nodata=nodata, **profile) as new:
            new.write(array.astype(dtype))
            for index, name in enumerate(names, start=1):
                new.set_band_description(index, name)


class Research(NamedTuple):
    """Items of a research set, (item, band, y, x): float64 holding whole counts, or uint16."""

    gt: np.ndarray
    ms: np.ndarray
    lms: np.ndarray
    pan: np.ndarray


class MakeResearch(Protocol):
    def __call__(
        self, *, items: int = 1, bands: int = 4, side: int = 64, ratio: int = 4, seed: int = SEED
    ) -> Research: ...


class WriteSet(Protocol):
    def __call__(
        self, name: str, images: Research, *, reference: bool = True, **changed: object
    ) -> Path: ...


@pytest.fixture
def make_research() -> MakeResearch:
    """Items after Wald's protocol: a synthetic ground as `gt`, degraded as the toolbox does."""
    from pansharp.filters import degrade, interp23

    def make(
        *, items: int = 1, bands: int = 4, side: int = 64, ratio: int = 4, seed: int = SEED
    ) -> Research:
        place = np.arange(side) + 0.5
        gt = [_Ground(bands, seed + i).sample(place, place, 1.0) for i in range(items)]
        pan = [image.mean(axis=0, keepdims=True) for image in gt]
        power = ratio & (ratio - 1) == 0
        ms = [degrade(g, p[0], ratio=ratio, sensor="none")[0] for g, p in zip(gt, pan, strict=True)]
        lms = [interp23(m, ratio) if power else m.repeat(ratio, 1).repeat(ratio, 2) for m in ms]
        return Research(*(np.rint(np.stack(images)) for images in (gt, ms, lms, pan)))

    return make


@pytest.fixture
def write_h5(tmp_path: Path) -> WriteSet:
    """Write a set as PanCollection does: float64, (item, band, y, x), keys gt ms lms pan.

    `reference`: False leaves `gt` out, as the full-resolution sets do. Keywords replace a variable
    by another array, or with None leave it out.
    """
    h5py = pytest.importorskip("h5py")

    def write(name: str, images: Research, *, reference: bool = True, **changed: object) -> Path:
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            for key, data in (images._asdict() | changed).items():
                if data is not None and (reference or key != "gt"):
                    file.create_dataset(key, data=np.asarray(data))
        return path

    return write


@pytest.fixture
def write_mat(tmp_path: Path) -> WriteSet:
    """Write the first item as the toolboxes do: (y, x, band), keys I_MS_LR I_MS I_PAN I_GT.

    A name that ends in ``73.mat`` gets the form of MATLAB v7.3: HDF5 behind a header of 512 bytes,
    axes reversed. Further keywords are variables of their own, such as ``sensor="WV3"``.
    """
    keys = {"gt": "I_GT", "ms": "I_MS_LR", "lms": "I_MS", "pan": "I_PAN"}

    def write(name: str, images: Research, *, reference: bool = True, **changed: object) -> Path:
        path = tmp_path / name
        planes = {keys[k]: np.moveaxis(v[0], 0, -1) for k, v in images._asdict().items()}
        planes["I_PAN"] = planes["I_PAN"][..., 0]
        if not reference:
            del planes["I_GT"]
        content = planes | changed
        if not name.endswith("73.mat"):
            from scipy.io import savemat

            savemat(path, content, do_compression=True)
            return path
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w", userblock_size=512) as file:
            for key, data in content.items():
                file.create_dataset(key, data=np.asarray(data).T)
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
        return path

    return write
