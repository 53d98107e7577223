"""Where weights are looked for, and what is said when they are not there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pansharp.errors import WeightsError
from pansharp.weights import (
    cache_folder,
    find_weights,
    list_weights,
    load_weights,
    places,
    save_weights,
)


@pytest.fixture
def cache(weights_file):
    folder = cache_folder()
    folder.mkdir(parents=True)
    shutil.copy(weights_file, folder / "Rescnn-GF2.safetensors")
    return folder


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(places, "shipped_folder", lambda: folder)
    return folder


def test_files_are_found_by_path_and_names_in_the_cache(weights_file, cache):
    assert find_weights(weights_file) == weights_file
    assert find_weights(str(weights_file)) == weights_file
    file = cache / "Rescnn-GF2.safetensors"
    for name in ("rescnn-gf2", "Rescnn-GF2", "rescnn-gf2.safetensors"):
        assert find_weights(name) == file


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rescnn-gf", "no weights 'rescnn-gf': did you mean 'Rescnn-GF2'"),
        ("zzz", "no weights 'zzz': choose one of: Rescnn-GF2"),
        ("some/rescnn-gf2.safetensors", "no such weights file; did you mean 'Rescnn-GF2'"),
        ("x" * 5000, "choose one of: Rescnn-GF2"),
        ("a\0b", "choose one of: Rescnn-GF2"),
        (".", "is a folder"),
    ],
)
def test_unknown_names_are_answered_with_near_ones(cache, name, text):
    with pytest.raises(WeightsError) as caught:
        find_weights(name)
    assert text in str(caught.value)


def test_nothing_installed_says_where_to_put_them():
    assert list_weights() == []
    with pytest.raises(WeightsError, match="no weights are installed") as caught:
        find_weights("rescnn")
    assert str(cache_folder()) in str(caught.value)
    assert not cache_folder().exists()


def test_a_name_for_two_files_is_refused_unless_they_are_equal(
    weights_file, cache, shipped, make_card, network
):
    shutil.copy(weights_file, shipped / "rescnn-gf2.safetensors")
    assert find_weights("rescnn-gf2") == shipped / "rescnn-gf2.safetensors"
    save_weights(shipped / "rescnn-gf2.safetensors", network.state_dict(), make_card(seed=1))
    with pytest.raises(WeightsError, match="means different files"):
        find_weights("rescnn-gf2")


def test_broken_files_are_listed_and_do_not_hide_the_others(weights_file, cache, shipped):
    blob = bytearray(weights_file.read_bytes())
    (cache / "cut.safetensors").write_bytes(blob[:-1])
    blob[-1] ^= 1
    (cache / "changed.safetensors").write_bytes(blob)
    (cache / "notes.txt").write_text("no weights")
    (cache / "folder.safetensors").mkdir()
    shutil.copy(weights_file, shipped / "zz.safetensors")
    found = {entry.name: entry for entry in list_weights()}
    assert list(found) == ["changed", "cut", "Rescnn-GF2", "zz"]
    assert "truncated" in found["cut"].problem
    assert "not what was saved" in found["changed"].problem
    assert found["cut"].card is None
    assert [found[name].where for name in ("Rescnn-GF2", "zz")] == ["cache", "shipped"]
    assert found["zz"].card == found["Rescnn-GF2"].card
    assert found["zz"].problem == ""
    # The cards alone do not show a changed tensor.
    quick = {entry.name: entry for entry in list_weights(check=False)}
    assert quick["changed"].card is not None
    assert quick["cut"].card is None


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "home/.cache/pansharp/weights"),
        ("linux", {"PANSHARP_CACHE": ""}, "home/.cache/pansharp/weights"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/pansharp/weights"),
        ("linux", {"XDG_CACHE_HOME": "/xdg", "PANSHARP_CACHE": "/own"}, "/own/weights"),
        ("linux", {"PANSHARP_CACHE": "~/own"}, "home/own/weights"),
        ("darwin", {}, "home/Library/Caches/pansharp/weights"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/pansharp/Cache/weights"),
    ],
)
def test_the_cache_folder_of_each_platform(tmp_path, monkeypatch, platform, variables, folder):
    for name in ("PANSHARP_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    expected = Path(folder) if folder.startswith("/") else tmp_path / folder
    assert cache_folder() == expected


def test_the_page_names_every_field_and_its_example_runs(
    make_card, network, cache, tmp_path, monkeypatch
):
    page = (Path(__file__).parents[2] / "docs" / "weights.md").read_text("utf-8")
    for key in make_card().to_dict():
        assert f"`{key}`" in page
    save_weights(cache / "rescnn-tiny-4.safetensors", network.state_dict(), make_card())
    monkeypatch.chdir(tmp_path)
    example = page.split("```python\n")[1].split("```")[0]
    found = {}
    exec(example, found)
    assert "trained on gaofen2, the scene is of geoeye1" in found["notes"][0]
    assert load_weights("mine.safetensors")[0].data == "three scenes of my drone"


def test_shipped_weights_are_sound():
    """Whatever lies in the package is whole, small, and says its terms."""
    folder = places.shipped_folder()
    assert folder.parent.is_dir()
    assert folder.parent.joinpath("sensors").is_dir()
    for entry in list_weights():
        assert entry.problem == ""
        assert entry.card.terms
        assert entry.path.stat().st_size < 1_000_000
