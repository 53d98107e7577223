"""The order of scenes: by themselves, or after the first of their sensor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pansharp.batch.schedule import Donor, Schedule


def test_every_scene_by_itself() -> None:
    schedule = Schedule(["a", "b"])
    assert [schedule.next(), schedule.next(), schedule.next()] == [
        ("a", "fuse", False, None),
        ("b", "fuse", False, None),
        None,
    ]


def donor(name: str) -> Donor:
    return Donor(name, f"{name}.safetensors", "0", 25)


def test_first_that_succeeds_serves_the_others() -> None:
    schedule = Schedule("abcd", {}, {})
    for path in "abcd":
        assert schedule.next() == (path, "probe", False, None)
    assert schedule.next() is None
    for path, sensor in zip("dcba", ("s", "s", None, "s"), strict=True):
        schedule.probed(path, sensor)
    assert schedule.next() == ("a", "fuse", True, None)
    assert schedule.next() is None
    schedule.ended("a", None)  # failed, or a classical method won
    assert schedule.next() == ("c", "fuse", True, None)
    schedule.ended("c", donor("c"))
    assert schedule.next() == ("d", "fuse", False, donor("c"))
    assert schedule.next() is None


@given(st.permutations(range(6)), st.lists(st.sampled_from("xy"), min_size=6, max_size=6))
def test_the_donor_does_not_depend_on_who_answers_first(
    order: list[int], sensors: list[str]
) -> None:
    schedule = Schedule(map(str, range(6)), {}, {})
    while schedule.next() is not None:
        pass
    for number in order:
        schedule.probed(str(number), sensors[number])
    handed = [schedule.next() for _ in range(len(set(sensors)))]
    firsts = {sensor: str(sensors.index(sensor)) for sensor in set(sensors)}
    assert {found.path for found in handed if found} == set(firsts.values())
    assert all(found is not None and found.candidate for found in handed)
    assert schedule.next() is None


def test_a_donor_of_an_earlier_run_is_kept() -> None:
    schedule = Schedule("ab", {"a": "s", "b": "s"}, {"s": donor("z")})
    assert schedule.next() == ("a", "fuse", False, donor("z"))
    assert schedule.next() == ("b", "fuse", False, donor("z"))


def test_sensors_on_which_the_network_does_not_win_do_not_wait() -> None:
    schedule = Schedule("abcde", dict.fromkeys("abcde", "s"), {}, {"s": 2})
    assert schedule.next() == ("a", "fuse", True, None)
    assert schedule.next() is None
    schedule.ended("a", None)
    assert [schedule.next() for _ in "bcde"] == [(p, "fuse", False, None) for p in "bcde"]


def test_scenes_that_become_known_later() -> None:
    schedule = Schedule(["a"])
    assert schedule.next() is not None
    schedule.add(["b"])
    assert schedule.next() == ("b", "fuse", False, None)
    schedule = Schedule(["a"], {}, {})
    schedule.next()
    schedule.probed("a", None)
    schedule.add(["b"])
    assert schedule.next() == ("b", "probe", False, None)
    schedule.probed("b", "s")
    assert schedule.next() == ("b", "fuse", True, None)
