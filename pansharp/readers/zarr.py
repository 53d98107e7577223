"""Zarr stores: one with both images, or two beside each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import AmbiguousReaderError, ReaderError, SceneError, UnknownFormatError
from pansharp.readers._base import SURE, Found, readers
from pansharp.readers._scan import is_store, stores_below
from pansharp.readers._siblings import partner_stems
from pansharp.readers._zarr import halves_in, in_store, is_product, rasters_in, read_raster

if TYPE_CHECKING:
    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["ZarrReader"]


class ZarrReader:
    """Opens Zarr stores of version 2 and 3 on this machine's disks."""

    summary = "Zarr stores: 'pan' and 'ms' in one, or pan.zarr beside ms.zarr (xarray, rioxarray)"

    def matches(self, path: str) -> float:
        """Sure of folders that are stores."""
        return SURE if in_store(path) else 0.0

    def find(self, path: str, *, depth: int = 4) -> list[Found]:
        """Stores below a folder that hold a scene, or that have their partner beside them."""
        stores = [Path(path)] if in_store(path) else []
        if not stores and Path(path).is_dir():
            stores = stores_below(path, depth=depth)
        return [found for store in stores if (found := _found(store)) is not None]

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Open the scene in a store, or the one that a store is a half of.

        Raises
        ------
        ReaderError
            The store is damaged, or the other image is not found.
        SceneError
            They do not make a pair.
        """
        from pansharp.readers.pair import open_pair

        place = Path(path)
        while is_store(place.resolve().parent):  # an array or group leads to its whole store
            place = place.resolve().parent
            path = str(place)
        if len(rasters_in(path)) == 1 and (pair := _pair(place)) is not None:
            high, low = (str(half) for half in pair)
            return open_pair(high, [low], sensor=sensor, nodata=nodata, ratio=ratio)
        if is_product(path):
            raise SceneError(
                f"'{path}' is a product of pansharp; fusing needs the PAN and MS that it was made "
                "of, name them with --pan FILE and --ms FILE"
            )
        high, low, guide, cube = halves_in(path)
        scene = open_pair(
            high, [low], guide=guide, cube=cube, sensor=sensor, nodata=nodata, ratio=ratio
        )
        name = place.resolve().name
        return replace(scene, name=name.removesuffix(".zarr"))


def _found(store: Path) -> Found | None:
    """The scene of a store; None for a half, whose PAN stands for it, and for lone images."""
    path = str(store)
    files: tuple[str, ...] = ()
    try:
        images = rasters_in(path)
        if is_product(path):
            return None
        if len(images) >= 2:
            high, low, _, _ = halves_in(path)
            files = (high, low)
        else:
            pair = _pair(store)
            if pair is None or pair[0] != store:
                return None
            files = (str(pair[0]), str(pair[1]))
    except UnknownFormatError:
        return None
    except ReaderError:
        pass  # opening it says what is wrong
    return Found(path, store.name.removesuffix(".zarr"), "zarr", files, "a Zarr store")


def _pair(store: Path) -> tuple[Path, Path] | None:
    """The store and its partner beside it by their names, PAN first."""
    home = store.resolve()
    stem = home.name.removesuffix(".zarr")
    try:
        beside = {
            place.name.removesuffix(".zarr").lower(): place
            for place in home.parent.iterdir()
            if place.name.endswith(".zarr") and is_store(place)
        }
    except OSError:
        return None
    for role in ("pan", "ms"):
        there = [beside[name] for name in partner_stems(stem, role) if name in beside]
        there = [place for place in there if not is_product(str(place))]
        if len(there) > 1:
            names = ", ".join(f"'{place}'" for place in there)
            raise AmbiguousReaderError(
                f"{len(there)} stores could be the other image of '{store}': {names}; name both "
                "with --pan and --ms"
            )
        if there and (read_raster(str(home)).shape[0] == 1) == (role == "pan"):
            other = store.parent / there[0].name
            return (store, other) if role == "pan" else (other, store)
    return None


readers.register("zarr")(ZarrReader())
