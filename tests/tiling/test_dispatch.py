from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from pansharp.errors import TilingError
from pansharp.tiling import ordered_map
from pansharp.tiling.dispatch import single_blas


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_results_come_in_order(workers: int) -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.01 if item % 3 == 0 else 0.0)
        return item * item

    assert list(ordered_map(slow_first, range(20), workers=workers)) == [i * i for i in range(20)]


@pytest.mark.parametrize(("workers", "depth"), [(2, None), (3, 3), (2, 1), (1, None)])
def test_never_more_than_depth_in_flight(workers: int, depth: int | None) -> None:
    bound = workers + 2 if depth is None else depth
    drawn = consumed = worst = 0

    def items():
        nonlocal drawn, worst
        for i in range(30):
            drawn += 1
            worst = max(worst, drawn - consumed)
            yield i

    for _ in ordered_map(lambda i: i, items(), workers=workers, depth=depth):
        time.sleep(0.001)
        consumed += 1
    assert drawn == 30
    assert worst <= bound


@pytest.mark.parametrize("workers", [1, 3])
def test_an_exception_names_its_item_and_stops_the_rest(workers: int) -> None:
    started = []

    def work(item: int) -> int:
        started.append(item)
        time.sleep(0.002)
        if item == 4:
            raise ValueError("broken")
        return item

    got: list[int] = []
    with pytest.raises(ValueError, match="broken") as caught:
        got.extend(ordered_map(work, range(1000), workers=workers))
    assert got == [0, 1, 2, 3]
    assert caught.value.__notes__ == ["in 4"]
    assert len(started) < 15


def test_closing_cancels_and_waits() -> None:
    running = 0
    lock = threading.Lock()

    def work(item: int) -> int:
        nonlocal running
        with lock:
            running += 1
        time.sleep(0.01)
        with lock:
            running -= 1
        return item

    results = ordered_map(work, range(1000), workers=3)
    assert next(results) == 0
    results.close()
    assert running == 0
    assert not [t for t in threading.enumerate() if t.name.startswith("pansharp")]


def test_errors_of_the_item_source_pass_through() -> None:
    def items():
        yield 1
        raise OSError("source broke")

    with pytest.raises(OSError, match="source broke"):
        list(ordered_map(lambda i: i, items(), workers=2))


def test_impossible_numbers() -> None:
    with pytest.raises(TilingError, match="-1 workers"):
        ordered_map(str, [1], workers=-1)
    with pytest.raises(TilingError, match="queue of 0"):
        ordered_map(str, [1], workers=2, depth=0)


def test_blas_is_held_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    np.ones((2, 2)) @ np.ones((2, 2))

    def threads() -> set[int]:
        info = threadpoolctl.threadpool_info()
        return {lib["num_threads"] for lib in info if lib["user_api"] == "blas"}

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = threads()
        with single_blas():
            assert threads() == {1}
        assert threads() == before
