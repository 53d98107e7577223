"""Methods that solve or iterate: the equation holds, costs fall, the truth is recovered."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pansharp.chips import read_chip
from pansharp.engine import fuse_array, prepare
from pansharp.errors import ModelError, OptionError
from pansharp.evaluation import ergas
from pansharp.geometry.grids import Window
from pansharp.models import create_model
from pansharp.models.base import SceneFacts
from pansharp.models.classical.interpolate import Exp
from pansharp.models.hyperspectral.hysure import minimise, objective
from pansharp.models.hyperspectral.sylvester import solve_sylvester
from pansharp.models.hyperspectral.unmixing import (
    factorize,
    gather_pixels,
    gathered,
    pure_spectra,
    update_abundances,
    update_spectra,
)


@pytest.fixture(scope="module")
def problem() -> dict[str, object]:
    """A small fusion problem in components: 3 components, 2 guide bands, ratio 2.5."""
    rng = np.random.default_rng(1)
    rows = rng.uniform(0, 1, (8, 20)) * (np.abs(np.arange(8)[:, None] * 2.5 - np.arange(20)) < 3)
    cols = rng.uniform(0, 1, (10, 25)) * (np.abs(np.arange(10)[:, None] * 2.5 - np.arange(25)) < 3)
    rows /= rows.sum(axis=1, keepdims=True)
    cols /= cols.sum(axis=1, keepdims=True)
    truth = np.cumsum(np.cumsum(rng.normal(size=(3, 20, 25)), axis=1), axis=2) / 40
    response = rng.normal(size=(2, 3))
    return {
        "rows": rows,
        "cols": cols,
        "truth": truth,
        "response": response,
        "low": rows @ truth @ cols.T,
        "guide": np.tensordot(response, truth, 1),
    }


@pytest.mark.parametrize("noise", [1e-6, 1e-2, 10.0])
def test_the_sylvester_equation_holds(problem: dict, noise: float) -> None:
    rng = np.random.default_rng(2)
    root = rng.normal(size=(3, 3))
    coupling = root @ root.T + 0.1 * np.eye(3)
    right = rng.normal(size=(3, 20, 25))
    rows, cols = problem["rows"], problem["cols"]
    found = solve_sylvester(coupling, right, rows, cols, noise)
    blurred = rows.T @ (rows @ found @ cols.T) @ cols / noise
    gap = np.tensordot(coupling, found, 1) + blurred - right
    scale = np.linalg.norm(right) + np.linalg.norm(blurred)
    assert np.linalg.norm(gap) < 1e-8 * scale


@pytest.mark.parametrize("ratio", [2.0, 4.0, 5.7])
def test_the_equation_of_a_chip_holds(ratio: float, new_cube) -> None:
    made = new_cube(ratio=ratio, size=16, offset=0.2)
    fuser = prepare(create_model("fuse-sylvester"), made.scene, made.facts)
    chip = read_chip(made.scene, Window(8, 12, 20, 16), fuser.halo)
    right, coupling, rows, cols = fuser.equation(chip)
    found = fuser.correction(chip)
    blurred = rows.T @ (rows @ found @ cols.T) @ cols / fuser.noise
    gap = np.tensordot(coupling, found, 1) + blurred - right
    assert np.linalg.norm(gap) < 1e-8 * (np.linalg.norm(right) + np.linalg.norm(blurred))
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-12)


def test_sylvester_recovers_a_scene_of_low_rank(new_cube) -> None:
    # Four spectra that sum to one have three components, and the guide sees four bands.
    made = new_cube(members=4, guides=4)
    plain = ergas(made.truth, fuse_array(made.scene, Exp())[0].astype(float), ratio=4)
    fuser = prepare(create_model("fuse-sylvester", components=3), made.scene, made.facts)
    out = fuse_array(made.scene, fuser)[0].astype(float)
    assert ergas(made.truth, out, ratio=4) < 0.02 * plain


def test_hysure_lowers_its_objective(problem: dict) -> None:
    rows, cols, response = problem["rows"], problem["cols"], problem["response"]
    low, guide = problem["low"], problem["guide"]
    start = np.linalg.pinv(rows) @ low @ np.linalg.pinv(cols).T
    trust, weights = np.array([1.0, 0.5, 0.1]), (1.0, 1e-3)

    def cost(planes: np.ndarray) -> float:
        return objective(planes, low, guide, response, (rows, cols), trust, weights)

    def run(steps: int) -> np.ndarray:
        return minimise(
            start, low, guide, response, (rows, cols), trust, weights, steps=steps, mu=0.01
        )

    costs = [cost(run(steps)) for steps in (10, 100, 2000)]
    assert costs[2] < costs[1] < costs[0] < 0.2 * cost(start)
    best, rng = run(2000), np.random.default_rng(0)
    # No small step in any direction leads lower.
    for size in (1e-2, 1e-1):
        for _ in range(5):
            assert cost(best + size * rng.normal(size=best.shape)) > costs[2]


def test_hysure_halves_the_error_of_interpolation(new_cube) -> None:
    made = new_cube(members=6, noise=2.0)
    plain = ergas(made.truth, fuse_array(made.scene, Exp())[0].astype(float), ratio=4)
    fuser = prepare(create_model("hysure"), made.scene, made.facts)
    out = fuse_array(made.scene, fuser)[0].astype(float)
    assert ergas(made.truth, out, ratio=4) < 0.5 * plain


def test_updates_never_raise_the_cost() -> None:
    rng = np.random.default_rng(0)
    spectra, shares = rng.uniform(0, 1, (12, 4)), rng.uniform(0, 1, (4, 60))
    data = spectra @ shares + rng.uniform(0, 0.1, (12, 60))
    guess = rng.uniform(0.1, 1, (4, 60))
    costs = []
    for _ in range(30):
        costs.append(((data - spectra @ guess) ** 2).sum())
        guess = update_abundances(data, spectra, guess, 1)
        assert guess.min() >= 0
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(costs))
    assert costs[-1] < 0.2 * costs[0]
    other = rng.uniform(0.1, 1, (12, 4))
    costs = []
    for _ in range(30):
        costs.append(((data - other @ shares) ** 2).sum())
        other = update_spectra(data @ shares.T, shares @ shares.T, other, 1)
        assert other.min() >= 0
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(costs))


def test_factorisation_finds_the_pure_spectra() -> None:
    rng = np.random.default_rng(0)
    spectra = rng.uniform(0, 1, (20, 3))
    shares = np.concatenate([np.eye(3), rng.dirichlet(np.ones(3), 200).T], axis=1)
    data = spectra @ shares
    chosen = pure_spectra(data, 3)
    assert np.isclose(chosen[:, :, None], spectra[:, None]).all(axis=0).any(axis=0).all()
    assert pure_spectra(data, 10).shape[1] == 3
    found = factorize(data, 3, 0.5, steps=50, stop=0.0)
    best = np.abs(np.linalg.lstsq(found, spectra, rcond=None)[0])
    np.testing.assert_allclose(np.sort(best, axis=0)[-1], 1.0, atol=0.05)


def test_cnmf_is_not_negative(cube) -> None:
    fuser = prepare(create_model("cnmf"), cube.scene, cube.facts)
    assert fuser.spectra.min() >= 0
    chip = read_chip(cube.scene, Window(0, 0, 96, 96), 8)
    assert fuser.abundances(chip, 8).min() >= 0
    assert fuse_array(cube.scene, fuser)[0].min() >= 0


def test_the_sample_does_not_depend_on_the_cut(cube) -> None:
    whole = gather_pixels(read_chip(cube.scene, Window(0, 0, 96, 96), 8), cube.facts)
    total: dict[str, np.ndarray] = {}
    for row in (0, 40):
        for col in (0, 60):
            window = Window(row, col, 40 if row == 0 else 56, 60 if col == 0 else 36)
            part = gather_pixels(read_chip(cube.scene, window, 8), cube.facts)
            total = {k: total[k] + v if k in total else v for k, v in part.items()}
    np.testing.assert_array_equal(gathered(total), gathered(whole))
    assert gathered(whole).shape == (30, 24 * 24)
    assert whole["filled"].max() == 1.0


def test_cnmf_needs_the_size_of_the_scene(cube) -> None:
    facts = SceneFacts(cube.facts.alignment, cube.facts.ms_gains, 0.15)
    with pytest.raises(ModelError, match="size of the scene"):
        prepare(create_model("cnmf"), cube.scene, facts)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cnmf", {"members": 1}),
        ("fuse-sylvester", {"components": 0}),
        ("hysure", {"guide_weight": 0.0}),
        ("hysure", {"steps": 0}),
        ("hysure", {"variation": -1.0}),
    ],
)
def test_impossible_options(name: str, options: dict) -> None:
    with pytest.raises(OptionError):
        create_model(name, **options)
