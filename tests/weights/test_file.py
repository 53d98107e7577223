"""Writing and reading weights files, bit by bit."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from pansharp.errors import WeightsError, WriteError
from pansharp.models.networks import full_arch
from pansharp.weights import load_weights, read_card, save_weights, verify


def test_round_trip_is_bit_equal(make_card, network, tmp_path):
    path = tmp_path / "w.safetensors"
    state = network.state_dict()
    digest = save_weights(path, state, make_card())
    card, found = load_weights(path)
    assert card == replace(make_card(), arch=full_arch("rescnn-tiny", {}))
    assert card.digest == digest
    assert len(digest) == 64
    assert found.keys() == state.keys()
    for key, tensor in state.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


def test_every_kind_of_tensor_is_kept(make_card, tmp_path):
    path = tmp_path / "w.safetensors"
    base = torch.randn(6, 5)
    state = {
        "channels": torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last),
        "turned": base.T,
        "shared": base,
        "view": base[2:4],
        "half": torch.randn(3).half(),
        "brain": torch.randn(3).bfloat16(),
        "double": torch.randn(3, dtype=torch.float64),
        "whole": torch.tensor(2**40),
        "flags": torch.tensor([True, False]),
        "nothing": torch.zeros(0, 4),
        "minus infinity": torch.full((2,), -torch.inf),
        'ünïcode " \\ \n': torch.ones(1),
        "learnt": torch.nn.Parameter(torch.ones(2)),
    }
    save_weights(path, state, make_card(data='Ünïcode, "quotes" and \\ \u2028'))
    card, found = load_weights(path)
    assert card.data == 'Ünïcode, "quotes" and \\ \u2028'
    for key, tensor in state.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)
        assert not found[key].requires_grad
    assert verify(path).shapes["turned"] == ("F32", (5, 6))


def test_equal_content_has_equal_bytes_and_other_content_another_digest(
    make_card, network, tmp_path
):
    state = network.state_dict()
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    digest = save_weights(one, state, make_card())
    turned = dict(reversed(state.items()))
    assert save_weights(two, turned, replace(make_card(), digest="x")) == digest
    assert one.read_bytes() == two.read_bytes()
    first = next(iter(state))
    others = [
        (state, make_card(seed=8)),
        (state, make_card(terms="CC BY 4.0")),
        ({**state, first: -state[first]}, make_card()),
        ({**state, first: state[first].double()}, make_card()),
        ({**state, first: state[first].flatten()}, make_card()),
        ({(k if k != first else "renamed"): v for k, v in state.items()}, make_card()),
    ]
    digests = {save_weights(two, *other) for other in others}
    assert len(digests - {digest}) == len(others)


def test_saving_replaces_whole_files_and_leaves_nothing_else(make_card, network, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, network.state_dict(), make_card())
    before = path.read_bytes()
    with pytest.raises(WeightsError, match="NaN"):
        save_weights(path, {"x": torch.tensor(float("nan"))}, make_card())
    assert path.read_bytes() == before
    save_weights(path, {"x": torch.ones(1)}, make_card())
    assert list(load_weights(path)[1]) == ["x"]
    assert os.listdir(tmp_path) == ["w.safetensors"]


@pytest.mark.parametrize(
    ("name", "state", "changes", "text"),
    [
        ("w.pth", {"x": torch.ones(1)}, {}, "must end in '.safetensors'"),
        ("w.safetensors", {}, {}, "empty"),
        ("w.safetensors", {"x": [1.0]}, {}, "'x' of the state dict is a list"),
        ("w.safetensors", {3: torch.ones(1)}, {}, "'3' of the state dict"),
        ("w.safetensors", {"x": torch.eye(3).to_sparse()}, {}, "sparse tensor"),
        ("w.safetensors", {"x": torch.ones(1)}, {"arch": {"widht": 8}}, "did you mean 'width'"),
    ],
)
def test_what_cannot_be_saved_is_one_line(make_card, tmp_path, name, state, changes, text):
    with pytest.raises(WeightsError) as caught:
        save_weights(tmp_path / name, state, make_card(**changes))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_missing_is_an_error_of_writing(make_card, tmp_path):
    with pytest.raises(WriteError, match="cannot write the weights: No such file"):
        save_weights(tmp_path / "no" / "w.safetensors", {"x": torch.ones(1)}, make_card())


def test_the_card_is_read_without_torch_and_without_the_tensors(weights_file, run_python):
    whole = read_card(weights_file)
    assert whole.network == "rescnn-tiny"
    script = (
        "import sys; from pansharp.weights import read_card, list_weights, verify\n"
        f"print(read_card({str(weights_file)!r}).digest, verify({str(weights_file)!r}).card.id)\n"
        "print('torch' in sys.modules)"
    )
    assert run_python(script).stdout.split() == [whole.digest, whole.id, "False"]
    # A byte of a tensor is not looked at by the one, and found by the others.
    blob = bytearray(weights_file.read_bytes())
    blob[-1] ^= 1
    weights_file.write_bytes(blob)
    assert read_card(weights_file) == whole
    for read in (load_weights, verify):
        with pytest.raises(WeightsError, match="not what was saved"):
            read(weights_file)


def _refused(path):
    """The one line with which a file is refused."""
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


_MANY = settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@_MANY
@given(data=st.data())
def test_any_changed_byte_is_found(weights_file, data):
    blob = bytearray(weights_file.read_bytes())
    header = 8 + int.from_bytes(blob[:8], "little")
    # Half of the flips in the header, which is the smaller part.
    place = data.draw(st.integers(0, header - 1) | st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    changed = weights_file.with_name("changed.safetensors")
    changed.write_bytes(blob)
    _refused(changed)


@_MANY
@given(data=st.data())
def test_any_truncation_or_addition_is_found(weights_file, data):
    blob = weights_file.read_bytes()
    changed = weights_file.with_name("changed.safetensors")
    keep = data.draw(st.integers(0, len(blob) - 1))
    changed.write_bytes(blob[:keep])
    text = _refused(changed)
    assert "truncated" in text or keep < 10
    changed.write_bytes(blob + data.draw(st.binary(min_size=1, max_size=20)))
    assert "more than its header says" in _refused(changed)


def _more_entries(text):
    return text.replace('{"__metadata__":{', '{"__metadata__":{"more":"x",')


def _twice(text):
    return text.replace('{"__metadata__":', '{"__metadata__":{"pansharp":"x"},"__metadata__":')


def _escaped(text):
    r"""The same card, spelt otherwise: ``\u0061`` is an a."""
    return text.replace("a scene of", "\\\\u0061 scene of")


@pytest.mark.parametrize(
    "change",
    [
        *(lambda text: text + "\n", lambda text: text + "\t", lambda text: " " + text),
        *(lambda text: text.replace(":", ": "), _more_entries, _twice, _escaped),
        lambda text: text.replace("{", '{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},', 1),
    ],
)
def test_a_header_that_means_the_same_is_refused_too(weights_file, change):
    """Nothing but what was written is taken, also where JSON sees no difference."""
    blob = weights_file.read_bytes()
    length = int.from_bytes(blob[:8], "little")
    text = blob[8 : 8 + length].decode().rstrip()
    path = weights_file.with_name("changed.safetensors")
    for new, known in ((text, True), (change(text), False)):
        header = new.encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + blob[8 + length :])
        if known:
            assert load_weights(path)[0].seed == 7
        else:
            assert new != text
            _refused(path)


@_MANY
@given(blob=st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_line(tmp_path, blob):
    path = tmp_path / "any.safetensors"
    path.write_bytes(blob)
    _refused(path)
    path.write_bytes(struct.pack("<Q", len(blob) + 1) + b"{" + blob)
    _refused(path)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@_MANY
@given(data=st.data())
def test_any_card_is_taken_or_refused_in_one_line(make_card, tmp_path, data):
    """A header with a right form and any content, as another program might write it."""
    content = make_card().to_dict()
    for key in data.draw(st.lists(st.sampled_from(sorted(content)), max_size=3)):
        content[key] = data.draw(_VALUES)
    entry = {"layout": 1, "digest": "0" * 64, "card": content}
    if data.draw(st.booleans()):
        entry[data.draw(st.sampled_from(["layout", "digest", "card"]))] = data.draw(_VALUES)
    text = json.dumps(entry, separators=(",", ":"), sort_keys=False)
    path = tmp_path / "other.safetensors"
    path.write_bytes(save({"x": torch.ones(2)}, {"pansharp": text}))
    _refused(path)


def _with_metadata(path, metadata):
    path.write_bytes(save({"x": torch.ones(2)}, metadata))


def test_a_newer_layout_is_told(tmp_path):
    path = tmp_path / "new.safetensors"
    _with_metadata(path, {"pansharp": '{"layout":2,"more":1}'})
    assert "layout 2, this pansharp reads 1" in _refused(path)


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        (None, "no card of pansharp"),
        ({"format": "pt"}, "import it: pansharp weights import"),
        ({"pansharp": "{"}, "its card is not what was written"),
        ({"pansharp": "[" * 100_000}, "its card is not what was written"),
        ({"pansharp": "3"}, "its card is not what was written"),
        ({"pansharp": '{"layout":1}'}, "its card is not what was written"),
    ],
)
def test_foreign_safetensors(tmp_path, metadata, text):
    path = tmp_path / "foreign.safetensors"
    _with_metadata(path, metadata)
    assert text in _refused(path)


@pytest.mark.parametrize(
    ("name", "start", "text"),
    [
        ("a.pth", b"PK\x03\x04 zip", "PyTorch checkpoint or another zip archive; import it"),
        ("a.safetensors", b"PK\x03\x04 zip", "import it: pansharp weights import"),
        ("a.pt", b"\x80\x02\x8a\x0a", "a pickle, such as an old PyTorch checkpoint; import it"),
        ("a.pt", b"anything", "if it is a checkpoint, import it"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("a.tif", b"II*\x00", "TIFF"),
        ("a.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        ("a.safetensors", b"<html>" * 20, "not safetensors"),
        ("a.safetensors", b"", "is empty"),
        ("a.safetensors", b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "no card of pansharp"),
        ("a.safetensors", b"\x02\x00\x00\x00\x00\x00\x00\x00{", "truncated"),
        ("a.safetensors", struct.pack("<Q", 2**63) + b"{}", "not safetensors"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path, name, start, text):
    path = tmp_path / name
    path.write_bytes(start)
    assert text in _refused(path)


def test_missing_files_and_folders(tmp_path):
    assert "no such weights file" in _refused(tmp_path / "no.safetensors")
    assert "folder" in _refused(tmp_path)
    long = tmp_path / ("x" * 300 + ".safetensors")
    assert "cannot be read" in _refused(long)


def test_a_pickle_is_not_run(tmp_path):
    mark = tmp_path / "mark"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    for old in (False, True):
        path = tmp_path / "evil.safetensors"
        torch.save(Evil(), path, _use_new_zipfile_serialization=not old)
        assert "import it" in _refused(path)
    assert not mark.exists()
