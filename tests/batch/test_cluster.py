"""Starting the own workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pansharp.batch.cluster import open_engine
from pansharp.batch.settings import BatchSettings
from pansharp.errors import BatchError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_worker_that_dies_at_its_start_is_started_again(
    deaths: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = _dying(monkeypatch, deaths)
    settings = BatchSettings.checked(tmp_path, model="exp", workers=1)
    with open_engine(settings, jobs=1, say=lambda _: None) as engine:
        assert engine.client.submit(sum, [1, 2]).result() == 3
    assert len(starts) == deaths + 1


def test_workers_that_never_start_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _dying(monkeypatch, 9)
    settings = BatchSettings.checked(tmp_path, model="exp", workers=1)
    with (
        pytest.raises(
            BatchError, match=r"workers do not start \(Nanny failed to start\.\)"
        ) as told,
        open_engine(settings, jobs=1, say=lambda _: None),
    ):
        pass
    assert "\n" not in str(told.value)


def _dying(monkeypatch: pytest.MonkeyPatch, deaths: int) -> list[int]:
    """Let the first clusters fail as Dask's do when a worker is killed before it has begun."""
    import distributed

    real, starts = distributed.LocalCluster, list[int]()

    def make(**options: Any) -> Any:
        starts.append(len(starts))
        if len(starts) <= deaths:
            raise RuntimeError("Nanny failed to start.")
        return real(**options)

    monkeypatch.setattr(distributed, "LocalCluster", make)
    return starts


def test_no_logger_of_the_engine_speaks(tmp_path: Path) -> None:
    import logging

    settings = BatchSettings.checked(tmp_path, model="exp", workers=1)
    client = logging.getLogger("distributed.client")
    client.setLevel(logging.WARNING)  # as Dask's own configuration does
    with open_engine(settings, jobs=1, say=lambda _: None):
        assert not client.isEnabledFor(logging.ERROR)
        assert not logging.getLogger("distributed.core").isEnabledFor(logging.ERROR)
