"""Authors' checkpoints: read without running them, loaded strictly, written with a card."""

from __future__ import annotations

import argparse
import os
import pickle

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from pansharp.errors import (
    ModelError,
    OptionError,
    UnknownModelError,
    UnknownSensorError,
    WeightsError,
    WriteError,
)
from pansharp.models import import_official
from pansharp.weights import load_weights, restore
from pansharp.weights.checkpoint import import_checkpoint, read_checkpoint


@pytest.fixture
def bugpan(official):
    return official("bugpan").official_state(bands=4, width=12)


@pytest.fixture
def saved(tmp_path, bugpan):
    path = tmp_path / "bugpan.pth"
    torch.save({"state_dict": bugpan, "epoch": 3}, path)
    return path


def _same(network, other):
    pairs = zip(network.state_dict().items(), other.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("network", ["bugpan", "smgunet", "cyformer"])
def test_an_official_checkpoint_becomes_a_weights_file(network, official, tmp_path):
    module = official(network)
    state, given = {
        "bugpan": lambda: (module.official_state(bands=8, width=12, gate="gate"), {}),
        "smgunet": lambda: (module.official_state(8, 1), {"arch": {"niter": 3}}),
        "cyformer": lambda: (module.official_state(module.small_arch()), {"value_scale": 1}),
    }[network]()
    source, target = tmp_path / "a.pth", tmp_path / "a.safetensors"
    torch.save(state, source)
    facts = {"ratio": 4.0, "value_scale": 2047, "terms": "MIT", "data": "theirs", **given}
    done = import_checkpoint(source, target, network, **facts)
    card, weights = load_weights(target)
    assert card == done.card
    assert card.digest == done.card.digest
    assert (card.form, card.terms, card.data) == ("published", "MIT", "theirs")
    assert card.task == ("hsi" if network == "cyformer" else "pan")
    assert card.recipe["checkpoint"] == "a.pth"
    assert len(card.recipe["sha256"]) == 64
    again = restore(card, weights)
    _same(again, import_official(network, state, ratio=4.0, **given.get("arch", {})))
    assert again.faithful
    assert card.arch["faithful"] is True
    if network == "smgunet":
        # No tensor tells it, so the card must.
        assert card.arch["niter"] == again.niter == 3


def test_the_sensor_tells_what_was_not_given(official, tmp_path):
    state = official("bugpan").official_state(bands=8, width=12)
    torch.save(state, tmp_path / "a.pth")
    done = import_checkpoint(tmp_path / "a.pth", tmp_path / "a.safetensors", "bugpan", sensor="WV3")
    card = done.card
    assert (card.sensor, card.ratio, card.value_scale) == ("worldview3", 4.0, 2047)
    assert card.band_names[0] == "coastal"
    assert card.wavelengths_nm[0] == pytest.approx(427.5)
    assert card.mtf_gains[0] == pytest.approx(0.325)
    assert any("taken to be those of WorldView-3: coastal" in note for note in done.notes)
    given = {"band_names": ("red", "green", "blue", "nir1"), "wavelengths_nm": (1e3, 2e3, 3e3, 4e3)}
    torch.save(official("bugpan").official_state(bands=4, width=12), tmp_path / "b.pth")
    other = import_checkpoint(
        tmp_path / "b.pth", tmp_path / "b.safetensors", "bugpan", sensor="wv3", ratio=4,
        value_scale=1, **given,
    ).card  # fmt: skip
    assert (other.band_names, other.wavelengths_nm) == tuple(given.values())
    assert other.value_scale == 1
    assert other.mtf_gains == pytest.approx((0.365, 0.36, 0.355, 0.335))


def test_lost_masks_are_told_in_notes_and_card(official, tmp_path):
    state = official("bugpan").official_state(bands=4, width=12, masks=False)
    source = tmp_path / "a.pth"
    torch.save(state, source)
    ids = set()
    for name in ("a.safetensors", "b.safetensors"):
        done = import_checkpoint(source, tmp_path / name, "bugpan", sensor="gf2")
        assert any("masks were random and are lost" in note for note in done.notes)
        assert any("masks were random and are lost" in note for note in done.card.recipe["notes"])
        ids.add(done.card.digest)
    assert len(ids) == 1


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("wrapped", ["plain", "entry", "prefix", "entry and prefix"])
def test_common_wrappers_are_undone_and_told(bugpan, tmp_path, wrapped, old):
    state = bugpan
    if "prefix" in wrapped:
        state = {f"module._orig_mod.{key}": tensor for key, tensor in state.items()}
    content = state
    if "entry" in wrapped:
        parameter = torch.nn.Parameter(torch.ones(2))
        optimiser = torch.optim.Adam([parameter])
        parameter.sum().backward()
        optimiser.step()
        content = {"model": state, "optimizer": optimiser.state_dict(), "epoch": 3}
    path = tmp_path / "a.pth"
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    found, notes = read_checkpoint(path)
    assert found.keys() == bugpan.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in bugpan.items())
    text = " ".join(notes)
    assert ("entry 'model'" in text) == ("entry" in wrapped)
    assert ("'module.'" in text and "'_orig_mod.'" in text) == ("prefix" in wrapped)


def test_safetensors_without_a_card_are_taken_with_one_refused(bugpan, tmp_path, weights_file):
    path = tmp_path / "a.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in bugpan.items()}, path)
    assert read_checkpoint(path)[0].keys() == bugpan.keys()
    with pytest.raises(WeightsError, match="weights file of pansharp already"):
        read_checkpoint(weights_file)


def test_several_state_dicts_must_be_chosen_from(bugpan, tmp_path):
    path = tmp_path / "a.pth"
    ema = {key: tensor + 1 for key, tensor in bugpan.items()}
    torch.save({"params": bugpan, "params_ema": ema}, path)
    with pytest.raises(
        WeightsError, match="2 state dicts; say which with --entry: params, params_"
    ):
        read_checkpoint(path)
    found, notes = read_checkpoint(path, "params_ema")
    assert torch.equal(found["proj_ms.0.bias"], bugpan["proj_ms.0.bias"] + 1)
    assert "entry 'params_ema'" in notes[0]
    with pytest.raises(WeightsError, match="no state dict 'parms'; did you mean 'params'"):
        read_checkpoint(path, "parms")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"args": argparse.Namespace(a=1)}, "(argparse.Namespace)"),
        ({"loss": np.float64(1)}, "multiarray.scalar"),
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (torch.ones(2), "holds a Tensor, not a state dict"),
        ([1, 2], "holds a list"),
        ({}, "its entries: none"),
        ({"epoch": 3, "lr": 0.1}, "its entries: epoch, lr"),
    ],
)
def test_checkpoints_that_hold_something_else(tmp_path, content, text):
    path = tmp_path / "a.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(path)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_malicious_pickle_is_not_run(tmp_path, bugpan):
    mark = tmp_path / "mark"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    files = {name: tmp_path / name for name in ("new.pth", "old.pth", "raw.pth", "raw.safetensors")}
    torch.save({"state_dict": bugpan, "x": Evil()}, files["new.pth"])
    torch.save(Evil(), files["old.pth"], _use_new_zipfile_serialization=False)
    for name in ("raw.pth", "raw.safetensors"):
        files[name].write_bytes(pickle.dumps(Evil()))
    for path in files.values():
        with pytest.raises(WeightsError) as caught:
            import_checkpoint(path, tmp_path / "o.safetensors", "bugpan", sensor="gf2")
        assert "\n" not in str(caught.value)
    assert not mark.exists()
    assert not (tmp_path / "o.safetensors").exists()
    # It would have worked on whoever loads it without care.
    pickle.loads(files["raw.pth"].read_bytes())
    assert mark.exists()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_checkpoints_are_one_line(saved, data):
    """Cut anywhere, or any byte changed: read as it was, or refused in one line."""
    blob = bytearray(saved.read_bytes())
    place = data.draw(st.integers(0, len(blob) - 1))
    if data.draw(st.booleans()):
        del blob[place:]
    else:
        blob[place] ^= data.draw(st.integers(1, 255))
    path = saved.with_name("damaged.pth")
    path.write_bytes(blob)
    text = ""
    try:
        read_checkpoint(path)
    except WeightsError as problem:
        text = str(problem)
    assert "\n" not in text


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"network": "bugpn"}, UnknownModelError, "did you mean 'bugpan'"),
        ({"network": "ssft"}, ModelError, "has no official weights"),
        ({"network": "smgunet"}, WeightsError, "it is not one of smgunet"),
        ({"network": "bugpan-small"}, WeightsError, "has the shape"),
        ({"sensor": "gf9"}, UnknownSensorError, "did you mean"),
        ({"sensor": None}, OptionError, "--ratio 4"),
        ({"sensor": None, "ratio": 4}, OptionError, "--value-scale 2047"),
        ({"ratio": 8}, WeightsError, "3 scales, those of a ratio of 4, not of 8"),
        ({"arch": {"retime": 4}}, OptionError, "did you mean 'retimes'"),
        ({"arch": {"retimes": "many"}}, WeightsError, "cannot be built from the checkpoint"),
        ({"band_names": ("blue", "red")}, WeightsError, "2 entries for 4 bands"),
        ({"task": "pam"}, WeightsError, "did you mean 'pan'"),
        ({"value_scale": -1}, WeightsError, "above 0"),
        ({"entry": "model"}, WeightsError, "no state dict 'model'"),
    ],
)
def test_wrong_arguments_are_one_line_and_write_nothing(saved, tmp_path, changes, error, text):
    given = {"network": "bugpan", "sensor": "gf2", **changes}
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(error) as caught:
        import_checkpoint(saved, tmp_path / "o.safetensors", given.pop("network"), **given)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_file_that_exists_is_kept(saved, tmp_path):
    target = tmp_path / "o.safetensors"
    target.write_text("mine")
    with pytest.raises(WriteError, match="pass --overwrite"):
        import_checkpoint(saved, target, "bugpan", sensor="gf2")
    assert target.read_text() == "mine"
    import_checkpoint(saved, target, "bugpan", sensor="gf2", overwrite=True)
    assert load_weights(target)[0].network == "bugpan"
    with pytest.raises(WriteError, match="does not exist"):
        import_checkpoint(saved, tmp_path / "no" / "o.safetensors", "bugpan", sensor="gf2")
    with pytest.raises(WeightsError, match="must end in"):
        import_checkpoint(saved, tmp_path / "o.pth", "bugpan", sensor="gf2")
