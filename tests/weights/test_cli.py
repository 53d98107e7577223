"""`pansharp weights` as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pansharp
from pansharp.weights import cache_folder, load_weights, restore


@pytest.fixture
def cli(tmp_path):
    """Run the command line in a process of its own, in an empty folder."""
    home = str(Path(pansharp.__file__).parents[1])
    work = tmp_path / "work"
    work.mkdir()

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-P", "-m", "pansharp", "weights", *map(str, arguments)],
            capture_output=True, text=True, check=False, timeout=120, cwd=work,
            env={**os.environ, "PYTHONPATH": home},
        )  # fmt: skip

    run.work = work
    return run


def _failed(done, text):
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert text in lines[0]


def test_import_inspect_list_and_the_output_of_the_authors_code(cli, official):
    """A checkpoint goes all the way, and the network still gives what the authors' code gave."""
    module = official("smgunet")
    case = json.loads(module.DATA.read_text())[2]
    assert (case["bands"], case["guides"], case["niter"]) == (8, 1, 1)
    state = {f"module.{k}": v for k, v in module.official_state(8, 1, case["scalars"]).items()}
    torch.save({"state_dict": state}, cli.work / "theirs.pth")
    done = cli(
        *("import", "theirs.pth", "-m", "smgunet", "-o", "ours.safetensors", "--sensor", "wv3"),
        *("-O", "niter=1", "--terms", "CC BY 4.0", "--data", "formula"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ours.safetensors: smgunet, id ")
    assert "entry 'state_dict'" in done.stderr
    assert "'module.', which was dropped" in done.stderr
    card, weights = load_weights(cli.work / "ours.safetensors")
    assert card.id in done.stdout
    low, guide = module.official_inputs(8, 1)
    with torch.no_grad():
        values = restore(card, weights)(guide, low).flatten()[module.picked(20 * 28 * 8)]
    expected = torch.tensor(case["values"], dtype=torch.float64)
    assert (values - expected).abs().max() < 5e-6 * case["std"]

    text = cli("inspect", "ours.safetensors").stdout
    for part in (
        card.id,
        "digest checked",
        "CC BY 4.0",
        "worldview3",
        "229941 values",
        "arch niter",
    ):
        assert part in text
    document = json.loads(cli("inspect", "ours.safetensors", "--json").stdout)
    assert document["digest"] == card.digest
    assert document["card"] == card.to_dict()
    assert document["tensors"]["prior.one.weight"] == {"dtype": "F32", "shape": [8, 8, 1, 1]}

    folder = cache_folder()
    folder.mkdir(parents=True)
    shutil.copy(cli.work / "ours.safetensors", folder / "smgu-wv3.safetensors")
    blob = (folder / "smgu-wv3.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(blob[:-5])
    lines = cli("list").stdout.splitlines()
    assert lines[1].split()[0] == "cut"
    assert "BROKEN" in lines[1]
    assert lines[2].split()[:8] == [
        *("smgu-wv3", "cache", "smgunet", "published", "8", "4", "worldview3", card.id)
    ]
    entries = json.loads(cli("list", "--json").stdout)
    assert [entry["name"] for entry in entries] == ["cut", "smgu-wv3"]
    assert entries[0]["card"] is None
    assert entries[1]["card"] == card.to_dict()
    assert cli("inspect", "smgu-wv3").returncode == 0
    _failed(cli("inspect", "smgu-wv4"), "did you mean 'smgu-wv3'")
    _failed(cli("inspect", folder / "cut.safetensors"), "truncated")


def test_import_as_json(cli, official):
    torch.save(official("bugpan").official_state(bands=4, width=12), cli.work / "a.pth")
    done = cli(
        *("import", "a.pth", "-m", "bugpan", "-o", "o.safetensors", "--sensor", "gf2"),
        *("--bands", "red,green,blue,nir", "--value-scale", "1023", "--json", "-q"),
    )
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["card"]["band_names"] == ["red", "green", "blue", "nir"]
    assert document["card"]["value_scale"] == 1023
    # The wavelengths follow the names, not the order of the sensor.
    waves = document["card"]["wavelengths_nm"]
    assert waves[0] > waves[1] > waves[2]


def test_bad_checkpoints_and_files(cli, official, weights_file):
    mark = cli.work / "mark"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    state = official("bugpan").official_state(bands=4, width=12)
    torch.save({"state_dict": state, "x": Evil()}, cli.work / "evil.pth")
    (cli.work / "page.pth").write_text("<html>not found</html>")
    torch.save({k: v for k, v in state.items() if k != "proj_pan.1.bias"}, cli.work / "less.pth")
    torch.save({**state, "more": torch.ones(1)}, cli.work / "more.pth")
    options = ("-m", "bugpan", "-o", "o.safetensors", "--sensor", "gf2")
    _failed(cli("import", "evil.pth", *options), "could run code")
    _failed(cli("import", "page.pth", *options), "no PyTorch checkpoint")
    _failed(cli("import", "none.pth", *options), "none.pth: no such weights file")
    _failed(cli("import", "less.pth", *options), "lacks 1 tensors")
    _failed(cli("import", "more.pth", *options), "'more'")
    _failed(cli("import", weights_file, *options), "weights file of pansharp already")
    _failed(cli("inspect", "evil.pth"), "import it: pansharp weights import")
    assert not mark.exists()
    assert not (cli.work / "o.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--ratio", "x"), "--ratio is 'x'; give a number"),
        (("--wavelengths", "a,b"), "--wavelengths is 'a,b'; give nanometres"),
        (("-O", "niter"), "give KEY=VALUE"),
    ],
)
def test_wrong_options(cli, arguments, text):
    _failed(cli("import", "a.pth", "-m", "bugpan", "-o", "o.safetensors", *arguments), text)


def test_nothing_installed(cli):
    done = cli("list")
    assert done.returncode == 0
    assert done.stdout.split() == [
        *("name", "from", "network", "form", "bands", "ratio", "sensor", "id", "terms")
    ]
    assert f"put files into {cache_folder()}" in done.stderr
    assert json.loads(cli("list", "--json").stdout) == []


@pytest.mark.parametrize("command", ["list", "inspect", "import"])
def test_every_command_shows_an_example(cli, command):
    text = cli(command, "--help").stdout
    assert f"pansharp weights {command}" in text.split("Example")[1]
    assert "--json" in text
    assert "--verbose" in text


def test_usage_errors(cli):
    assert cli("lst").returncode == 2
    assert cli("inspect").returncode == 2
    assert cli("import", "a.pth").returncode == 2
