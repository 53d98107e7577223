"""A bounded, ordered map over threads: order, back-pressure and cancelling from one rule."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from pansharp.errors import TilingError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

__all__ = ["ordered_map", "single_blas"]

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def single_blas() -> Iterator[None]:
    """Hold the matrix library of NumPy to one thread.

    With one tile per worker, threads inside a product only fight each other, and the number of
    threads would change how sums are rounded.
    """
    # The import and the look through the loaded libraries cost 10 ms: spare them where the
    # environment has settled it.
    if os.environ.get("OMP_NUM_THREADS") == "1" or os.environ.get("OPENBLAS_NUM_THREADS") == "1":
        yield
        return
    from threadpoolctl import ThreadpoolController

    controller = ThreadpoolController().select(user_api="blas")
    if all(library["num_threads"] == 1 for library in controller.info()):
        yield
        return
    with controller.limit(limits=1):
        yield


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, depth: int | None = None
) -> Generator[R, None, None]:
    """Apply `function` to items in threads and yield the results in the order of the items.

    At most `depth` items are under way or waiting to be consumed, the one just yielded included:
    a slow consumer stops the workers, whatever the number of items. Items are drawn from the
    iterable as they are needed. The matrix library is held to one thread meanwhile.

    Parameters
    ----------
    function : callable
        Called as ``function(item)``, in worker threads when `workers` is more than 1.
    items : iterable
        What to work on.
    workers : int
        Number of threads; 0 or 1 runs in the calling thread.
    depth : int, optional
        Bound on the items in flight, by default ``workers + 2``.

    Yields
    ------
    object
        ``function(item)``, in order.

    Raises
    ------
    TilingError
        For a negative number of workers, or a depth below 1.
    Exception
        The first exception of `function`, in the order of the items, with a note that names the
        item. The items behind it are cancelled, those under way are waited for.
    """
    if workers < 0:
        raise TilingError(f"{workers} workers are impossible; use 1 or more")
    bound = workers + 2 if depth is None else depth
    if bound < 1:
        raise TilingError(f"a queue of {bound} items is impossible; use 1 or more")
    return _inline(function, items) if workers <= 1 else _threads(function, items, workers, bound)


def _inline(function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
    with single_blas():
        for item in items:
            try:
                result = function(item)
            except Exception as problem:
                problem.add_note(f"in {item}")
                raise
            yield result
            del result


def _threads(
    function: Callable[[T], R], items: Iterable[T], workers: int, depth: int
) -> Generator[R, None, None]:
    waiting: deque[tuple[T, Future[R]]] = deque()
    source = iter(items)
    with single_blas():
        pool = ThreadPoolExecutor(workers, thread_name_prefix="pansharp")
        try:
            exhausted = False
            while True:
                while not exhausted and len(waiting) < depth:
                    try:
                        item = next(source)
                    except StopIteration:
                        exhausted = True
                    else:
                        waiting.append((item, pool.submit(function, item)))
                if not waiting:
                    return
                item, future = waiting.popleft()
                try:
                    result = future.result()
                except Exception as problem:
                    problem.add_note(f"in {item}")
                    raise
                del future
                yield result
                del result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
