"""Options: what is taken, and what is refused with the flag's name."""

from __future__ import annotations

import pytest

from pansharp.errors import OptionError, UnknownModelError
from pansharp.options import FuseOptions


def test_defaults() -> None:
    options = FuseOptions.checked()
    assert options == FuseOptions()
    assert (options.model, options.seed, options.backproject) == ("auto", 0, "auto")
    assert options.card
    assert options.shift() is None


def test_none_means_the_default() -> None:
    assert FuseOptions.checked(model=None, tile=None, seed=None) == FuseOptions()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"blend": "hanning"}, "--blend is 'hanning'; did you mean 'hann'"),
        ({"adapt": "yes"}, "--adapt is 'yes'"),
        ({"compress": "zip"}, "--compress is 'zip'"),
        ({"precision": "half"}, "--precision is 'half'"),
        ({"format": "jpeg"}, "--format is 'jpeg'"),
        ({"dtype": "int64"}, "--dtype is 'int64'"),
        ({"backproject": 3}, "--backproject is '3'"),
        ({"tile": 63}, "--tile is 63; it must be 64 or more"),
        ({"overlap": -1}, "--overlap is -1; it must be 0 or more"),
        ({"workers": 0}, "--workers is 0; it must be 1 or more"),
        ({"adapt_steps": 0}, "--adapt-steps is 0; it must be 1 or more"),
        ({"adapt_steps": 2.5}, "--adapt-steps is 2.5"),
        ({"coregister": "1"}, "--coregister is '1'"),
        ({"coregister": "a,b"}, "DX,DY in PAN pixels"),
        ({"coregister": "1,2,3"}, "--coregister is '1,2,3'"),
        ({"mtf": "soft"}, "--mtf is 'soft'; give auto, table, or a gain"),
        ({"mtf": 1.5}, "--mtf is '1.5'"),
        ({"tiles": 512}, "unknown option 'tiles'; did you mean 'tile'"),
    ],
)
def test_wrong_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        FuseOptions.checked(**values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_models_are_named_with_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match="mtf-glp-fs"):
        FuseOptions.checked(model="mtf-glp-sf")
    assert FuseOptions.checked(model="GSA").model == "gsa"


@pytest.mark.parametrize("passes", [0, 1, 2, "auto", "2"])
def test_backprojections_may_be_numbers(passes: object) -> None:
    assert FuseOptions.checked(backproject=passes).backproject == str(passes)


@pytest.mark.parametrize(
    ("text", "shift"),
    [("auto", None), ("off", None), ("1.5,-2", (-2.0, 1.5)), (" 0.25 , 3 ", (3.0, 0.25))],
)
def test_a_shift_is_given_columns_first(text: str, shift: tuple[float, float] | None) -> None:
    assert FuseOptions.checked(coregister=text).shift() == shift


def test_options_do_not_change() -> None:
    with pytest.raises(AttributeError):
        FuseOptions().tile = 5  # type: ignore[misc]
