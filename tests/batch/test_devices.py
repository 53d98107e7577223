"""GPUs by Dask resources, with pretended devices."""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp.batch.devices import (
    cluster_gpus,
    device_for,
    gpu_cluster,
    resources_for,
    visible_gpus,
    worker_specs,
)
from pansharp.errors import OptionError
from pansharp.options import FuseOptions

if TYPE_CHECKING:
    from collections.abc import Iterator


def options(model: str, device: str = "auto") -> FuseOptions:
    return FuseOptions.checked(model=model, device=device)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, ("0", "1", "2")),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ("NoDevFiles",)),
        ("2,0", ("2", "0")),
        ("0,-1,1", ("0",)),
        (" GPU-8f2a , MIG-77/1/0 ", ("GPU-8f2a", "MIG-77/1/0")),
        ("1,1,2", ("1",)),
    ],
)
def test_visible_gpus(told: str | None, expected: tuple[str, ...]) -> None:
    environment = {} if told is None else {"CUDA_VISIBLE_DEVICES": told}
    assert visible_gpus(environment, lambda: 3) == expected


@given(st.text(max_size=30))
def test_any_list_of_devices(told: str) -> None:
    found = visible_gpus({"CUDA_VISIBLE_DEVICES": told}, lambda: 1)
    assert len(set(found)) == len(found)
    assert all(gpu and "," not in gpu for gpu in found)


def test_what_scenes_ask_for() -> None:
    gpu = {"GPU": 1}
    assert resources_for(options("rescnn"), 2) == gpu
    assert resources_for(options("auto", "cuda"), 2) == gpu
    assert resources_for(options("rescnn"), 0) == {}
    assert resources_for(options("rescnn", "cpu"), 2) == {}
    assert resources_for(options("mtf-glp-fs", "cuda"), 2) == {}
    assert device_for(gpu) == "cuda"
    assert device_for({}) == "cpu"
    with pytest.raises(OptionError, match="no worker offers a GPU"):
        resources_for(options("rescnn", "cuda"), 0)
    with pytest.raises(OptionError, match="one GPU of its own"):
        resources_for(options("rescnn", "cuda:1"), 2)


def test_specs() -> None:
    specs = worker_specs(("3", "GPU-5"), threads=2, memory=2**30, processors=1)
    assert list(specs) == ["gpu-0", "gpu-1", "cpu-0"]
    visible = [spec["options"]["env"]["CUDA_VISIBLE_DEVICES"] for spec in specs.values()]
    assert visible == ["3", "GPU-5", ""]
    assert all(spec["options"]["memory_limit"] == 2**30 for spec in specs.values())
    assert "resources" not in specs["cpu-0"]["options"]
    with pytest.raises(OptionError, match="no GPU"), gpu_cluster(()):
        pass


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    from distributed import Client

    with (
        gpu_cluster(("0", "GPU-fake"), threads=2, processors=1) as cluster,
        Client(cluster) as made,
    ):
        made.wait_for_workers(3)
        yield made


def held(seconds: float) -> tuple[str, float, float]:
    """The device of this process, and when it was used."""
    begin = time.time()
    time.sleep(seconds)
    return os.environ["CUDA_VISIBLE_DEVICES"], begin, time.time()


def test_one_network_for_each_gpu_at_a_time(client: Any) -> None:
    assert cluster_gpus(client) == 2
    asked = resources_for(options("rescnn"), cluster_gpus(client))
    networks = client.map(held, [0.2] * 8, pure=False, resources=asked)
    others = client.map(held, [0.05] * 9, pure=False)
    used = client.gather(networks)
    assert {device for device, _, _ in used} == {"0", "GPU-fake"}
    for gpu in ("0", "GPU-fake"):
        spans = sorted((begin, end) for device, begin, end in used if device == gpu)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
    # Scenes for processors were not kept waiting until the GPUs were free.
    rest = client.gather(others)
    assert min(begin for _, begin, _ in rest) < max(end for _, _, end in used)
    assert "" in {device for device, _, _ in rest}
