"""Training networks on collections: research sets, real scenes, hyperspectral cubes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pansharp.training.run import TrainingResult

__all__ = ["train"]


def train(
    model: str | None = None,
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    *,
    output: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[float, float, str], None] | None = None,
    **options: Any,
) -> TrainingResult:
    """Train a network and write its weights, with the card that `fuse` checks.

    Parameters
    ----------
    model : str, optional
        Network; may be left out of a resumed run.
    data : path or sequence of paths
        PanCollection `.h5`, toolbox `.mat`, scenes (files, deliveries, folders of them, TOML
        lists), hyperspectral cubes; all of the same bands and ratio.
    output : path
        Folder for ``best.safetensors``, ``last.safetensors``, ``log.csv``, ``curves.png``,
        ``state.pt`` and ``run.json``; made if it does not exist.
    resume : bool
        Go on from the saved state, bit by bit as if nothing had happened.
    overwrite : bool
        Begin anew in a folder that holds a training.
    progress : callable, optional
        Called with (done, total, label).
    **options
        Fields of :class:`pansharp.training.options.TrainOptions`.

    Returns
    -------
    TrainingResult
        Paths and scores.

    Raises
    ------
    PansharpError
        Data that cannot be trained on, impossible options, a loss that is not finite at two rates.
        Each with one line that says what to do.

    Examples
    --------
    >>> from pansharp.training import train
    >>> result = train("rescnn", "train_wv3.h5", output="wv3", preset="quick")  # doctest: +SKIP
    >>> print(result.summary())  # doctest: +SKIP
    """
    from pansharp.training.run import run_training

    paths = [data] if isinstance(data, str | os.PathLike) else list(data)
    values = {**options, "model": model, "data": tuple(os.fspath(path) for path in paths)}
    return run_training(Path(output), values, resume=resume, overwrite=overwrite, progress=progress)
