"""Small files under the names that the documentation uses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from deliveries import gaofen, maxar
from deliveries.ground import Ground
from deliveries.packing import pack
from deliveries.rasters import on_map, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FILES", "arrays", "set_up"]

_EIGHT = ("coastal", "blue", "green", "yellow", "red", "rededge", "nir1", "nir2")
_CORNER, _CRS = (500_000.0, 5_000_000.0), "EPSG:32633"
_SIDE, _RATIO, _PIXEL = 192, 4, 0.31


def _ground(bands: int) -> Ground:
    return Ground(bands, _PIXEL, origin=_CORNER)


def _image(place: int, bands: int, pixel: float) -> np.ndarray:
    """The ground of the scene number `place`: each lies a kilometre from the next."""
    side = round(_SIDE * _PIXEL / pixel)
    corner = (_CORNER[0] + 1000.0 * place, _CORNER[1])
    return on_map(_ground(bands), corner, (side, side), pixel)


def _save(path: Path, array: np.ndarray, place: int, pixel: float, names: Any = ()) -> None:
    corner = (_CORNER[0] + 1000.0 * place, _CORNER[1])
    write(path, array, corner=corner, pixel=pixel, crs=_CRS, names=names)


def _pan(place: int = 0) -> Callable[[Path], None]:
    return lambda path: _save(path, _image(place, 8, _PIXEL).mean(0, keepdims=True), place, _PIXEL)


def _ms(place: int = 0) -> Callable[[Path], None]:
    pixel = _RATIO * _PIXEL
    return lambda path: _save(path, _image(place, 8, pixel), place, pixel, _EIGHT)


def _band(index: int) -> Callable[[Path], None]:
    pixel = _RATIO * _PIXEL
    return lambda path: _save(path, _image(0, 8, pixel)[index : index + 1], 0, pixel)


def _truth(path: Path) -> None:
    _save(path, _image(0, 8, _PIXEL), 0, _PIXEL, _EIGHT)


def _pair(place: int) -> Callable[[Path], None]:
    """A PAN under this name, with its MS beside it on the same ground."""

    def make(path: Path) -> None:
        _pan(place)(path)
        _ms(place)(path.with_name(f"{path.stem}_colours.tif"))

    return make


def _halves(place: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        _pan(place)(path)
        _ms(place)(path.with_name(path.name.replace("pan", "ms")))

    return make


def _scenes(count: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.mkdir()
        for place, name in enumerate(("harbour", "hills")[:count]):
            _halves(20 + place)(path / f"{name}_pan.tif")

    return make


def _maxar(level: str, side: int = 48, **options: Any) -> Callable[[Path], None]:
    return lambda path: maxar.write_delivery(path, level=level, ms_shape=(side, side), **options)  # type: ignore[func-returns-value]


def _packed(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def build(path: Path) -> None:
        folder = path.with_name(f"unpacked-{path.name.partition('.')[0]}")
        make(folder)
        pack(folder, path)
        for file in sorted(folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        folder.rmdir()

    return build


def _gaofen(path: Path) -> None:
    gaofen.gaofen2(path, placed=True, new=True)


def _heights(path: Path) -> None:
    """A height model around the place where the generated deliveries of level 1B lie."""
    import rasterio
    from rasterio.transform import from_bounds

    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=60, width=60, dtype="float32",
        crs="EPSG:4326", transform=from_bounds(8.9, 44.8, 9.1, 45.1, 60, 60),
    ) as new:  # fmt: skip
        new.write(np.full((1, 60, 60), 100.0, np.float32))


def _items(count: int, bands: int = 8, side: int = 64) -> dict[str, np.ndarray]:
    """A research set as the toolboxes make it: gt, ms, lms, pan, (item, band, y, x)."""
    from pansharp.filters import degrade, interp23

    images: dict[str, list[np.ndarray]] = {key: [] for key in ("gt", "ms", "lms", "pan")}
    for place in range(count):
        corner = (_CORNER[0] + 500.0 * place, _CORNER[1])
        gt = on_map(_ground(bands), corner, (side, side), _PIXEL)
        pan = gt.mean(axis=0, keepdims=True)
        ms = degrade(gt, pan[0], ratio=_RATIO, sensor="none")[0]
        for key, image in (("gt", gt), ("ms", ms), ("lms", interp23(ms, _RATIO)), ("pan", pan)):
            images[key].append(np.rint(image))
    return {key: np.stack(found).astype(float) for key, found in images.items()}


def _h5(count: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import h5py

        with h5py.File(path, "w") as file:
            for key, data in _items(count).items():
                file.create_dataset(key, data=data)

    return make


def _mat(path: Path) -> None:
    from scipy.io import savemat

    keys = {"gt": "I_GT", "ms": "I_MS_LR", "lms": "I_MS", "pan": "I_PAN"}
    planes = {keys[k]: np.moveaxis(v[0], 0, -1) for k, v in _items(1).items()}
    planes["I_PAN"] = planes["I_PAN"][..., 0]
    savemat(path, planes, do_compression=True)


def _cube(bands: int, pixel: float) -> Callable[[Path], None]:
    return lambda path: _save(path, _image(0, bands, pixel), 0, pixel)


def _product(path: Path) -> None:
    """A product with its card, as `pansharp fuse` writes it."""
    import pansharp as ps
    from pansharp.pipeline import FuseOptions, fuse_to_file

    pair = path.with_name("for-product")
    pair.mkdir(exist_ok=True)
    _pan()(pair / "pan.tif")
    _ms()(pair / "ms.tif")
    scene = ps.open_scene(pan=pair / "pan.tif", ms=pair / "ms.tif", sensor="WV3")
    fuse_to_file(scene, path, FuseOptions.checked(model="gsa"))


def _weights(name: str, **card: Any) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import torch

        from pansharp.models import build_network
        from pansharp.weights import WeightsCard, save_weights

        torch.manual_seed(0)
        path.parent.mkdir(parents=True, exist_ok=True)
        bands = int(card["ms_bands"])
        network = build_network(name, ms_bands=bands, pan_bands=card.get("pan_bands", 1), ratio=4)
        facts = {"task": "pan", "ratio": 4, "data": "generated", "terms": "CC0", "pan_bands": 1}
        save_weights(path, network.state_dict(), WeightsCard(network=name, **{**facts, **card}))

    return make


def _checkpoint(path: Path) -> None:
    """As authors save it: below an entry, from a wrapper for several GPUs."""
    import torch

    from models import test_bugpan

    state = test_bugpan.official_state(bands=8)
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)


_ANCHORED = {"form": "anchored", "pan_bands": 2}
#: Name in the documentation to what makes it; a name that ends in a slash is a folder.
FILES: dict[str, Callable[[Path], None]] = {
    "pan.tif": _pan(),
    "ms.tif": _ms(),
    "truth.tif": _truth,
    "next.tif": _pair(3),
    "next_pan.tif": _halves(3),
    "first.tif": _pair(4),
    "second.tif": _pair(5),
    "third.tif": _pair(6),
    "a_pan.tif": _halves(7),
    "b_pan.tif": _halves(8),
    "b8.tif": _pan(),
    "b2.tif": _band(1),
    "b3.tif": _band(2),
    "b4.tif": _band(4),
    "delivery/": _maxar("2A"),
    "scenes/": _scenes(1),
    "archive/": _scenes(2),
    "012345678010_01/": _maxar("2A"),
    "WV3_order.tar.gz": _packed(_maxar("2A")),
    "DELIVERY": _maxar("1B"),
    "OR2A_DELIVERY": _maxar("OR2A"),
    "GF2_DELIVERY": _gaofen,
    "GF2_PMS1_E116.3_N40.1_20200520_L1A0004811234.tar.gz": _packed(_gaofen),
    "heights.tif": _heights,
    "test_wv3.h5": _h5(1),
    "test_wv3_multiExm1.h5": _h5(2),
    "NY1_WV3_RR.mat": _mat,
    "enmap.tif": _cube(24, 4 * _PIXEL),
    "prisma.tif": _cube(24, 4 * _PIXEL),
    "hymap.tif": _cube(6, _PIXEL),
    "product.tif": _product,
    "mine/best.safetensors": _weights("rescnn", ms_bands=8, **_ANCHORED),
    "bugpan_wv3.pth": _checkpoint,
}
#: Weights that lie in the cache folder.
_CACHED: dict[str, Callable[[Path], None]] = {
    "rescnn-tiny-4": _weights(
        "rescnn-tiny",
        ms_bands=4,
        band_names=("blue", "green", "red", "nir1"),
        sensor="worldview2",
        **_ANCHORED,
    ),
    "bugpan-wv3": _weights("bugpan", ms_bands=8, form="published", value_scale=2047.0),
}


def _named(name: str, text: str) -> bool:
    bare = re.escape(name.rstrip("/"))
    return re.search(rf"(?<![\w./-]){bare}(?![\w.-]*\w)", text) is not None


def set_up(folder: Path, text: str) -> None:
    """Make those files that a page names, in `folder`, and the weights in ``cache/weights``."""
    for name, make in FILES.items():
        if _named(name, text):
            path = folder / name.rstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            # A training needs a second scene to be judged on.
            (_scenes(2) if "--data scenes/" in text and name == "scenes/" else make)(path)
    for name, make in _CACHED.items():
        if _named(name, text):
            make(folder / "cache" / "weights" / f"{name}.safetensors")


def arrays(folder: Path, wanted: set[str]) -> dict[str, Any]:
    """What Python examples take for granted, of those names that they use."""
    import pansharp as ps

    def scene() -> object:
        home = folder / "for-arrays"
        home.mkdir(exist_ok=True)
        _pan()(home / "pan.tif")
        _ms()(home / "ms.tif")
        return ps.open_scene(pan=home / "pan.tif", ms=home / "ms.tif", sensor="WV3")

    def checkpoint() -> object:
        from models import test_bugpan

        return {"state_dict": test_bugpan.official_state(bands=8)}

    known: dict[str, Callable[[], object]] = {
        "pan": lambda: np.rint(_image(0, 8, _PIXEL).mean(0)),
        "ms": lambda: np.rint(_image(0, 8, _RATIO * _PIXEL)),
        "reference": lambda: np.rint(_image(0, 8, _PIXEL)),
        "guide": lambda: np.rint(_image(0, 6, _PIXEL)),
        "cube": lambda: np.rint(_image(0, 24, _RATIO * _PIXEL)),
        "scene": scene,
        "checkpoint": checkpoint,
    }
    return {name: make() for name, make in known.items() if name in wanted}
