"""One process or several: what `torchrun` started, and the few things they tell one another."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pansharp.errors import ModelError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

__all__ = ["Processes"]


@dataclass(frozen=True)
class Processes:
    """The processes of a run.

    Parameters
    ----------
    rank, world : int
        Which process of how many.
    device : str
        Of this process.
    """

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @classmethod
    def join(cls, device: str) -> Processes:
        """Join the processes that `torchrun` started, or be alone.

        Parameters
        ----------
        device : str
            Torch device, without a number where there are several processes.

        Raises
        ------
        ModelError
            There are fewer CUDA devices than processes, or they cannot find one another.
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world <= 1:
            return cls(device=device)
        rank = int(os.environ["RANK"])
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if device.startswith("cuda"):
            if local >= torch.cuda.device_count():
                raise ModelError(
                    f"torchrun started more processes than there are CUDA devices "
                    f"({torch.cuda.device_count()}); lower --nproc-per-node"
                )
            device = f"cuda:{local}"
            torch.cuda.set_device(local)
        import torch.distributed as dist

        try:
            dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        except (RuntimeError, ValueError) as problem:
            reason = " ".join(str(problem).split())
            raise ModelError(f"the processes of torchrun cannot be joined: {reason}") from problem
        return cls(rank, world, device)

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def check_batch(self, batch: int) -> None:
        """Raise OptionError unless every process gets as many patches."""
        if batch % self.world:
            raise OptionError(
                f"--batch is {batch}, which {self.world} processes cannot share evenly; give a "
                f"multiple of {self.world}"
            )

    def wrapped(self, objective: nn.Module) -> nn.Module:
        """The module whose backward pass averages gradients over all processes."""
        if self.world == 1:
            return objective
        from torch.nn.parallel import DistributedDataParallel

        ids = [torch.device(self.device).index] if self.device.startswith("cuda") else None
        # Gates that stay shut leave weights without a gradient in some steps.
        return DistributedDataParallel(objective, device_ids=ids, find_unused_parameters=True)

    def agree(self, good: bool) -> bool:
        """Whether all processes say yes."""
        if self.world == 1:
            return good
        import torch.distributed as dist

        flag = torch.tensor([float(good)], device=self.device)
        dist.all_reduce(flag, dist.ReduceOp.MIN)
        return bool(flag.item())

    def total(self, values: Mapping[str, float]) -> dict[str, float]:
        """Sums over all processes; every one must give the same names."""
        if self.world == 1:
            return dict(values)
        import torch.distributed as dist

        kind = torch.float64
        sums = torch.tensor([values[key] for key in sorted(values)], dtype=kind, device=self.device)
        dist.all_reduce(sums)
        return dict(zip(sorted(values), sums.tolist(), strict=True))

    def gathered(self, state: Tensor) -> list[Tensor]:
        """A tensor of every process, of one shape and on the CPU."""
        if self.world == 1:
            return [state]
        import torch.distributed as dist

        mine = state.to(self.device)
        all_of_them = [torch.empty_like(mine) for _ in range(self.world)]
        dist.all_gather(all_of_them, mine)
        return [part.cpu() for part in all_of_them]

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            import torch.distributed as dist

            dist.barrier()

    def leave(self) -> None:
        """Part from the other processes."""
        if self.world > 1:
            import torch.distributed as dist

            dist.destroy_process_group()
