"""From one file or folder to the two halves of a pair."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import AmbiguousReaderError, GridMismatchError, ReaderError, UnknownFormatError
from pansharp.readers._grids import Grid, overlap, place
from pansharp.source import open_raster

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Pair", "find_pair", "find_pairs", "partner_stems"]

_SUFFIXES = (".tif", ".tiff", ".ntf", ".jp2", ".img", ".vrt", ".dat", ".bsq", ".bil", ".bip")
_IGNORED = re.compile(
    r"browse|thumb|quicklook|preview|[-_]ql\b|(^|[-_.])(mask|udm2?|qa|cloud)([-_.]|$)|\.(ovr|aux|msk)",
    re.IGNORECASE,
)
#: Words for the two halves in file and folder names, most telling first.
_PAN_WORDS = ("pan", "panchromatic", "p", "hr", "b8", "msi")
_MS_WORDS: dict[str, tuple[str, ...]] = {
    "pan": ("ms", "mul", "mss", "mux", "xs", "multi", "multispectral", "hsi", "hs"),
    "panchromatic": ("multispectral", "ms"),
    "p": ("ms", "m", "xs"),
    "hr": ("lr",),
    "b8": ("ms", "multi"),
    "msi": ("hsi",),
}
#: More rasters than this in a folder are judged by their names alone.
_OPEN_LIMIT = 100


@dataclass(frozen=True)
class Pair:
    """Paths of a pair.

    Parameters
    ----------
    pan : str
        High-resolution file.
    ms : tuple of str
        One low-resolution file, or several single-band ones.
    """

    pan: str
    ms: tuple[str, ...]

    @property
    def guide(self) -> bool:
        """Whether names say that the high-resolution file is an MSI: several bands are right."""
        return "msi" in _words(Path(self.pan).stem) and "hsi" in _words(Path(self.ms[0]).stem)


@dataclass(frozen=True)
class _Facts:
    """What an opened candidate tells."""

    path: Path
    bands: int
    grid: Grid
    product: bool


def find_pair(path: str) -> Pair:
    """Find both halves of the pair that a file or folder belongs to.

    Parameters
    ----------
    path : str
        A PAN, an MS, or a folder that holds one pair.

    Returns
    -------
    Pair
        The files.

    Raises
    ------
    UnknownFormatError
        When the partner is not found.
    AmbiguousReaderError
        When several files could be it.
    """
    place_ = Path(path)
    if not place_.is_dir():
        return _partner(place_)
    pairs = find_pairs(path)
    if not pairs:
        raise UnknownFormatError(
            f"No PAN and MS image found in '{path}'; looked for names such as *pan*/*ms*, _PAN and "
            "_MUL folders, and a 1-band file beside one with 3 or more bands. "
            "Name the files with --pan FILE and --ms FILE"
        )
    if len(pairs) > 1:
        raise AmbiguousReaderError(
            f"{len(pairs)} scenes match in '{path}': {_listing(p.pan for p in pairs)}. "
            f"Name one, or run 'pansharp batch {path}'"
        )
    return pairs[0]


def find_pairs(folder: str) -> list[Pair]:
    """All pairs of a folder and of its component folders, sorted by name.

    Parameters
    ----------
    folder : str
        Folder; files with partner names count first, then component folders (``…_PAN`` beside
        ``…_MUL``), then what band counts and grids tell.

    Returns
    -------
    list of Pair
        Empty when there are none.
    """
    root = Path(folder)
    files = _rasters(root)
    pairs = _by_names(files)
    if not pairs:
        children = sorted(p for p in root.iterdir() if p.is_dir())
        there = {child.name.lower(): child for child in children}
        for child in children:
            for other in _component_folders(child, "pan", there):
                pairs += _across(child, other)
    if not pairs and len(files) <= _OPEN_LIMIT:
        facts = [fact for file in files if (fact := _facts(file)) and not fact.product]
        pairs = [
            Pair(str(pan.path), (str(ms.path),))
            for pan in facts
            for ms in facts
            if pan.path != ms.path and _fit(pan, ms)
        ]
    return sorted(set(pairs), key=lambda pair: pair.pan)


def _partner(path: Path) -> Pair:
    bands = _landsat_bands(path)
    if bands is not None:
        return bands
    own = _facts(path, strict=True)
    if own is None:
        raise UnknownFormatError(f"'{path}' is not a raster that can be read")
    words = _words(path.stem)
    is_pan = own.bands == 1 or ("msi" in words and "hsi" not in words)
    role = "pan" if is_pan else "ms"
    stems = partner_stems(path.stem, role)
    folders = [path.parent, *_component_folders(path.parent, role)]
    grand = path.parent.resolve().parent
    if grand not in folders:
        folders.append(grand)
    for folder in folders:
        files = [file for file in _rasters(folder) if file.resolve() != path.resolve()]
        inside = folder != path.parent and folder != grand
        found = _named(files, [*stems, path.stem] if inside else stems, path.suffix)
        if not found and len(files) <= _OPEN_LIMIT:
            found = _fitting(own, files, is_pan=is_pan)
        if len(found) > 1:
            raise AmbiguousReaderError(
                f"{len(found)} images could be the {'MS' if is_pan else 'PAN'} of '{path}': "
                f"{_listing(found)}. Name one with {'--ms' if is_pan else '--pan'} FILE"
            )
        if found:
            other = str(found[0])
            return Pair(str(path), (other,)) if is_pan else Pair(other, (str(path),))
    wanted = _listing((stem + path.suffix for stem in stems), 4) if stems else "partner names"
    kind = "a sibling with 3 or more bands" if is_pan else "a 1-band sibling"
    what = "multispectral" if is_pan else "panchromatic"
    raise UnknownFormatError(
        f"No {what} image found for '{path}'; looked for {wanted}, {kind} on fitting ground. "
        f"Pass it with {'--ms' if is_pan else '--pan'} FILE"
    )


def _words(stem: str) -> list[str]:
    return [re.sub(r"\d+$", "", word) for word in re.split(r"[^a-z0-9]+", stem.lower())]


def partner_stems(stem: str, role: str) -> list[str]:
    """Names (lower case) that the other half may have, the likeliest first."""
    table = [(pan, ms) for pan in _PAN_WORDS for ms in _MS_WORDS[pan]]
    changes = table if role == "pan" else [(ms, pan) for pan, ms in table]
    stems = []
    low = stem.lower()
    for old, new in changes:
        # A whole word, with a number kept: pan_1 - ms_1, PAN2 - MSS2.
        whole = re.finditer(rf"(?<![a-z0-9]){old}(?=\d*(?![a-z0-9]))", low)
        stems += [low[: match.start()] + new + low[match.end() :] for match in whole]
    # Maxar puts the component into the level: -P2AS- and -M2AS-.
    code = re.search(r"(?<![a-z0-9])([pm])(?=(1b|2a|3[a-z])s(?![a-z0-9]))", low)
    if code and code.group(1) == ("p" if role == "pan" else "m"):
        other = "m" if role == "pan" else "p"
        stems.append(low[: code.start()] + other + low[code.end() :])
    return list(dict.fromkeys(stems))


def _component_folders(
    folder: Path, role: str, there: Mapping[str, Path] | None = None
) -> list[Path]:
    """Sibling folders that hold the other component, such as …_MUL beside …_PAN.

    `there`: the folders beside it by name, where they are known.
    """
    if there is not None:
        names = dict.fromkeys(partner_stems(folder.name, role))
        return [there[name] for name in names if name in there]
    home = folder.resolve()
    names = dict.fromkeys(partner_stems(home.name, role))
    if not names or not home.parent.is_dir():
        return []
    there = {p.name.lower(): p for p in home.parent.iterdir() if p.is_dir()}
    return [there[name] for name in names if name in there]


def _rasters(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in _SUFFIXES and not _IGNORED.search(file.name) and file.is_file()
    )


def _named(files: list[Path], stems: list[str], suffix: str) -> list[Path]:
    for stem in dict.fromkeys(text.lower() for text in stems):
        found = [file for file in files if file.stem.lower() == stem]
        alike = [file for file in found if file.suffix.lower() == suffix.lower()]
        usable = [f for f in (alike or found) if (fact := _facts(f)) and not fact.product]
        if usable:
            return usable
    return []


def _by_names(files: list[Path]) -> list[Pair]:
    pairs = []
    for file in files:
        named = _named(files, partner_stems(file.stem, "pan"), file.suffix)
        own = _facts(file) if named else None
        if own and not own.product and len(named) == 1:
            pair = Pair(str(file), (str(named[0]),))
            if own.bands == 1 or pair.guide:
                pairs.append(pair)
    if not pairs:
        landsat = {found for file in files if (found := _landsat_bands(file)) is not None}
        pairs = list(landsat)
    return pairs


def _across(pan_folder: Path, ms_folder: Path) -> list[Pair]:
    pans, others = _rasters(pan_folder), _rasters(ms_folder)
    pairs = []
    for file in pans:
        own = _facts(file)
        if own is None or own.product or own.bands != 1:
            continue
        found = _named(others, [*partner_stems(file.stem, "pan"), file.stem], file.suffix)
        found = found or _fitting(own, others, is_pan=True)
        pairs += [Pair(str(file), (str(other),)) for other in found]
    return pairs


def _fitting(own: _Facts, files: list[Path], *, is_pan: bool) -> list[Path]:
    facts = [fact for file in files if (fact := _facts(file)) and not fact.product]
    return [fact.path for fact in facts if (_fit(own, fact) if is_pan else _fit(fact, own))]


def _fit(pan: _Facts, ms: _Facts) -> bool:
    """Whether band counts and grids make a pair: whole ratio of 2 to 8, common ground."""
    cubes = "msi" in _words(pan.path.stem) and "hsi" in _words(ms.path.stem)
    if not cubes and (pan.bands != 1 or ms.bands < 3):
        return False
    try:
        alignment, _ = place(pan.grid, ms.grid, None)
    except GridMismatchError:
        return False
    if alignment is None:
        return False
    share = overlap(alignment, pan.grid.shape, ms.grid.shape)
    back = share * ms.grid.shape[0] * ms.grid.shape[1] * alignment.y.scale * alignment.x.scale
    ground = back / (pan.grid.shape[0] * pan.grid.shape[1])
    if pan.grid.crs is None and min(share, ground) < 0.9:
        return False  # without a coordinate system only equal extents say anything
    whole = alignment.integer_ratio or 0
    return share > 0 and (2 <= whole <= 8 or (cubes and alignment.ratio >= 2))


def _facts(path: Path, *, strict: bool = False) -> _Facts | None:
    try:
        with open_raster(path) as dataset:
            product = "PANSHARP_SOFTWARE" in dataset.tags()
            return _Facts(path, int(dataset.count), Grid.of(dataset), product)
    except ReaderError:
        if strict:
            raise
        return None


def _landsat_bands(path: Path) -> Pair | None:
    """Band files of a Landsat 8/9 delivery: B8 with B2 to B5."""
    match = re.match(r"^(L[CO]0?[89].*_)B\d+$", path.stem, re.IGNORECASE)
    if match is None:
        return None
    names = [f"{match.group(1)}B{number}{path.suffix}" for number in (8, 2, 3, 4, 5)]
    pan, *ms = (path.with_name(name) for name in names)
    if not all(file.is_file() for file in (pan, *ms)):
        return None
    return Pair(str(pan), tuple(str(file) for file in ms))


def _listing(names: Iterable[object], limit: int = 6) -> str:
    def parts() -> Iterator[str]:
        items = [f"'{name}'" for name in names]
        yield from items[:limit]
        if len(items) > limit:
            yield f"and {len(items) - limit} more"

    return ", ".join(parts())
