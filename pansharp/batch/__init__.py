"""Archives: every scene to a product, on one or many machines, with nothing lost."""

from __future__ import annotations

from pansharp.batch.run import BatchResult, plan_batch, run_batch

__all__ = ["BatchResult", "plan_batch", "run_batch"]
