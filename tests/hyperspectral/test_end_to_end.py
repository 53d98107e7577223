"""From files to judged products: a real pair, pairs simulated from real cubes, holes, bad input."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from pansharp import fuse_arrays
from pansharp.cli import main
from pansharp.engine import fuse_array, prepare
from pansharp.errors import BandMismatchError, ModelError, OptionError, PansharpWarning
from pansharp.evaluation import ergas, sam
from pansharp.geometry.grids import Window
from pansharp.hyperspectral import prepare_pair
from pansharp.hyperspectral_trial import CubeTrial
from pansharp.models import create_model
from pansharp.models.classical.interpolate import Exp
from pansharp.options import FuseOptions
from pansharp.outcome.cube_fusers import prepare_fuser
from pansharp.pipeline import evaluate_scene, fuse_to_file
from pansharp.readers import open_scene
from pansharp.scene import Scene
from pansharp.simulate import simulate_hsi_msi, write_hsi_msi

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::pansharp.errors.PansharpWarning")

#: Largest ERGAS relative to interpolation: Berlin one ratio coarser, and simulated pairs.
LIMITS = {
    "glp-hs": (0.55, 0.85),
    "gsa-hs": (0.50, 0.50),
    "sfim-hs": (0.50, 0.50),
    "loc-hs": (0.50, 0.62),
    "gfpca": (1.00, 0.95),
    "fuse-sylvester": (0.45, 0.55),
    "cnmf": (0.50, 0.60),
}


def berlin(shared_data: Path) -> Scene:
    folder = shared_data / "berlin_urban_gradient"
    return open_scene(hsi=folder / "enmap_hsi.tif", msi=folder / "hymap_msi.tif")


def simulated(shared_data: Path, name: str, waves: tuple[float, float]) -> tuple[Scene, np.ndarray]:
    import rasterio

    with rasterio.open(shared_data / name) as source:
        cube = source.read().astype(np.float32)
    wavelengths = np.linspace(*waves, len(cube))
    made = simulate_hsi_msi(cube, wavelengths, sensor="worldview3", ratio=4)
    names = [made.band_names.index(band) for band in ("blue", "green", "red", "nir1")]
    scene = Scene.from_arrays(made.msi[names], made.hsi, alignment=made.alignment)
    return replace(scene, wavelengths=tuple(wavelengths)), made.reference.astype(np.float64)


def test_the_real_pair_becomes_a_product(shared_data: Path, tmp_path: Path) -> None:
    import rasterio

    scene = berlin(shared_data).crop(Window(0, 0, 400, 360))
    target = tmp_path / "fused.tif"
    product = fuse_to_file(scene, target, FuseOptions.checked(model="fuse-sylvester"))
    card = json.loads((tmp_path / "fused.tif.card.json").read_text())
    assert card == json.loads(json.dumps(product.card))
    with rasterio.open(target) as file, rasterio.open(scene.files["ms"][0]) as source:
        assert (file.count, file.height, file.width) == (177, 400, 360)
        assert file.crs == source.crs
        assert file.transform.a == pytest.approx(3.6)
        assert file.nodata == -99
        for index in (1, 90, 177):
            tags, known = file.tags(index), source.tags(index)
            assert float(tags["wavelength"]) == float(known["wavelength"])
            assert float(tags["fwhm"]) == float(known["fwhm"])
        red = file.read(40).astype(float)
    assert 200 < red.mean() < 3000
    psf = card["conventions"]["psf"]
    assert psf["source"] == "measured"
    assert 0.4 <= psf["sigma_hsi_px"] <= 0.5
    assert psf["r2_after"] > psf["r2_before"] > 0.9
    assert -2 <= card["alignment"]["applied_rows_cols_pan_px"][0] <= 0
    bands = card["conventions"]["guide_response"]["bands"]
    assert [band["source"] for band in bands] == ["table"] * 4
    assert all(band["r2"] > 0.9 for band in bands)
    assert [round(band["centre_nm"], -1) for band in bands] == [480, 560, 650, 800]
    reduced = card["reduced"]
    assert reduced["model"]["ergas"] < 0.55 * reduced["exp"]["ergas"]
    assert set(reduced["candidates"]) == {"exp", "glp-hs", "gsa-hs", "loc-hs"}
    assert {"psnr", "ssim"} <= set(reduced["model"])
    assert reduced["blocks"] >= 8
    assert 0 < card["full"]["rmse_to_ms_percent"] < 3
    assert "Q2n" not in card["full"]
    assert "fuse-sylvester" in product.summary()


@pytest.mark.parametrize("name", LIMITS)
def test_berlin_one_ratio_coarser(name: str, shared_data: Path) -> None:
    pair = prepare_pair(berlin(shared_data), FuseOptions.checked(model=name))
    assert (pair.found.sigma, pair.applied) == (0.45, (-1.0, -0.75))
    trial = CubeTrial(pair)
    own, plain = trial.score(name, 0), trial.score("exp", 0)
    assert own.ergas < LIMITS[name][0] * plain.ergas
    ours, interpolated = own.as_dict(), plain.as_dict()
    assert ours["sam"] < interpolated["sam"]
    # The whole degraded image: large enough for the windows of SSIM and Q.
    for key in ("psnr", "ssim", "q"):
        assert ours[key] > interpolated[key]
    assert ours["ssim"] < 1
    assert ours["q"] < 1


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize(
    ("file", "waves"),
    [
        ("jasper_ridge/hsi.tif", (410.0, 2460.0)),
        ("hsi_mini/chikusei.tif", (363.0, 1018.0)),
        ("hsi_mini/dc.tif", (400.0, 2475.0)),
    ],
)
def test_simulated_pairs(
    name: str, file: str, waves: tuple[float, float], shared_data: Path
) -> None:
    scene, truth = simulated(shared_data, file, waves)
    plain = fuse_array(scene, Exp())[0].astype(np.float64)
    pair = prepare_pair(scene, FuseOptions.checked(model=name))
    out = fuse_array(pair.usable, prepare_fuser(pair, name)[1])[0].astype(np.float64)
    assert ergas(truth, out, ratio=4) < LIMITS[name][1] * ergas(truth, plain, ratio=4)
    if name != "gfpca":
        assert sam(truth, out) < sam(truth, plain)


def test_hysure_on_a_real_cube(shared_data: Path) -> None:
    scene, truth = simulated(shared_data, "hsi_mini/chikusei.tif", (363.0, 1018.0))
    plain = fuse_array(scene, Exp())[0].astype(np.float64)
    pair = prepare_pair(scene, FuseOptions.checked(model="hysure"))
    out = fuse_array(pair.usable, prepare_fuser(pair, "hysure")[1])[0].astype(np.float64)
    assert ergas(truth, out, ratio=4) < 0.25 * ergas(truth, plain, ratio=4)


@pytest.fixture
def files(tmp_path: Path, new_cube) -> dict[str, str]:
    """An HSI, an MSI and a PAN as GeoTIFFs, 32 x 32 HSI pixels of ratio 4."""
    from pansharp.geometry.grids import Alignment
    from pansharp.simulate import SimulatedCube

    made = new_cube(size=32, members=6)
    waves = tuple(np.linspace(400.0, 980.0, 30))
    guide = made.scene.pan_source.read(Window(0, 0, 128, 128))
    cube = made.scene.ms_source.read(Window(0, 0, 32, 32))
    names = ("blue", "green", "red", "nir1")
    common = {"alignment": Alignment.corner(4), "sensor": "worldview3", "ratio": 4}
    both = SimulatedCube(
        guide.astype(np.uint16), cube.astype(np.uint16), made.truth, waves, names, **common
    )
    hsi, msi = write_hsi_msi(both, tmp_path)
    pan = guide.mean(axis=0, keepdims=True).astype(np.uint16)
    one = SimulatedCube(pan, cube.astype(np.uint16), made.truth, waves, ("pan",), **common)
    (tmp_path / "one").mkdir()
    return {
        "hsi": str(hsi),
        "msi": str(msi),
        "pan": str(write_hsi_msi(one, tmp_path / "one")[1]),
        "folder": str(tmp_path),
    }


@pytest.mark.parametrize("guide", ["msi", "pan"])
@pytest.mark.parametrize("name", ["gsa-hs", "fuse-sylvester"])
def test_the_command_line_fuses(guide: str, name: str, files: dict[str, str]) -> None:
    import rasterio

    out = f"{files['folder']}/out.tif"
    arguments = ["fuse", "--hsi", files["hsi"], f"--{guide}", files[guide], "-m", name, "-o", out]
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    card = json.loads(result.stdout)
    assert card["model"]["used"] == name
    assert card["reduced"]["model"]["ergas"] < card["reduced"]["exp"]["ergas"]
    with rasterio.open(out) as file:
        assert (file.count, file.height, file.width) == (30, 128, 128)
        assert file.tags(1)["wavelength"] == "400"
        assert file.tags()["PANSHARP_MODEL"] == name


def test_evaluating_from_the_command_line(files: dict[str, str]) -> None:
    scene = open_scene(hsi=files["hsi"], msi=files["msi"])
    report = evaluate_scene(scene, FuseOptions.checked(model="gsa-hs"))
    assert report.scores["ergas"] > 0
    assert report.protocol == "reduced"


@pytest.mark.parametrize("model", ["brovey", "gsa", "mtf-glp-fs"])
def test_other_models_refuse_guides_of_several_bands(model: str, files: dict[str, str]) -> None:
    arguments = ["fuse", "--hsi", files["hsi"], "--msi", files["msi"], "-m", model]
    result = CliRunner().invoke(main, [*arguments, "-o", f"{files['folder']}/x.tif"])
    assert result.exit_code == 1
    assert "gsa-hs" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_guide_that_sees_other_light_is_one_line(files: dict[str, str]) -> None:
    import rasterio

    with rasterio.open(files["msi"], "r+") as file:
        for index in range(1, 5):
            file.update_tags(index, wavelength="2200", wavelength_units="nm", fwhm="50")
    arguments = ["fuse", "--hsi", files["hsi"], "--msi", files["msi"], "-m", "gsa-hs"]
    result = CliRunner().invoke(main, [*arguments, "-o", f"{files['folder']}/x.tif"])
    assert result.exit_code == 1
    assert "outside the range of the HSI (400 to 980 nm)" in result.output


def test_adapting_is_refused(files: dict[str, str]) -> None:
    scene = open_scene(hsi=files["hsi"], msi=files["msi"])
    options = FuseOptions.checked(model="gsa-hs", adapt="always")
    with pytest.raises(ModelError, match="nothing to adapt"):
        evaluate_scene(scene, options)


def test_a_scene_too_small_to_score_says_so(new_cube, tmp_path: Path) -> None:
    made = new_cube(size=12)
    with pytest.warns(PansharpWarning, match="too few to degrade it once more"):
        product = fuse_to_file(
            made.scene, tmp_path / "x.tif", FuseOptions.checked(model="gsa-hs", dtype="float32")
        )
    assert product.card["reduced"] == {}
    assert product.card["verdict"] is None
    assert product.card["full"]["rmse_to_ms_percent"] < 1
    assert product.summary() == "gsa-hs: not scored"


def test_back_projection_brings_consistency(new_cube, tmp_path: Path) -> None:
    made = new_cube(size=32, members=6)
    gaps = []
    for passes in ("0", "2"):
        options = FuseOptions.checked(model="gsa-hs", dtype="float32", backproject=passes)
        product = fuse_to_file(made.scene, tmp_path / f"x{passes}.tif", options)
        gaps.append(product.card["full"]["rmse_to_ms_percent"])
    assert gaps[1] < 0.5 * gaps[0]


def test_real_holes_and_empty_bands(shared_data: Path, tmp_path: Path) -> None:
    import rasterio
    from rasterio.transform import Affine

    # EnMAP over Potsdam: bands 130 to 135 and two fifths of the pixels hold nodata.
    with rasterio.open(shared_data / "enmap_potsdam" / "hsi.tif") as source:
        cube = source.read()[:, :192, :160]
        waves = [source.tags(i)["wavelength"] for i in range(1, source.count + 1)]
    lost = cube == -32768
    blocks = cube.reshape(len(cube), 48, 4, 40, 4).astype(np.float64)
    low = np.where(
        lost.reshape(len(cube), 48, 4, 40, 4).any(axis=(2, 4)), -32768, blocks.mean(axis=(2, 4))
    )
    for name, data, size in (("hsi", low, 120.0), ("msi", cube[[12, 28, 48, 80]], 30.0)):
        profile = {"count": len(data), "height": data.shape[1], "width": data.shape[2]}
        place = {"crs": "EPSG:32633", "transform": Affine(size, 0, 3e5, 0, -size, 5.8e6)}
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", dtype="int16", nodata=-32768, **profile, **place
        ) as new:
            new.write(data.astype(np.int16))
            for index, wave in enumerate(waves if name == "hsi" else [], 1):
                new.update_tags(index, wavelength=wave, wavelength_units="nm")
    scene = open_scene(hsi=tmp_path / "hsi.tif", msi=tmp_path / "msi.tif")
    assert any("6 bands of the hyperspectral image hold no data" in note for note in scene.notes)
    product = fuse_to_file(scene, tmp_path / "out.tif", FuseOptions.checked(model="gsa-hs"))
    assert product.card["conventions"]["bands_set_aside"] == [130, 131, 132, 133, 134, 135]
    with rasterio.open(tmp_path / "out.tif") as file:
        out = file.read()
    empty = np.zeros(224, bool)
    empty[129:135] = True
    assert (out[empty] == -32768).all()
    holes = out[~empty] == -32768
    assert (holes.all(axis=0) == holes.any(axis=0)).all()
    assert 0.3 < holes[0].mean() < 0.7
    good = ~holes[0] & ~lost[~empty].any(axis=0)
    error = np.abs(out[~empty][:, good].astype(float) - cube[~empty][:, good])
    assert error.mean() < 0.25 * cube[~empty][:, good].std()


@pytest.mark.parametrize("name", ["fuse-sylvester", "cnmf", "hysure", "loc-hs"])
def test_whole_blocks_give_the_same_pixels_in_any_tile(name: str, new_cube) -> None:
    made = new_cube(ratio=4, size=80, bands=6)
    options = {"steps": 5, "components": 2} if name == "hysure" else {}
    fuser = prepare(create_model(name, **options), made.scene, made.facts)
    whole, _ = fuse_array(made.scene, fuser)
    tiled, _ = fuse_array(made.scene, fuser, tile=256)
    np.testing.assert_allclose(tiled, whole, rtol=1e-5, atol=1e-2)


def test_plain_arrays(new_cube) -> None:
    made = new_cube(size=24)
    guide = made.scene.pan_source.read(Window(0, 0, 96, 96))
    cube = made.scene.ms_source.read(Window(0, 0, 24, 24))
    assert fuse_arrays(guide, cube, "cnmf").shape == (30, 96, 96)
    assert fuse_arrays(guide[0], cube, "gsa-hs", ratio=4).shape == (30, 96, 96)
    with pytest.raises(OptionError, match="no reference mode"):
        fuse_arrays(guide, cube, "gsa-hs", mode="reference")
    with pytest.raises(OptionError, match="give \\(y, x\\)"):
        fuse_arrays(guide, cube, "gsa")


def test_few_bands_take_any_method(new_cube) -> None:
    # Four bands and one guide band: pansharpening by a hyperspectral method.
    made = new_cube(bands=4, guides=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = evaluate_scene(made.scene, FuseOptions.checked(model="loc-hs"))
    assert report.scores["ergas"] > 0


def test_bands_must_match(new_cube) -> None:
    made = new_cube()
    scene = replace(
        made.scene,
        wavelengths=tuple(np.linspace(400, 700, 30)),
        guide_wavelengths=(1650.0,) * 4,
        guide_widths=(50.0,) * 4,
    )
    with pytest.raises(BandMismatchError):
        evaluate_scene(scene, FuseOptions.checked(model="cnmf"))
