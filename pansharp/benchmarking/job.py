"""One job: one method on one scene, described in JSON types so that a child process can do it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pansharp.benchmarking.conventions import Conventions
from pansharp.benchmarking.sources import SceneRef
from pansharp.options import FuseOptions

__all__ = ["PROTOCOLS", "Job", "digests_of", "protocols_of"]

#: What the user may ask for.
PROTOCOLS = ("both", "reduced", "full")


def protocols_of(scene: SceneRef, wanted: str) -> tuple[str, ...]:
    """What is scored on a scene: ``reference``, ``reduced``, ``full``.

    A set with a reference stands for the reduced protocol already; its pairs are scored without
    reference only where that is asked for.
    """
    with_truth = "reference" if scene.reference else "reduced"
    if wanted == "both":
        return (with_truth,) if scene.reference else (with_truth, "full")
    return (with_truth,) if wanted == "reduced" else ("full",)


@dataclass(frozen=True)
class Job:
    """One method on one scene.

    Parameters
    ----------
    scene : SceneRef
        Where the scene is.
    options : FuseOptions
        Method and how to run it.
    conventions : Conventions
        How to score.
    protocols : tuple of str
        From :func:`protocols_of`.
    budget : int or None
        MS pixels of the scene that networks are trained and judged on, when there is a network
        among the methods: then every method is scored on the blocks that none of them saw.
    mode : {"default", "reference"}
        Arithmetic of the classical methods.
    named : bool
        Whether the user named the method; else one that is not made for the scene is skipped.
    """

    scene: SceneRef
    options: FuseOptions
    conventions: Conventions
    protocols: tuple[str, ...]
    budget: int | None = None
    mode: str = "default"
    named: bool = True

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.options.model

    def to_json(self) -> str:
        """The job as JSON text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job of :meth:`to_json`."""
        values: dict[str, Any] = json.loads(text)
        return cls(
            scene=SceneRef(**values["scene"]),
            options=FuseOptions(**values["options"]),
            conventions=Conventions(**values["conventions"]),
            protocols=tuple(values["protocols"]),
            budget=values["budget"],
            mode=values["mode"],
            named=values["named"],
        )

    def key(self, digests: list[dict[str, object]]) -> str:
        """Digest of all that decides the result: files, options, rules and version.

        Parameters
        ----------
        digests : list of dict
            Of the scene's files.
        """
        from pansharp import __version__

        parts = asdict(self)
        # What a scene is called, where it lies and who chose the method changes no figure.
        place = parts.pop("scene")
        del parts["named"]
        named = {k: v for k, v in place["options"].items() if k not in ("pan", "ms", "hsi", "msi")}
        content = [__version__, digests, place["item"], named, parts]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def digests_of(files: dict[str, tuple[str, ...]]) -> list[dict[str, object]]:
    """Digests of the files of a scene, in the order of their roles."""
    from pansharp.card import digest

    return [digest(Path(path)) for role in sorted(files) for path in files[role]]
