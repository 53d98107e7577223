from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window as RioWindow

from pansharp.errors import OptionError, WriteError
from pansharp.geometry.grids import Window
from pansharp.writers import DTYPES, RasterProfile, open_writer
from pansharp.writers.tiff import TiffWriter, pick_block

Save = Callable[..., Path]
Make = Callable[..., NDArray[Any]]


def read(path: Path, level: int | None = None) -> NDArray[Any]:
    options = {} if level is None else {"overview_level": level}
    with rasterio.open(path, **options) as image:
        return image.read()


def check_cog(path: Path) -> None:
    validate = pytest.importorskip("rio_cogeo").cog_validate
    ok, errors, remarks = validate(path, strict=True, quiet=True)
    assert ok, (errors, remarks)


def halved(image: NDArray[Any], nodata: float | None) -> NDArray[Any]:
    """Mean of the up to four pixels with data, straight from the definition."""
    _, height, width = image.shape
    values = np.pad(image.astype(float), ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    if nodata is not None:
        values[values == nodata] = np.nan
    four = np.stack([values[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])
    number = np.isfinite(four).sum(axis=0)
    mean = np.nansum(four, axis=0) / np.maximum(number, 1)
    if image.dtype.kind != "f":
        mean = np.floor(mean + 0.5)
    out = mean.astype(image.dtype)
    if nodata is not None:
        out[out == nodata] += 1
        out[number == 0] = nodata
    return out


@pytest.mark.parametrize(
    ("shape", "block", "nodata"),
    [
        ((4, 130, 277), 64, None),
        ((3, 130, 277), 64, 0),
        ((1, 300, 200), 512, None),
        ((4, 500, 51), 32, None),
        ((2, 65, 640), 512, 7),
        ((1, 1, 1), 512, None),
        ((2, 33, 600), 16, 0),
    ],
)
def test_cog_is_valid_and_every_level_is_right(
    make_image: Make, save: Save, shape: tuple[int, int, int], block: int, nodata: float | None
) -> None:
    image = make_image(*shape, "uint16", nodata=nodata)
    path = save(image, block=block, facts={"nodata": nodata})
    check_cog(path)
    assert np.array_equal(read(path), image)
    with rasterio.open(path) as source:
        levels = source.overviews(1)
        assert source.nodata == nodata
        used = source.block_shapes[0][0]
    expected = image
    for level in range(len(levels)):
        expected = halved(expected, nodata)
        assert np.array_equal(read(path, level), expected), level
    assert max(expected.shape[1:]) <= max(used, block)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compress", ["zstd", "deflate", "lzw", "none"])
def test_types_and_compressions(make_image: Make, save: Save, dtype: str, compress: str) -> None:
    image = make_image(3, 70, 90, dtype)
    if dtype.startswith("int"):
        image = (image - 100).astype(dtype)
    if dtype.startswith("float"):
        image = (image / 7 - 5).astype(dtype)
    path = save(image, block=32, compress=compress)
    check_cog(path)
    assert np.array_equal(read(path), image)
    assert np.allclose(read(path, 0), halved(image, None), rtol=1e-6)
    with rasterio.open(path) as source:
        name = None if compress == "none" else compress
        assert source.profile.get("compress") == name


@pytest.mark.parametrize("format", ["cog", "gtiff"])
@pytest.mark.parametrize("compress", ["zstd", "none"])
def test_bytes_do_not_depend_on_tiles_or_workers(
    make_image: Make, save: Save, format: str, compress: str
) -> None:
    image = make_image(3, 150, 333, "uint16", nodata=0)
    digests = set()
    for tile, workers in ((32, 1), (32, 3), (64, 2), (96, 2), (128, 1), (512, 1)):
        path = save(
            image,
            tile=tile,
            workers=workers,
            block=32,
            format=format,
            compress=compress,
            overwrite=True,
            facts={"nodata": 0},
            late={"PANSHARP_SCORE": "1"},
        )
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_many_bands_are_stored_apart(make_image: Make, save: Save) -> None:
    image = make_image(20, 70, 90, "uint16")
    path = save(image, block=32)
    check_cog(path)
    assert np.array_equal(read(path), image)
    assert np.array_equal(read(path, 0), halved(image, None))
    with rasterio.open(path) as source:
        assert source.profile["interleave"] == "band"


def test_float_nan_is_left_out_of_overviews(make_image: Make, save: Save) -> None:
    image = make_image(2, 64, 64, "float32")
    image[:, :3, :3] = np.nan
    path = save(image, block=32, facts={"nodata": float("nan")})
    got = read(path, 0)
    assert np.isnan(got[:, 0, 0]).all()
    three = image[:, 3, 3] + image[:, 2, 3] + image[:, 3, 2]
    np.testing.assert_allclose(got[:, 1, 1], three / 3, rtol=1e-6)
    assert np.isfinite(got[:, 2:, 2:]).all()


@pytest.mark.parametrize("compress", ["zstd", "none"])
def test_georeference_labels_and_late_tags(make_image: Make, save: Save, compress: str) -> None:
    facts = {
        "band_names": ("blue", "green", "red", "nir"),
        "nodata": 0,
        "scales": (0.1, 0.2, 0.3, 0.4),
        "offsets": (0.0, 0.0, 0.0, 1.0),
        "tags": {"PANSHARP_MODEL": "gsa"},
        "band_tags": tuple({"WAVELENGTH": str(w)} for w in (480, 550, 660, 830)),
        "colors": ("blue", "green", "red", "undefined"),
    }
    path = save(
        make_image(4, 40, 50, "uint16"),
        facts=facts,
        compress=compress,
        late={"PANSHARP_ERGAS": "1.25", "NOTE": "ü" * 300},
    )
    with rasterio.open(path) as source:
        assert source.crs.to_epsg() == 32633
        assert tuple(source.transform)[:6] == (0.5, 0.0, 5e5, 0.0, -0.5, 5e6)
        assert source.descriptions == facts["band_names"]
        assert source.nodata == 0
        assert source.scales == facts["scales"]
        assert source.offsets == facts["offsets"]
        assert source.tags()["PANSHARP_MODEL"] == "gsa"
        assert source.tags()["PANSHARP_ERGAS"] == "1.25"
        assert source.tags()["NOTE"] == "ü" * 300
        assert source.tags(2)["WAVELENGTH"] == "550"
        assert [c.name for c in source.colorinterp] == list(facts["colors"])


def test_rgb_and_rpc(make_image: Make, save: Save) -> None:
    rpc = {
        "LINE_OFF": "10",
        "SAMP_OFF": "20",
        "LAT_OFF": "1",
        "LONG_OFF": "2",
        "HEIGHT_OFF": "3",
        "LINE_SCALE": "10",
        "SAMP_SCALE": "10",
        "LAT_SCALE": "1",
        "LONG_SCALE": "1",
        "HEIGHT_SCALE": "100",
        **{
            f"{name}_COEFF": " ".join(["1"] + ["0"] * 19)
            for name in ("LINE_NUM", "LINE_DEN", "SAMP_NUM", "SAMP_DEN")
        },
    }
    path = save(
        make_image(3, 40, 50, "uint8"),
        facts={
            "colors": ("red", "green", "blue"),
            "crs": None,
            "transform": None,
            "tag_domains": {"RPC": rpc},
        },
    )
    with rasterio.open(path) as source:
        assert [c.name for c in source.colorinterp] == ["red", "green", "blue"]
        assert source.rpcs.lat_off == 1.0
        assert source.crs is None
        assert source.transform.is_identity


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_without_georeference(make_image: Make, save: Save) -> None:
    path = save(make_image(1, 40, 50, "uint8"), facts={"crs": None, "transform": None})
    with rasterio.open(path) as source:
        assert source.crs is None
        assert source.transform.is_identity


def test_rotated_transform(make_image: Make, save: Save) -> None:
    numbers = (0.4, 0.3, 100.0, 0.3, -0.4, 200.0)
    path = save(make_image(1, 40, 50, "uint8"), facts={"transform": numbers})
    with rasterio.open(path) as source:
        assert tuple(source.transform)[:6] == pytest.approx(numbers)


def test_plain_gtiff_has_no_overviews(make_image: Make, save: Save) -> None:
    path = save(make_image(2, 700, 600, "uint8"), format="gtiff", compress="none")
    with rasterio.open(path) as source:
        assert source.overviews(1) == []
        assert source.block_shapes[0] == (512, 512)
        assert path.stat().st_size < 2 * 1024 * 1024 * 2 + 20_000


def test_big_tiff_above_two_gibibytes(tmp_path: Path) -> None:
    small = RasterProfile(1000, 1000, 4, "uint16")
    large = RasterProfile(20_000, 20_000, 4, "uint16")
    for profile, big in ((small, False), (large, True)):
        writer = open_writer(tmp_path / "a.tif", profile)
        assert isinstance(writer, TiffWriter)
        assert writer._header(writer._gdal)[2] == (43 if big else 42)
        writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_big_tiff_is_readable(
    make_image: Make, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pansharp.writers.tiff._BIG", 0)
    image = make_image(3, 130, 277, "uint16")
    for compress in ("zstd", "none"):
        path = save(image, block=64, compress=compress, overwrite=True, late={"A": "b" * 99})
        assert path.read_bytes()[2] == 43
        check_cog(path)
        assert np.array_equal(read(path), image)
        with rasterio.open(path) as source:
            assert source.tags()["A"] == "b" * 99


def test_gdal_reads_windows_and_other_readers_agree(make_image: Make, save: Save) -> None:
    tifffile = pytest.importorskip("tifffile")
    image = make_image(3, 130, 277, "float32")
    path = save(image, block=64, compress="deflate")
    with rasterio.open(path) as source:
        part = source.read(window=RioWindow(100, 50, 60, 70))
    assert np.array_equal(part, image[:, 50:120, 100:160])
    assert np.array_equal(tifffile.imread(path, key=0), image.transpose(1, 2, 0))


def test_blocks_are_narrower_than_the_image() -> None:
    assert pick_block(512, 5000) == 512
    assert pick_block(512, 512) == 256
    assert pick_block(512, 256) == 128
    assert pick_block(1024, 1024) == 512


@pytest.mark.parametrize("compress", ["zstd", "none"])
@pytest.mark.parametrize("step", ["encode", "append", "finish"])
def test_nothing_is_left_after_an_exception(
    make_image: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: str, step: str
) -> None:
    old = tmp_path / "out.tif"
    old.write_bytes(b"old product")
    image = make_image(1, 64, 64, "uint8")

    def fail(*_: object) -> None:
        raise RuntimeError("cut off")

    def work() -> None:
        profile = RasterProfile(64, 64, 1, "uint8")
        with open_writer(old, profile, compress=compress, block=32, overwrite=True) as writer:
            monkeypatch.setattr(writer, f"_{step}", fail)
            writer.append(writer.encode(Window(0, 0, 64, 64), image))

    with pytest.raises(RuntimeError, match="cut off"):
        work()
    assert [p.name for p in tmp_path.iterdir()] == ["out.tif"]
    assert old.read_bytes() == b"old product"


@pytest.mark.parametrize(
    ("compress", "after"), [("zstd", 0), ("zstd", 3), ("none", 0), ("none", 5)]
)
def test_disk_full(
    make_image: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    save: Save,
    compress: str,
    after: int,
) -> None:
    real, calls = os.pwrite, []

    def full(fd: int, data: bytes, offset: int) -> int:
        calls.append(1)
        if len(calls) > after:
            raise OSError(28, "No space left on device")
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(
        WriteError, match=r"disk full while writing .*out.tif: .* free, the product"
    ):
        save(make_image(1, 64, 64, "uint8"), block=32, compress=compress)
    assert list(tmp_path.iterdir()) == []


def test_short_writes_are_continued(
    make_image: Make, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, memoryview(data)[:700], at))
    image = make_image(2, 100, 120, "uint16")
    assert np.array_equal(read(save(image, block=32)), image)


def test_systems_without_positioned_writes(
    make_image: Make, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pwrite")
    monkeypatch.delattr(os, "pread")
    image = make_image(2, 100, 120, "uint16")
    for compress in ("zstd", "none"):
        path = save(image, block=32, workers=3, compress=compress, overwrite=True)
        assert np.array_equal(read(path), image)


def test_no_room_is_seen_before_the_work(tmp_path: Path) -> None:
    profile = RasterProfile(3_000_000, 3_000_000, 4, "float64")
    with pytest.raises(WriteError, match=r"it needs 2\d\d TB, but only .* are free"):
        open_writer(tmp_path / "a.tif", profile, format="gtiff", compress="none", block=4096)
    assert list(tmp_path.iterdir()) == []


def test_missing_windows_are_noticed(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "a.tif", RasterProfile(64, 64, 1, "uint8"), block=32)
    writer.append(writer.encode(Window(0, 0, 32, 64), np.zeros((1, 32, 64), np.uint8)))
    with pytest.raises(WriteError, match=r"a\.tif is incomplete: 2048 of 4096 pixels"):
        writer.finish()
    assert list(tmp_path.iterdir()) == []


def test_wrong_windows_and_arrays(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a.tif", RasterProfile(64, 80, 1, "uint8"), block=32) as writer:
        for window in (
            Window(8, 0, 32, 32),
            Window(0, 0, 32, 40),
            Window(0, 64, 32, 32),
            Window(0, 0, 16, 32),
        ):
            with pytest.raises(WriteError, match="does not lie on the 32 pixel blocks"):
                writer.encode(window, np.zeros((1, *window.shape), np.uint8))
        with pytest.raises(WriteError, match=r"are uint16 \(1, 64, 80\), expected uint8"):
            writer.encode(Window(0, 0, 64, 80), np.zeros((1, 64, 80), np.uint16))
        writer.append(writer.encode(Window(0, 0, 64, 80), np.zeros((1, 64, 80), np.uint8)))
        with pytest.raises(TypeError, match="append"):
            writer.append(b"")


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"x")
    with pytest.raises(WriteError, match=r"a.tif exists; pass overwrite=True"):
        open_writer(path, RasterProfile(64, 64, 1, "uint8"))
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"format": "coq"}, OptionError, "unknown format 'coq'; did you mean 'cog'"),
        ({"compress": "zstt"}, OptionError, "unknown compression 'zstt'; did you mean 'zstd'"),
        ({"compress": "zstd", "level": 30}, OptionError, "zstd has no level 30; use 1 to 22"),
        ({"block": 100}, OptionError, "blocks of 100 pixels"),
        ({"name": "no/such/a.tif"}, WriteError, "folder .*no/such does not exist; create it"),
        ({"name": "."}, WriteError, "exists|is a folder"),
        ({"facts": {"crs": "EPSG:0"}}, WriteError, "coordinate system of the product is not valid"),
        ({"facts": {"colors": ("redd",)}}, OptionError, "did you mean 'red'"),
        ({"facts": {"nodata": -1}}, OptionError, "nodata -1 cannot be stored as uint8"),
        ({"facts": {"band_names": ("a", "b")}}, OptionError, "band_names has 2 entries for 1"),
        ({"facts": {"transform": (1.0,)}}, OptionError, "transform has 1 numbers, expected 6"),
        ({"facts": {"dtype": "int8"}}, OptionError, "type 'int8' cannot be written"),
        ({"facts": {"height": 0}}, OptionError, "0x64 pixels is empty"),
    ],
)
def test_user_errors_are_one_line(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    name = options.pop("name", "a.tif")
    facts = {"height": 64, "width": 64, "count": 1, "dtype": "uint8"} | options.pop("facts", {})
    with pytest.raises(error, match=text) as caught:
        open_writer(tmp_path / name, RasterProfile(**facts), **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_folder_that_may_not_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Simulated, because whoever runs the tests may be allowed everything."""

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("pansharp.writers.tiff.os.open", refuse)
    profile = RasterProfile(height=64, width=64, count=1, dtype="uint16")
    with pytest.raises(WriteError, match=r"no permission to write to .*choose another folder"):
        open_writer(tmp_path / "x.tif", profile)
    assert list(tmp_path.iterdir()) == []
