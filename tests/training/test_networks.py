"""Every network trains, in both forms, and its weights come back."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from pansharp.models.networks import get_network, list_networks
from pansharp.weights import load_weights, restore

#: What makes the large ones small enough; the layers are the same.
SMALL = {
    "bugpan": {"width": 16, "retimes": 2},
    "bugpan-static": {"width": 16, "retimes": 2},
    "cyformer": {"width": 18, "depths": (1,)},
    "hetssnet": {"stem": 4, "width": 16, "k": 4, "R": 2},
    "hetssnet-global": {"stem": 4, "width": 16, "k": 4, "R": 2},
    "hyfusion": {"width": 16, "growth": 16, "blocks": 1},
    "hyfusion-small": {"width": 16, "growth": 16, "blocks": 1},
    "hyfusion-tiny": {"width": 16, "growth": 16, "blocks": 1},
    "smgunet": {"width": 16, "dense_depth": 2},
    "ssft": {"width": 8, "stages": 1},
    "ssft-tilefft": {"width": 8, "stages": 1},
}


@pytest.mark.parametrize("form", ["published", "anchored"])
@pytest.mark.parametrize("name", list_networks())
def test_two_steps(name: str, form: str, small_set: Any, run_short: Any) -> None:
    path = small_set(items=3, side=32)
    preset = None if form == "published" else "quick"
    result = run_short(
        path, model=name, form=form, preset=preset, steps=2, rate=1e-3, arch=SMALL.get(name, {})
    )
    card, state = load_weights(result.last)
    assert (card.network, card.form, card.task) == (name, form, "pan")
    assert card.pan_bands == (1 if form == "published" else 2)
    assert card.recipe["steps"] == 2
    network = restore(card, state)
    with torch.inference_mode():
        guide, low = torch.rand(1, card.pan_bands, 32, 32), torch.rand(1, 4, 8, 8)
        up = torch.rand(1, 4, 32, 32)
        out = network(guide, low) if form == "published" else network.residual(guide, up)
    assert torch.isfinite(out).all()
    recipe = get_network(name).training
    assert recipe is not None
    if form == "published":
        assert card.recipe["loss"] == recipe.loss
    rows = (result.folder / "log.csv").read_text().splitlines()
    assert len(rows) == 3
    last = dict(zip(rows[0].split(","), rows[2].split(","), strict=True))
    assert math.isfinite(float(last["loss"]))
    assert float(last["ergas"]) > 0


def test_weights_change_and_the_loss_falls(small_set: Any, run_short: Any) -> None:
    path = small_set(items=12)
    # Epochs have 11 steps, and looks are 50 steps apart at least.
    result = run_short(path, steps=100, batch=4, patch=32, picture=True)
    rows = (result.folder / "log.csv").read_text().splitlines()
    columns = rows[0].split(",")
    table = [dict(zip(columns, row.split(","), strict=True)) for row in rows[1:]]
    assert [int(row["step"]) for row in table] == [0, 55, 100]
    assert float(table[2]["loss"]) < 0.9 * float(table[1]["loss"])
    assert float(table[2]["ergas"]) < float(table[0]["ergas"])
    assert result.best_step > 0
    assert (result.folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_cubes_train(write_cube: Any, run_short: Any) -> None:
    result = run_short(write_cube(), model="rescnn-tiny", steps=2, patch=16)
    card, state = load_weights(result.best)
    assert (card.task, card.ms_bands, card.ratio) == ("hsi", 20, 4)
    assert card.wavelengths_nm[0] == 450.0
    assert card.pan_bands >= 3
    assert "psnr" in result.scores["best"]
    restore(card, state)


def test_scenes_train(make_pair: Any, run_short: Any) -> None:
    first = make_pair(shape=(320, 320))
    second = make_pair(shape=(320, 320), seed=5, folder="second", nodata=0)
    result = run_short([first.ms, second.ms], validation=str(first.pan), form="anchored")
    card, _ = load_weights(result.best)
    assert card.band_names == ("blue", "green", "red", "nir")
    assert card.data.startswith("ms.tif (2 items)")
    # Fresh weights are the anchor.
    assert result.scores["before"]["ergas"] == pytest.approx(result.scores["mtf-glp-fs"]["ergas"])
