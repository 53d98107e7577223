"""Presets are complete data, and wrong names and numbers are told."""

from __future__ import annotations

import pytest

from pansharp.benchmarking import get_conventions, list_conventions
from pansharp.errors import OptionError


def test_every_preset_says_whose_table_it_matches() -> None:
    names = list_conventions()
    assert names[0] == "toolbox2021"
    for name in names:
        rules = get_conventions(name)
        assert rules.name == name
        assert rules.table
        assert rules.reference or name == "plain"
        assert rules.scc in ("2021", "2015")
        assert rules.d_lambda in ("toolbox", "paper")
        assert rules.d_s in ("toolbox", "2015", "paper")
        assert rules.bits is None


@pytest.mark.parametrize(
    ("name", "cut"),
    [("toolbox2021", 21), ("toolbox2015", 11), ("pancollection", 30), ("plain", 0)],
)
def test_border_cuts(name: str, cut: int) -> None:
    assert get_conventions(name).cut == cut
    changed = get_conventions(name.upper(), cut=5, bits=11)
    assert (changed.cut, changed.bits, changed.name) == (5, 11, name)


def test_wrong_values() -> None:
    with pytest.raises(OptionError, match=r"'toolbox21'; did you mean 'toolbox2021'"):
        get_conventions("toolbox21")
    with pytest.raises(OptionError, match="--cut is -1"):
        get_conventions(cut=-1)
    with pytest.raises(OptionError, match="--bits is 0"):
        get_conventions(bits=0)
