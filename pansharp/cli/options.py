"""Options that several commands share, and what they are turned into."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pansharp.cli._output import configure_logging
from pansharp.errors import OptionError
from pansharp.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.pipeline import FuseOptions
    from pansharp.scene import Scene

    _ParamType = click.ParamType[Any]
else:
    # Older releases of click have the class, but cannot subscript it.
    _ParamType = click.ParamType

__all__ = [
    "SCENE_KEYS",
    "WORDS",
    "Number",
    "NumberList",
    "Numbers",
    "Whole",
    "checked_options",
    "config_option",
    "fuse_options",
    "json_option",
    "open_input",
    "output_options",
    "run_options",
    "scene_options",
    "split_values",
    "verbosity_options",
]

_VERBOSITY = "pansharp.verbosity"

#: Keywords of `open_scene`; every other shared option goes to `FuseOptions`.
SCENE_KEYS = (
    *("pan", "ms", "hsi", "msi", "sensor", "ratio"),
    *("bands", "bbox", "window", "nodata", "reader"),
    *("ortho", "dem", "height", "radiometry", "esun"),
)


#: Options with words for values, in which case does not matter.
WORDS = {
    *("model", "coregister", "mtf", "adapt", "backproject", "blend", "device", "precision"),
    *("format", "compress", "dtype"),
}


# A wrong value is the user's error (exit code 1), not a wrong use of the command line (2), so
# these types raise our own exception where click's would raise a usage error.


class Whole(_ParamType):
    """A whole number."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, or say what stands there instead."""
        try:
            return int(str(value))
        except ValueError:
            raise OptionError(f"{_label(param)} is '{value}'; give a whole number") from None


class Number(_ParamType):
    """A number."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or say what stands there instead."""
        try:
            return float(str(value))
        except ValueError:
            raise OptionError(f"{_label(param)} is '{value}'; give a number") from None


class NumberList(_ParamType):
    """Numbers separated by commas.

    Parameters
    ----------
    names : str
        What the numbers mean, for help and messages: ``"ROW,COL,HEIGHT,WIDTH"``.
    whole : bool
        Whether they must be whole.
    """

    name = "numbers"

    def __init__(self, names: str, *, whole: bool = False) -> None:
        self.names = names
        self.kind: type[int] | type[float] = int if whole else float

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers as a tuple."""
        if isinstance(value, tuple):
            return value
        parts = str(value).replace(",", " ").split()
        try:
            numbers = tuple(self.kind(part) for part in parts)
        except ValueError:
            numbers = ()
        if len(numbers) != len(self.names.split(",")):
            word = "whole numbers" if self.kind is int else "numbers"
            raise OptionError(f"{_label(param)} is '{value}'; give the {word} {self.names}")
        return numbers


class Numbers(_ParamType):
    """Any number of numbers separated by commas."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers as a tuple."""
        if isinstance(value, tuple):
            return value
        parts = str(value).replace(",", " ").split()
        try:
            numbers = tuple(float(part) for part in parts)
        except ValueError:
            numbers = ()
        if not numbers:
            raise OptionError(f"{_label(param)} is '{value}'; give numbers with commas")
        return numbers


class Setting(_ParamType):
    """An option of a method: a number, a word, numbers with commas, or NAME=NUMBER with commas."""

    name = "setting"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, object]:
        """Return name and value."""
        if isinstance(value, tuple):
            return value
        key, sign, text = str(value).partition("=")
        if not sign or not key.strip().isidentifier() or not text.strip():
            raise OptionError(f"{_label(param)} is '{value}'; give KEY=VALUE, as in block_size=128")
        parts = [part.strip() for part in text.split(",")]
        named = [part.partition("=") for part in parts if "=" in part]
        if not named:
            numbers = [_number(part) for part in parts]
            return key.strip(), numbers[0] if len(numbers) == 1 else numbers
        table = {name.strip(): _number(number.strip()) for name, _, number in named}
        if len(table) != len(parts):
            raise OptionError(
                f"{_label(param)} is '{value}'; give every part a name of its own, as in "
                "weights=blue=0.2,green=0.3,red=0.5"
            )
        return key.strip(), table


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


class Bands(_ParamType):
    """Band numbers (from 1) or names, separated by commas."""

    name = "bands"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | str, ...]:
        """Return indices (from 0) as int and names as str, in the order given."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",") if part.strip()]
        if not parts:
            raise OptionError(f"{_label(param)} is empty; give band numbers or names, as in 3,2,1")
        if any(part.isdigit() and int(part) == 0 for part in parts):
            raise OptionError(f"{_label(param)} names band 0; bands are counted from 1")
        # The library counts bands from 0, people and GDAL's tools from 1.
        return tuple(int(part) - 1 if part.isdigit() else part for part in parts)


def _label(param: click.Parameter | None) -> str:
    """The option as the user writes it."""
    return param.opts[0] if param is not None and param.opts else "value"


def _count(sign: int) -> Callable[[click.Context, click.Parameter, int], None]:
    def add(ctx: click.Context, param: click.Parameter, value: int) -> None:
        # The context's meta is shared by the group and its command: -v may stand at either.
        ctx.meta[_VERBOSITY] = ctx.meta.get(_VERBOSITY, 0) + sign * value
        configure_logging(ctx.meta[_VERBOSITY])

    return add


def verbosity_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add -v and -q, which may be repeated and may stand before or after the command's name."""
    function = click.option(
        "-q", "--quiet", count=True, expose_value=False, callback=_count(-1), is_eager=True,
        help="Print errors only.",
    )(function)  # fmt: skip
    return click.option(
        "-v", "--verbose", count=True, expose_value=False, callback=_count(1), is_eager=True,
        help="Print more; -vv also tracebacks.",
    )(function)  # fmt: skip


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json (parameter `as_json`)."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
    )(function)


def _read_config(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Make the keys of a TOML file the defaults of the other options."""
    if value is None:
        return
    try:
        entries = tomllib.loads(Path(value).read_text(encoding="utf-8"))
    except OSError as problem:
        raise OptionError(f"cannot read the config '{value}': {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise OptionError(f"the config '{value}' is not TOML: {problem}") from problem
    options = {
        option.opts[-1].lstrip("-"): option
        for option in ctx.command.params
        if isinstance(option, click.Option) and option.expose_value and option is not param
    }
    defaults: dict[str, Any] = {}
    for key, entry in entries.items():
        option = options.get(key.replace("_", "-"))
        if option is None:
            raise OptionError(
                f"unknown key '{key}' in the config '{value}'; {nearest(key, list(options))}"
            )
        if option.name is not None:
            defaults[option.name] = _config_value(key, entry, option, value)
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _config_value(key: str, entry: object, option: click.Option, config: str) -> object:
    """Bring one TOML value into the form that the command line would have."""
    if isinstance(entry, dict):
        raise OptionError(f"'{key}' in the config '{config}' is a table; put its keys at the top")
    if option.is_flag:
        if not isinstance(entry, bool):
            raise OptionError(f"'{key}' in the config '{config}' is {entry!r}; give true or false")
        return entry
    if option.multiple:
        return [str(item) for item in entry] if isinstance(entry, list) else [str(entry)]
    return ",".join(str(item) for item in entry) if isinstance(entry, list) else str(entry)


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --config; what stands on the command line wins over the file."""
    return click.option(
        "--config", metavar="FILE.toml", is_eager=True, expose_value=False, callback=_read_config,
        help="Take options from a TOML file with the same names as keys.",
    )(function)  # fmt: skip


def _apply(
    function: Callable[..., Any], decorators: list[Callable[..., Any]]
) -> Callable[..., Any]:
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def scene_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which pixels to take: keywords of `open_scene`."""
    return _apply(
        function,
        [
            click.option("--pan", metavar="FILE", help="The panchromatic image."),
            click.option(
                "--ms", metavar="FILE", multiple=True,
                help="The multispectral image; repeat it for one file per band.",
            ),
            click.option("--hsi", metavar="FILE", help="The hyperspectral cube to sharpen."),
            click.option("--msi", metavar="FILE", help="The multispectral guide of a cube."),
            click.option("--sensor", metavar="NAME", help="Sensor; see `pansharp sensors`."),
            click.option(
                "--ratio", type=Number(), metavar="N",
                help="MS pixel size over PAN pixel size, where the files do not say it.",
            ),
            click.option(
                "--bands", type=Bands(), metavar="LIST",
                help="MS bands to take, by number (from 1) or name: 3,2,1 or red,green.",
            ),
            click.option(
                "--bbox", type=NumberList("WEST,SOUTH,EAST,NORTH"), metavar="W,S,E,N",
                help="Only this rectangle, in the scene's own coordinates.",
            ),
            click.option(
                "--window", type=NumberList("ROW,COL,HEIGHT,WIDTH", whole=True),
                metavar="R,C,H,W", help="Only these PAN pixels.",
            ),
            click.option(
                "--nodata", type=Number(), metavar="N",
                help="Value of pixels without data, instead of the files' own.",
            ),
            click.option("--reader", metavar="NAME", help="Format; see `pansharp readers`."),
            click.option(
                "--ortho", metavar="auto|rpc|none",
                help="Orthorectify by RPC: images without a map projection, all with RPC, or "
                "none. [auto]",
            ),
            click.option(
                "--dem", metavar="FILE", help="Height model for that, metres above the ellipsoid."
            ),
            click.option(
                "--height", type=Number(), metavar="M",
                help="Height of the ground instead of a DEM, or what is added to the DEM. [RPC's]",
            ),
            click.option(
                "--radiometry", metavar="dn|radiance|reflectance",
                help="Counts, or what they mean at the top of the atmosphere. [dn]",
            ),
            click.option(
                "--esun", type=Numbers(), metavar="B,G,R,N",
                help="Solar irradiance of the MS bands where nobody knows it, W m-2 um-1.",
            ),
        ],
    )  # fmt: skip


def fuse_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how to fuse: fields of `FuseOptions`."""
    return click.option(
        "-m", "--model", metavar="NAME",
        help="Method; see `pansharp models`. [auto: the best on unseen blocks]",
    )(run_options(function))  # fmt: skip


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a fusion but for the method."""
    return _apply(
        function,
        [
            click.option(
                "-O", "--method", "method", type=Setting(), metavar="KEY=VALUE", multiple=True,
                help="Option of the method, as in -O block_size=128; `pansharp models NAME` "
                "lists them.",
            ),
            click.option(
                "--coregister", metavar="auto|off|DX,DY",
                help="Remove a shift between PAN and MS, or give it in PAN pixels. [auto]",
            ),
            click.option(
                "--strict", is_flag=True, default=None,
                help="Stop where PAN and MS lie far apart, or nobody can tell how.",
            ),
            click.option(
                "--mtf", metavar="auto|table|GAIN",
                help="MTF gain of the MS at Nyquist: the sensor's, else measured for networks. "
                "[auto]",
            ),
            click.option(
                "--adapt", metavar="auto|always|never",
                help="Train the network on the scene itself. [auto]",
            ),
            click.option("--adapt-steps", type=Whole(), metavar="N", help="Training steps."),
            click.option(
                "--adapt-minutes", type=Number(), metavar="N",
                help="Time that training may take; auto tries more networks in more time.",
            ),
            click.option(
                "--weights", metavar="NAME|FILE",
                help="Weights that the network starts from; see `pansharp weights list`.",
            ),
            click.option(
                "--save-weights", metavar="FILE",
                help="Keep the weights of the product (.safetensors) for the next scene.",
            ),
            click.option(
                "--checkpoint", metavar="DIR",
                help="Keep the state of the training there; a killed fusion goes on from it.",
            ),
            click.option("--seed", type=Whole(), metavar="N", help="Seed of training. [0]"),
            click.option(
                "--backproject", metavar="auto|0|1|2",
                help="Passes that make the product agree with the MS. [auto]",
            ),
            click.option(
                "--force", is_flag=True, default=None,
                help="Keep the network even where a classical method is better.",
            ),
            click.option("--tile", type=Whole(), metavar="N", help="Tile side in PAN pixels."),
            click.option(
                "--overlap", type=Whole(), metavar="N", help="Tile overlap in PAN pixels."
            ),
            click.option("--blend", metavar="hann|linear|crop", help="How tiles are joined."),
            click.option("--device", metavar="auto|cpu|cuda[:N]", help="Where to compute. [auto]"),
            click.option("--precision", metavar="float32|bf16", help="Networks only. [float32]"),
            click.option("--workers", type=Whole(), metavar="N", help="Threads. [all cores]"),
        ],
    )  # fmt: skip


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is written: fields of `FuseOptions`."""
    return _apply(
        function,
        [
            click.option(
                "--format", metavar="cog|gtiff|zarr",
                help="Container. [by the ending of -o, else cog]",
            ),
            click.option("--compress", metavar="zstd|deflate|lzw|none", help="[zstd]"),
            click.option("--dtype", metavar="source|uint16|int16|float32", help="[source]"),
            click.option(
                "--overwrite", is_flag=True, default=None, help="Replace an existing product."
            ),
            click.option("--no-card", is_flag=True, default=None, help="Write no score card."),
        ],
    )  # fmt: skip


def open_input(path: str | None, values: dict[str, Any]) -> Scene:
    """Open the scene that the arguments name.

    Parameters
    ----------
    path : str or None
        SCENE of the command line.
    values : dict
        Values of the options of `scene_options`.

    Raises
    ------
    PansharpError
        Whatever the reader finds wrong.
    """
    given = {key: values[key] for key in SCENE_KEYS if values.get(key) not in (None, ())}
    if "ms" in given:
        files = list(given["ms"])
        given["ms"] = files[0] if len(files) == 1 else files
    from pansharp.readers import open_scene

    return open_scene(path, **given)


def split_values(path: str | None, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the scene and those of the fusion, once it is clear that there is an input.

    Raises
    ------
    click.UsageError
        When neither SCENE nor files are given.
    """
    scene = {key: value for key, value in values.items() if key in SCENE_KEYS}
    if path is None and not any(scene.get(key) for key in ("pan", "ms", "hsi", "msi")):
        raise click.UsageError("give a SCENE, or the files with --pan and --ms")
    return scene, {key: value for key, value in values.items() if key not in SCENE_KEYS}


def checked_options(values: dict[str, Any]) -> FuseOptions:
    """Validate what the user gave and complete it with the library's defaults."""
    from pansharp.pipeline import FuseOptions

    given = {key: value for key, value in values.items() if value is not None}
    if given.pop("no_card", False):
        given["card"] = False
    if own := dict(given.pop("method", ())):
        given["method"] = own
    for key in WORDS & given.keys():
        given[key] = given[key].lower()
    return FuseOptions.checked(**given)
