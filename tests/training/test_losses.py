"""Losses: values that can be computed by hand, and pixels that do not count."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pansharp.errors import OptionError
from pansharp.models import build_network
from pansharp.training.losses import LOSSES, Objective


class Constant(nn.Module):
    """Answers with what it was given, whatever it sees."""

    global_branch = None

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer)

    def forward(self, guide: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        return self.answer

    def residual(self, guide: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return self.answer

    def pyramid(self, guide: torch.Tensor, low: torch.Tensor) -> list[torch.Tensor]:
        return [torch.nn.functional.avg_pool2d(self.answer, 2), self.answer]


def inputs(side: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, side, side, generator=generator)
    guide = torch.rand(2, 1, side, side, generator=generator)
    return guide, torch.rand(2, 3, side // 4, side // 4, generator=generator), target


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_perfect_answers_cost_nothing(loss: str) -> None:
    guide, image, target = inputs()
    terms = Objective(Constant(target.clone()), loss)(guide, image, target, None)
    total = float(sum(t.detach() for t in terms.values()))
    # BUGPan's pixel term is rounded at 1e-3; its coarse target is bicubic, not a mean.
    least = {"bugpan": 1e-3 + 1e-2}.get(loss, 1e-6)
    assert -1e-6 <= total <= least


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_invalid_pixels_have_no_gradient(loss: str) -> None:
    guide, image, target = inputs()
    valid = torch.ones(2, 1, 8, 8, dtype=torch.bool)
    valid[:, :, :4, :4] = False
    network = Constant(target + 0.1)
    terms = Objective(network, loss)(guide, image, target, valid)
    sum(terms.values()).backward()
    slope = network.answer.grad
    assert slope is not None
    assert slope[:, :, :4, :4].abs().max() == 0
    assert slope[:, :, 4:, 4:].abs().max() > 0


def test_values_by_hand() -> None:
    guide, image, target = inputs()
    network = Constant(target + 0.25)

    def value(loss: str) -> dict[str, float]:
        terms = Objective(network, loss)(guide, image, target, None)
        return {key: float(term.detach()) for key, term in terms.items()}

    assert value("l1") == pytest.approx({"l1": 0.25})
    assert value("residual-l1") == pytest.approx({"l1": 0.25})
    assert value("hetssnet") == pytest.approx({"l1": 0.25})
    # A constant error has all its power at zero frequency: 0.25 * sqrt(64) of 64 values.
    assert value("l1-fft") == pytest.approx({"l1": 0.25, "fft": 0.05 * 0.25 * 8 / 64}, rel=1e-4)
    # rfft2 of 8 x 8 has 8 * 5 values and is not unitary.
    fine = 0.01 * 0.25 * 64 / 40 + math.sqrt(0.25**2 + 1e-6)
    assert value("bugpan")["fine"] == pytest.approx(fine, rel=1e-4)


def test_the_contrastive_term_needs_a_global_branch() -> None:
    size = {"stem": 4, "width": 8, "k": 2, "R": None}
    for use_global in (False, True):
        network = build_network("hetssnet", ms_bands=3, use_global=use_global, **size)
        guide, image, target = inputs(16)
        terms = Objective(network, "hetssnet")(guide, image, target, None)
        assert ("contrastive" in terms) == use_global


def test_unknown_and_unfit_losses() -> None:
    with pytest.raises(OptionError, match="did you mean 'bugpan'"):
        Objective(Constant(torch.zeros(1)), "bugpn")
    with pytest.raises(OptionError, match="does not fit ResCNN"):
        Objective(build_network("rescnn-tiny", ms_bands=3), "bugpan")
