"""Networks of the published form on scenes: the papers' own call where the grids are theirs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pansharp.adaptation.anchored import AnchoredNetwork
from pansharp.adaptation.forms import PublishedForm
from pansharp.adaptation.published import PublishedNetwork, whole_ratio
from pansharp.chips import read_chip
from pansharp.errors import ModelError, WeightsError
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.models.networks import build_network
from pansharp.scene import Scene

SCALE = 2047.0


def _images(rows: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pan = rng.uniform(0, SCALE, (rows, rows)).astype(np.float32)
    return pan, rng.uniform(0, SCALE, (3, rows // 4, rows // 4)).astype(np.float32)


def _network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    network = build_network("rescnn-tiny", ms_bands=3, pan_bands=1, ratio=4).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return network


@pytest.mark.parametrize("grid", ["toolbox", "corner"])
def test_on_the_grid_of_the_training_it_is_the_papers_call(grid: str) -> None:
    pan, ms = _images()
    axis = AxisMap.toolbox(4) if grid == "toolbox" else AxisMap.corner(4)
    if grid == "corner":
        # Half-way sampling needs an image that holds no more than the MS can.
        f = np.hypot(np.fft.fftfreq(24)[:, None], np.fft.rfftfreq(24)[None])
        ms = np.fft.irfft2(np.fft.rfft2(ms) * (f < 0.3), s=(24, 24)).astype(np.float32)
    scene = Scene.from_arrays(pan, ms, alignment=Alignment(axis, axis))
    inner = _network()
    fuser = AnchoredNetwork(PublishedNetwork(inner, 4, grid), PublishedForm(SCALE, 3), 16)
    window = Window(32, 32, 32, 32)
    ours = fuser(read_chip(scene, window, fuser.halo))
    with torch.no_grad():
        whole = inner(torch.tensor(pan[None, None] / SCALE), torch.tensor(ms[None] / SCALE))
    theirs = whole[0, :, 32:64, 32:64].numpy() * SCALE
    error = np.abs(ours - theirs).max() / theirs.std()
    assert error < (1e-4 if grid == "toolbox" else 0.05)


def test_sizes_that_are_no_multiple_of_the_ratio() -> None:
    network = PublishedNetwork(_network(), 4)
    guide, up = torch.rand(1, 1, 30, 33), torch.rand(1, 3, 30, 33)
    with torch.no_grad():
        part = network.residual(guide, up)
        whole = network.residual(
            torch.nn.functional.pad(guide, (0, 7, 0, 6), mode="replicate"),
            torch.nn.functional.pad(up, (0, 7, 0, 6), mode="replicate"),
        )
    assert part.shape == up.shape
    torch.testing.assert_close(part[..., :20, :20], whole[..., :20, :20])


def test_low_pixels_lie_where_the_grid_says() -> None:
    ramp = torch.arange(32.0).expand(1, 1, 32, 32)
    toolbox = PublishedNetwork(_network(), 4).low(ramp)[0, 0, 0]
    torch.testing.assert_close(toolbox, 4 * torch.arange(8.0) + 2)
    corner = PublishedNetwork(_network(), 4, "corner").low(ramp)[0, 0, 0]
    torch.testing.assert_close(corner[1:-1], 4 * torch.arange(1.0, 7.0) + 1.5)
    odd = PublishedNetwork(_network(), 3, "corner").low(ramp)[0, 0, 0]
    torch.testing.assert_close(odd, 3 * torch.arange(11.0)[: len(odd)] + 1)


def test_other_grids_and_ratios_are_refused() -> None:
    with pytest.raises(ModelError, match="choose toolbox or corner"):
        PublishedNetwork(_network(), 4, "mine")
    assert whole_ratio(4.01) == 4
    for ratio in (8.333, 1.2, 3.5):
        with pytest.raises(WeightsError, match="whole ratio"):
            whole_ratio(ratio)
