"""Networks on cubes: a time that binds, and a training that is stopped and goes on."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import torch

from pansharp.adaptation.cube import adapt_cube
from pansharp.adaptation.cube_fit import CubeFit
from pansharp.adaptation.resume import Store, discard_all
from pansharp.engine import prepare
from pansharp.errors import ModelError
from pansharp.models.hyperspectral.basis import GsaBasis

if TYPE_CHECKING:
    from pathlib import Path


class _Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def small(new_cube):
    return new_cube(size=32, members=6, guides=2, seed=5)


@pytest.fixture(scope="module")
def basis(small):
    return prepare(GsaBasis(), small.scene, small.facts)


def _fit(small, basis, **options):
    torch.set_num_threads(1)
    told = {"steps": 30, "seed": 0, "device": "cpu", **options}
    return adapt_cube("rescnn-tiny", [small.scene], small.facts, basis, **told)


def _bits(network) -> list[torch.Tensor]:
    return [p.detach().clone() for p in network.network.parameters()]


def test_stopped_at_any_step_the_weights_are_the_same(
    small, basis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, told = _fit(small, basis)
    monkeypatch.setattr(Store, "offer", lambda self, state: self.save(state()))
    path = tmp_path / "state" / "product.pt"
    rng = random.Random(5)
    for _ in range(3):
        left = rng.randint(1, 8)

        def stop(done: float, total: float, label: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise _Killed

        with pytest.raises(_Killed):
            _fit(small, basis, checkpoint=path, progress=stop)
    resumed, again = _fit(small, basis, checkpoint=path)
    for one, two in zip(_bits(plain), _bits(resumed), strict=True):
        assert torch.equal(one, two)
    assert again["loss_first_last"] == told["loss_first_last"]
    with pytest.raises(ModelError, match="other options"):
        _fit(small, basis, checkpoint=path, seed=1)
    discard_all(path.parent)
    assert not path.parent.exists()


def test_time_cuts_the_steps(small, basis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CubeFit, "seconds_per_step", lambda self: 2.0)
    _, told = _fit(small, basis, steps=60, minutes=1.0)
    assert (told["steps"], told["steps_planned"]) == (30, 60)
    _, told = _fit(small, basis, steps=60, minutes=0.01)
    assert told["steps"] == 25
    monkeypatch.undo()
    plain, _ = _fit(small, basis)
    timed, told = _fit(small, basis, minutes=30.0)
    assert told["steps"] == 30
    assert all(torch.equal(a, b) for a, b in zip(_bits(plain), _bits(timed), strict=True))


def test_a_late_nan_keeps_the_last_good_state(
    small, basis, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, _ = _fit(small, basis, steps=30)
    real, calls = CubeFit.step, {"n": 0}

    def sick(self) -> bool:
        calls["n"] += 1
        # The first attempt fails at once, the second after 27 steps.
        return calls["n"] not in (1, 29) and real(self)

    monkeypatch.setattr(CubeFit, "step", sick)
    network, told = _fit(small, basis, steps=30)
    assert (told["steps"], told["best_step"]) == (30, 25)
    assert all(torch.isfinite(p).all() for p in _bits(network))
    assert not all(torch.equal(a, b) for a, b in zip(_bits(network), _bits(kept), strict=True))
