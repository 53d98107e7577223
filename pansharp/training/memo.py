"""A table of things that are made once, shared by threads, and forgotten when memory is full."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Memo"]

K = TypeVar("K")
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Values by key; one thread makes a value, the others wait for it.

    Parameters
    ----------
    make : callable
        Key to value.
    size : callable
        Bytes of a value.
    limit : int
        Bytes above which the values that were not asked for longest are dropped.
    """

    def __init__(self, make: Callable[[K], V], size: Callable[[V], int], limit: int) -> None:
        self._make, self._size, self._limit = make, size, limit
        self._slots: OrderedDict[K, Future[V]] = OrderedDict()
        self._total = 0
        self._lock = threading.Lock()

    def __getitem__(self, key: K) -> V:
        with self._lock:
            slot = self._slots.get(key)
            mine = slot is None
            if slot is None:
                slot = self._slots[key] = Future()
            self._slots.move_to_end(key)
        if mine:
            self._fill(key, slot)
        return slot.result()

    def _fill(self, key: K, slot: Future[V]) -> None:
        try:
            value = self._make(key)
        except BaseException as problem:
            with self._lock:
                del self._slots[key]
            slot.set_exception(problem)
            raise
        with self._lock:
            slot.set_result(value)
            self._total += self._size(value)
            for old in list(self._slots):
                if self._total <= self._limit:
                    break
                # What is still being made, and what was just asked for, stays.
                if old != key and self._slots[old].done():
                    self._total -= self._size(self._slots.pop(old).result())
