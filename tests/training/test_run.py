"""A run as a whole: files, cards, resuming, losses that are not finite, bad data."""

from __future__ import annotations

import json
import math
import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from pansharp.errors import (
    ModelError,
    OptionError,
    PansharpError,
    PansharpWarning,
    SceneError,
    WeightsError,
    WriteError,
)
from pansharp.training.data import Sampler
from pansharp.training.judge import autocast
from pansharp.training.state import load_state, write_atomic
from pansharp.weights import load_weights, read_card, restore

if TYPE_CHECKING:
    from pathlib import Path


def test_the_card_is_complete(small_set: Any, run_short: Any) -> None:
    path = small_set("train_wv3.h5", bands=8, items=11)
    result = run_short(path, terms="CC BY 4.0", seed=5, arch={"blocks": 1})
    card, state = load_weights(result.best)
    assert card.network == "rescnn-tiny"
    assert card.arch["blocks"] == 1
    assert (card.ms_bands, card.pan_bands, card.ratio) == (8, 1, 4.0)
    assert (card.sensor, card.value_scale) == ("worldview3", 2047.0)
    assert card.band_names[0] == "coastal"
    assert card.wavelengths_nm[0] == 427.5
    assert card.mtf_gains[0] == 0.325
    assert card.data == "train_wv3.h5 (11 items): 10 cells, 1 more held out"
    assert card.terms == "CC BY 4.0"
    assert card.seed == 5
    assert card.recipe["preset"] == "quick"
    assert card.recipe["grid"] == "toolbox"
    assert card.recipe["batch"] == 2
    assert set(card.scores["validation"]) == {"ergas", "sam", "q2n"}
    assert set(card.scores["mtf-glp-fs"]) == {"ergas", "sam", "q2n"}
    assert restore(card, state).ms_bands == 8
    assert str(path.parent) not in json.dumps(card.to_dict())
    bare = small_set("full_qb.h5", items=2, side=256, reference=False)
    degraded = read_card(run_short(bare, output="degraded", steps=1).best)
    assert degraded.recipe["grid"] == "corner"
    assert str(bare.parent) not in json.dumps(degraded.to_dict())


def test_files_of_a_run(small_set: Any, run_short: Any, tmp_path: Path) -> None:
    run_short(small_set(items=3))
    names = {path.name for path in (tmp_path / "run").iterdir()} - {"events"}
    assert names == {"best.safetensors", "last.safetensors", "log.csv", "run.json", "state.pt"}
    with pytest.raises(WriteError, match="go on with --resume, or begin anew with --overwrite"):
        run_short(small_set(items=3))
    run_short(small_set(items=3), overwrite=True, steps=2)


def test_same_seed_same_weights(small_set: Any, run_short: Any) -> None:
    path = small_set(items=3)
    states = [
        load_weights(run_short(path, output=f"run{n}", seed=seed, workers=workers).last)[1]
        for n, (seed, workers) in enumerate([(1, 0), (1, 3), (2, 0)])
    ]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert any(not torch.equal(states[0][k], states[2][k]) for k in states[0])


def test_a_finished_run_is_resumed_without_a_step(small_set: Any, run_short: Any) -> None:
    first = run_short(small_set(items=3))
    digest = read_card(first.last).digest
    again = run_short(model=None, resume=True)
    assert read_card(again.last).digest == digest
    assert again.scores == first.scores
    with pytest.raises(OptionError, match=r"--batch was 2 and is 3: a resumed run must go on"):
        run_short(model=None, resume=True, batch=3)


def test_there_must_be_something_to_resume(
    small_set: Any, run_short: Any, tmp_path: Path, make_research: Any, write_h5: Any
) -> None:
    with pytest.raises(OptionError, match="holds no training that could be resumed"):
        run_short(small_set(items=3), resume=True)
    run_short(small_set(items=3))
    state = tmp_path / "run" / "state.pt"
    whole = state.read_bytes()
    write_h5("train_qb.h5", make_research(items=4))
    with pytest.raises(ModelError, match="the data is not what it was"):
        run_short(model=None, resume=True)
    small_set(items=3)
    for damaged in (whole[: len(whole) // 2], b"", b"\x80\x04\x95garbage", b"nonsense"):
        state.write_bytes(damaged)
        with pytest.raises(WeightsError, match="is damaged or no state of a training"):
            run_short(model=None, resume=True)
    torch.save({"layout": 99}, state)
    with pytest.raises(WeightsError, match="another version"):
        run_short(model=None, resume=True)
    state.unlink()
    with pytest.raises(WeightsError, match="there is no run to resume"):
        run_short(model=None, resume=True)


def test_a_state_with_code_is_refused(tmp_path: Path) -> None:
    class Danger:
        def __reduce__(self) -> tuple[Any, ...]:
            return (print, ("executed",))

    torch.save({"layout": 1, "x": Danger()}, tmp_path / "state.pt")
    with pytest.raises(WeightsError, match="is damaged or no state"):
        load_state(tmp_path / "state.pt")


def test_files_appear_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"one")
    write_atomic(tmp_path / "a", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"two"
    with pytest.raises(WriteError, match="cannot write"):
        write_atomic(tmp_path / "absent" / "a", b"")


def test_nan_once_lowers_the_rate(
    small_set: Any, run_short: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Sampler.batch
    bad = {"left": 1}

    def broken(self: Sampler, step: int, rank: int = 0, world: int = 1) -> Any:
        batch = draw(self, step, rank, world)
        if step == 2 and bad["left"]:
            bad["left"] -= 1
            batch.target.fill_(math.nan)
        return batch

    monkeypatch.setattr(Sampler, "batch", broken)
    with pytest.warns(PansharpWarning, match=r"not finite in step 3: back to step 0 with 0.5"):
        result = run_short(small_set(items=3))
    rows = (result.folder / "log.csv").read_text().splitlines()
    columns = rows[0].split(",")
    rate = [float(row.split(",")[columns.index("rate")]) for row in rows[1:]]
    state = load_state(result.folder / "state.pt")
    assert state["factor"] == 0.5
    assert state["step"] == 4
    assert rate[-1] < rate[0]
    assert all(torch.isfinite(v).all() for v in load_weights(result.last)[1].values())


def test_nan_twice_ends_with_the_last_good_state(
    small_set: Any, run_short: Any, tmp_path: Path
) -> None:
    with (
        pytest.warns(PansharpWarning, match="not finite"),
        pytest.raises(ModelError, match=r"lowered once: stopped; 'last.safetensors' holds"),
    ):
        run_short(small_set(items=3), rate=1e30)
    card, state = load_weights(tmp_path / "run" / "last.safetensors")
    assert all(torch.isfinite(value).all() for value in state.values())
    assert card.scores["step"] == 0


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains(precision: str, small_set: Any, run_short: Any) -> None:
    result = run_short(small_set(items=3), precision=precision, steps=20)
    card, state = load_weights(result.last)
    assert card.recipe["precision"] == precision
    assert all(value.dtype == torch.float32 for value in state.values())
    assert result.scores["last"]["ergas"] != result.scores["before"]["ergas"]


def test_autocast_is_off_for_float32() -> None:
    with autocast("cpu", "float32"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with autocast("cpu", "bf16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_values_must_fit_the_scale(make_research: Any, write_h5: Any, run_short: Any) -> None:
    images = make_research(items=3)
    bright = type(images)(*(plane * 20 for plane in images))
    path = write_h5("bright_wv3.h5", bright)
    with pytest.raises(SceneError, match=r"above the scale of 2047 \(largest number of World"):
        run_short(path)
    run_short(path, scale=65535.0, steps=1)
    unit = type(images)(*(plane / 2047 for plane in images))
    with pytest.raises(SceneError, match=r"below 1 % of the scale of 2047 .*give --scale 1"):
        run_short(write_h5("unit_wv3.h5", unit), output="unit")
    result = run_short(write_h5("unit.h5", unit), output="unit", steps=1)
    assert read_card(result.best).value_scale == 1.0
    result = run_short(write_h5("plain.h5", images), output="plain", steps=1)
    assert read_card(result.best).value_scale == 2047.0
    with pytest.raises(OptionError, match="--scale is -1"):
        run_short(path, output="bad", scale=-1.0)


def test_a_validation_set_is_checked_too(small_set: Any, run_short: Any) -> None:
    path = small_set(items=3)
    with pytest.raises(PansharpError, match="differ: 8 and 4 bands"):
        run_short(path, validation=str(small_set("v_wv3.h5", bands=8, items=1)))
    result = run_short(path, validation=str(small_set("v_qb.h5", items=2, side=128)))
    card = read_card(result.best)
    assert card.scores["on"] == "v_qb.h5 (2 items): 2 cells"
    assert card.data == "train_qb.h5 (3 items): 3 cells"


def test_holes_in_the_truth_are_left_out(make_research: Any, write_h5: Any, run_short: Any) -> None:
    images = make_research(items=3)
    gt = images.gt.copy()
    gt[:, :, :20] = np.nan
    with pytest.raises(PansharpError, match="NaN or infinite"):
        run_short(write_h5("holes_qb.h5", images, gt=gt))


def test_what_does_not_go_together(
    small_set: Any, run_short: Any, write_cube: Any, make_pair: Any
) -> None:
    cube = write_cube()
    with pytest.raises(OptionError, match="--form anchored is for PAN and MS"):
        run_short(cube, form="anchored")
    with pytest.raises(PansharpError, match="'ssft-tilefft' is not for hyperspectral cubes"):
        run_short(cube, model="ssft-tilefft")
    uneven = make_pair(shape=(300, 300), ratio=2.5)
    with (
        pytest.warns(PansharpWarning, match="not whole"),
        pytest.raises(OptionError, match=r"the ratio is 2.5; .* take --form anchored"),
    ):
        run_short(uneven.ms)
    with pytest.warns(PansharpWarning, match="not whole"):
        run_short(uneven.ms, form="anchored", steps=1)
    with pytest.raises(PansharpError, match="has no option 'widht'"):
        run_short(small_set(items=3), output="x", arch={"widht": 3})


def test_without_matplotlib_there_is_no_picture(
    small_set: Any, run_short: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    # Other tests may have made the package's log quieter.
    caplog.set_level("WARNING", logger="pansharp")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run_short(small_set(items=3), picture=True, steps=1)
    assert not (result.folder / "curves.png").exists()
    assert "matplotlib is not installed" in caplog.text


def test_events_for_tensorboard(small_set: Any, run_short: Any) -> None:
    place = "tensorboard.backend.event_processing.event_accumulator"
    accumulator = pytest.importorskip(place)
    result = run_short(small_set(items=3))
    events = accumulator.EventAccumulator(str(result.folder / "events")).Reload()
    found = {event.step: event.value for event in events.Scalars("ergas")}
    assert found[0] == pytest.approx(result.scores["before"]["ergas"])
    assert found[4] == pytest.approx(result.scores["last"]["ergas"])


def test_messages_are_one_line(run_short: Any, tmp_path: Path) -> None:
    with pytest.raises(PansharpError) as caught:
        run_short(tmp_path / "absent.h5")
    assert re.fullmatch(r"[^\n]+", str(caught.value))
