"""The cost model: figures that were measured, laws, and what the planner asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp.batch.cost import SceneSize, calibration, estimate, fits, scenes_per_worker
from pansharp.models import list_models
from pansharp.options import FuseOptions

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = SceneSize(8192, 8192, 4)
IKONOS = SceneSize(1280, 1280, 4)


def options(model: str = "mtf-glp-fs", **more: object) -> FuseOptions:
    return FuseOptions.checked(model=model, **more)


@pytest.mark.parametrize(
    ("model", "cpu", "wall", "peak"),
    [
        # benchmarks/README.md, "GDAL": classical methods on two threads, without cards.
        ("brovey", 7.23, 4.16, 231),
        ("mtf-glp-fs", 7.82, 4.29, 293),
        ("bdsd-pc", 7.96, 4.49, 290),
    ],
)
def test_classical_figures(model: str, cpu: float, wall: float, peak: float) -> None:
    cost = estimate(LARGE, options(model, card=False), threads=2)
    assert cost.cpu_seconds == pytest.approx(cpu, rel=0.1)
    assert cost.wall_seconds(2) == pytest.approx(wall, rel=0.1)
    assert 0.9 * peak <= cost.peak_mib <= 1.6 * peak
    assert cost.measured


@pytest.mark.parametrize(
    ("model", "cpu", "peak"),
    [
        # benchmarks/README.md, "Networks": the pair of IKONOS, judged and scored, two threads.
        ("rescnn", 22, 937),
        ("ssft-small", 224, 1145),
    ],
)
def test_networks_by_their_order(model: str, cpu: float, peak: float) -> None:
    cost = estimate(IKONOS, options(model), threads=2)
    assert cpu / 2 <= cost.cpu_seconds <= 2 * cpu
    assert peak <= cost.peak_mib <= 2 * peak


def test_product_of_the_generated_scene() -> None:
    # 2048 x 2048 x 4 and x 8 uint16, written in ZSTD with overviews.
    for bands, measured in ((4, 23_605_177), (8, 41_908_988)):
        size = SceneSize(2048, 2048, bands)
        assert estimate(size, options()).product_bytes == pytest.approx(measured, rel=0.15)


sizes = st.builds(SceneSize, st.integers(256, 45_000), st.integers(256, 45_000), st.integers(1, 16))
models = st.sampled_from(["brovey", "mtf-glp-fs", "gsa", "rescnn", "ssft-small", "ssft", "tv"])


@given(sizes, models)
def test_more_pixels_and_bands_cost_more(size: SceneSize, model: str) -> None:
    one = estimate(size, options(model))
    taller = estimate(SceneSize(2 * size.rows, size.cols, size.bands), options(model))
    wider = estimate(SceneSize(size.rows, 2 * size.cols, size.bands), options(model))
    richer = estimate(SceneSize(size.rows, size.cols, 2 * size.bands), options(model))
    for more in (taller, wider, richer):
        assert more.product_bytes >= one.product_bytes
        assert more.scratch_bytes >= one.scratch_bytes
        assert more.peak_mib >= one.peak_mib
    assert richer.cpu_seconds > one.cpu_seconds
    # Networks that train twice on small scenes train once on larger ones.
    same = [s.name for s in one.stages if s.name != "training"]
    for more in (taller, wider):
        before = sum(s.cpu for s in one.stages if s.name in same)
        assert sum(s.cpu for s in more.stages if s.name in same) > before


@given(sizes, models, st.integers(1, 64))
def test_threads_save_time_and_cost_memory(size: SceneSize, model: str, threads: int) -> None:
    cost = estimate(size, options(model), threads=threads)
    more = estimate(size, options(model), threads=threads + 1)
    assert more.wall_seconds(threads + 1) < cost.wall_seconds(threads)
    assert cost.wall_seconds(threads) >= cost.cpu_seconds / threads
    assert cost.wall_seconds(1) == pytest.approx(cost.cpu_seconds)
    assert more.peak_mib >= cost.peak_mib


@pytest.mark.parametrize(
    "cheaper",
    [
        lambda o: options("rescnn", adapt_steps=10),
        lambda o: options("rescnn", adapt_minutes=0.01),
        lambda o: options("rescnn", adapt="never", weights="w"),
        lambda o: options("rescnn", backproject="0"),
        lambda o: options("mtf-glp-fs"),
    ],
)
def test_options_that_save(cheaper: Callable[[FuseOptions], FuseOptions]) -> None:
    full = options("rescnn")
    assert estimate(IKONOS, cheaper(full)).cpu_seconds < estimate(IKONOS, full).cpu_seconds


def test_every_model_and_every_format_is_reckoned() -> None:
    for model in list_models():
        cost = estimate(IKONOS, options(model))
        assert cost.cpu_seconds > 0
        assert cost.peak_mib > 100
    assert not estimate(IKONOS, options("hetssnet")).measured
    assert not estimate(SceneSize(800, 800, 100), options("gsa-hs")).measured
    plain = estimate(LARGE, options(format="gtiff", compress="none"))
    assert plain.product_bytes == LARGE.raw_bytes
    assert estimate(LARGE, options()).product_bytes < plain.product_bytes
    packed = estimate(SceneSize(1280, 1280, 4, packed=10**9), options())
    assert packed.cpu_seconds > estimate(IKONOS, options()).cpu_seconds + 5
    assert packed.scratch_bytes > 10**9


def test_auto_costs_what_it_tries() -> None:
    names = {s.name for s in estimate(IKONOS, options("auto")).stages}
    assert "training" in names
    short = estimate(IKONOS, options("auto", adapt_minutes=0.5))
    long = estimate(IKONOS, options("auto", adapt_minutes=30.0))
    assert long.cpu_seconds > 3 * short.cpu_seconds


def test_memory_of_workers() -> None:
    classical = [estimate(LARGE, options(), threads=1)]
    assert fits(classical[0], 2**30)
    assert not fits(classical[0], 200 * 2**20)
    assert scenes_per_worker(classical, 2**30) >= 2
    heavy = [*classical, estimate(LARGE, options("ssft"), threads=1)]
    assert scenes_per_worker(heavy, 2**30) == 0
    assert scenes_per_worker([], 2**30) > 0


def test_calibration() -> None:
    assert calibration([]) == 1.0
    assert calibration([(10.0, 20.0), (10.0, 22.0), (10.0, 500.0), (0.0, 3.0)]) == 2.2
    slow = estimate(LARGE, options(), factor=2.2)
    assert slow.cpu_seconds == pytest.approx(2.2 * estimate(LARGE, options()).cpu_seconds)
