"""One training of a network on the patches of a cube, through the blur."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from pansharp.adaptation.cube import Patches
    from pansharp.adaptation.resume import Store
    from pansharp.models.networks import NetworkSpec

__all__ = ["CubeFit"]

#: Rounds the corner of the loss, in units of what the anchor leaves.
_CORNER = 1e-2
#: Steps that are timed to tell how long a training will take.
_TIMED = 3
#: Steps between copies of a state to go back to when the loss diverges.
_KEEP_EVERY = 25


class CubeFit:
    """All of the changing state of a training.

    Parameters
    ----------
    network : torch.nn.Module
        With ``residual(guide, up)``; changed in place.
    patches : Patches
        Of the scene.
    spec : NetworkSpec
        With the recipe.
    steps : int
        Length of the schedule.
    seed : int
        Of the order of patches.
    device : str
        Torch device.
    attempt : int
        1, or 2 for half the rate.
    """

    def __init__(
        self,
        network: nn.Module,
        patches: Patches,
        spec: NetworkSpec,
        steps: int,
        seed: int,
        device: str,
        attempt: int,
    ) -> None:
        self.network, self.steps, self.device, self.attempt = network, steps, device, attempt
        recipe = spec.adaptation
        self.clip = recipe.clip or 1.0
        peak = recipe.cube_rate / attempt
        self.rng = np.random.default_rng(seed)
        self.data = [torch.from_numpy(part) for part in (patches.guide, patches.up, patches.mask)]
        self.blur = [torch.from_numpy(part) for part in (patches.rows, patches.cols)]
        scale = torch.from_numpy(patches.scale)
        # In units of the whole residual: every component counts by what it adds to the spectra.
        unit = float(np.sqrt((patches.scale.astype(np.float64) ** 2).sum()))
        self.target = torch.from_numpy(patches.target) / unit
        self.turn = (scale / unit)[None, :, None, None].to(device)
        # As many pixels a step as with patches of the PAN recipe.
        wanted = recipe.batch * recipe.patch**2
        self.count = len(patches.guide)
        self.batch = max(1, min(self.count, wanted // patches.guide.shape[-1] ** 2))
        network.train().to(device)
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, max_lr=peak, total_steps=max(steps, 6), pct_start=0.2
        )
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.losses: list[float] = []
        self.order: list[int] = []
        #: Averaged weights that are known to be sound, and the step that they are of.
        self.good: tuple[int, dict[str, Any]] | None = None

    def train(
        self, progress: Callable[[float, float, str], None] | None, store: Store | None
    ) -> bool:
        """Train to the end; False when the loss is not finite."""
        while len(self.losses) < self.steps:
            if not self.step():
                return False
            done = len(self.losses)
            decay = min(0.99, (1 + done) / (10 + done))
            with torch.no_grad():
                pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
                for kept, new in pairs:
                    kept.lerp_(new, 1.0 - decay)
            if done % _KEEP_EVERY == 0:
                self.good = done, copy.deepcopy(self.average.state_dict())
            if store is not None:
                store.offer(self.state)
            if progress:
                progress(done, self.steps, "adapting")
        if store is not None:
            store.save(self.state())
        return True

    def step(self) -> bool:
        """One optimiser step; False when the loss is not finite."""
        while len(self.order) < self.batch:
            self.order += self.rng.permutation(self.count).tolist()
        pick, self.order = torch.tensor(self.order[: self.batch]), self.order[self.batch :]
        guide, up, mask, rows, cols, wanted = (
            part[pick].to(self.device) for part in (*self.data, *self.blur, self.target)
        )
        added = self.network.residual(guide, up) * self.turn  # type: ignore[operator]
        loss: Any = _distance(added, wanted, mask, rows, cols)
        if not torch.isfinite(loss):
            return False
        self.losses.append(float(loss.detach()))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimiser.step()
        self.schedule.step()
        return True

    def seconds_per_step(self) -> float:
        """Wall time of a step; the state is spent, so ask one that is not needed."""
        self.step()
        begin = time.perf_counter()
        for _ in range(_TIMED):
            self.step()
        return (time.perf_counter() - begin) / _TIMED

    def finish(self) -> tuple[float, float]:
        """Leave the averaged weights in the network.

        Returns
        -------
        tuple of float
            First and last loss: means of a tenth of the steps.
        """
        self.network.load_state_dict(self.average.state_dict())
        self.network.eval()
        few = max(1, self.steps // 10)
        return float(np.mean(self.losses[:few])), float(np.mean(self.losses[-few:]))

    def fall_back(self) -> int:
        """Return to the last good state after a loss that is not finite; its step, 0 if none."""
        if self.good is None:
            return 0
        self.average.load_state_dict(self.good[1])
        return self.good[0]

    def state(self) -> dict[str, Any]:
        """All that a continued training needs: tensors, numbers, lists and text."""
        return {
            "attempt": self.attempt,
            "planned": self.steps,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "patches": self.rng.bit_generator.state,
            "torch": torch.get_rng_state(),
            "losses": list(self.losses),
            "order": list(self.order),
            "good": None if self.good is None else list(self.good),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.rng.bit_generator.state = state["patches"]
        torch.set_rng_state(state["torch"])
        self.losses, self.order = list(state["losses"]), list(state["order"])
        good = state["good"]
        self.good = None if good is None else (good[0], good[1])


def _distance(added: Tensor, wanted: Tensor, mask: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Mean over the valid HSI pixels of ``sqrt(|D f - R|^2 + corner^2)``."""
    low = rows[:, None] @ added @ cols[:, None].transpose(2, 3)
    gap = torch.sqrt((low - wanted).square().sum(dim=1) + _CORNER**2)
    return (gap * mask).sum() / mask.sum().clamp(min=1.0)
