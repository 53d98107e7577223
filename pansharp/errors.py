"""Error and warning classes: one root, each leaf also the builtin that callers expect."""

from __future__ import annotations

__all__ = [
    "AlignmentWarning",
    "AmbiguousReaderError",
    "BandMismatchError",
    "BatchError",
    "GridMismatchError",
    "MetricError",
    "MissingSidecarError",
    "ModelError",
    "NodataWarning",
    "OptionError",
    "PansharpError",
    "PansharpWarning",
    "PluginWarning",
    "ReaderError",
    "SceneError",
    "TilingError",
    "UnknownFormatError",
    "UnknownModelError",
    "UnknownSensorError",
    "WeightsError",
    "WriteError",
]


class PansharpError(Exception):
    """Root of everything that pansharp raises on purpose; its text is one line for the user."""

    def __str__(self) -> str:
        # KeyError quotes its argument; a user reads these messages, so keep them as they are.
        return str(self.args[0]) if self.args else ""


class SceneError(PansharpError, ValueError):
    """PAN and MS do not make a scene that can be fused."""


class GridMismatchError(SceneError):
    """Coordinate systems, pixel sizes or footprints of PAN and MS do not fit."""


class BandMismatchError(SceneError):
    """A model, sensor or option expects other bands than the scene has."""


class UnknownSensorError(SceneError, KeyError):
    """No sensor of that name is in the table."""


class ReaderError(PansharpError, OSError):
    """A file cannot be read as what it should be."""

    def __str__(self) -> str:
        return PansharpError.__str__(self)


class UnknownFormatError(ReaderError):
    """No reader recognises the path, or its partner image cannot be found."""


class AmbiguousReaderError(ReaderError):
    """Several readers, or several scenes, fit equally well."""


class MissingSidecarError(ReaderError):
    """A file that belongs to the delivery is missing."""


class ModelError(PansharpError, ValueError):
    """A fusion model cannot do what was asked of it."""


class UnknownModelError(ModelError, KeyError):
    """No model of that name is registered."""


class WeightsError(ModelError):
    """A weights file does not belong to this model or scene."""


class TilingError(PansharpError, ValueError):
    """A tile grid with these sizes is impossible."""


class MetricError(PansharpError, ValueError):
    """An index is not defined for these images."""


class OptionError(PansharpError, ValueError):
    """An option has a value that is not among the allowed ones."""


class WriteError(PansharpError, OSError):
    """A product cannot be written."""

    def __str__(self) -> str:
        return PansharpError.__str__(self)


class BatchError(PansharpError, RuntimeError):
    """A batch cannot start, or cannot go on."""


class PansharpWarning(UserWarning):
    """Root of the warnings."""


class AlignmentWarning(PansharpWarning):
    """PAN and MS do not lie on top of each other as their georeference says."""


class NodataWarning(PansharpWarning):
    """Pixels without data were met where they matter."""


class PluginWarning(PansharpWarning):
    """A third-party plug-in could not be loaded and was skipped."""
