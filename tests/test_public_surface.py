"""The names that users rely on: an addition or a change must show up here."""

from __future__ import annotations

import importlib
import inspect

import pytest

import pansharp
from pansharp import errors

PUBLIC = [
    "Report",
    "Scene",
    "__version__",
    "benchmark",
    "create_model",
    "evaluate",
    "fuse",
    "fuse_arrays",
    "get_sensor",
    "list_models",
    "list_readers",
    "list_sensors",
    "open_product",
    "open_scene",
    "write",
]

# A parameter that users give by position, whatever its name.
ANY = "*"
# Module, function: parameters by position, then keywords with their default.
SIGNATURES: list[tuple[str, str, list[str], dict[str, object]]] = [
    (
        "pansharp",
        "open_scene",
        ["path"],
        {
            **dict.fromkeys(
                ("pan", "ms", "hsi", "msi", "sensor", "reader", "dem", "height", "esun")
            ),
            **{"ortho": "auto", "radiometry": "dn"},
        },
    ),
    ("pansharp", "fuse", [ANY, "model"], {}),
    (
        "pansharp",
        "benchmark",
        ["scenes", "models"],
        {
            "output": None,
            "protocol": "both",
            "conventions": "toolbox2021",
            "cut": None,
            "bits": None,
            "overwrite": False,
        },
    ),
    ("pansharp", "write", ["fused", "path"], {"format": None}),
    ("pansharp", "open_product", ["path"], {}),
    (
        "pansharp",
        "fuse_arrays",
        ["pan", "ms", "model"],
        {"ratio": 4, "sensor": None, "dtype": "float32"},
    ),
    ("pansharp", "create_model", ["name"], {}),
    ("pansharp", "list_models", [], {}),
    ("pansharp", "list_sensors", [], {}),
    ("pansharp", "list_readers", [], {}),
    ("pansharp.evaluation", "ergas", ["reference", "fused"], {"ratio": 4, "mask": None}),
    ("pansharp.evaluation", "sam", ["reference", "fused"], {"mask": None}),
    (
        "pansharp.evaluation",
        "q2n",
        ["reference", "fused"],
        {"block_size": 32, "shift": 32, "rounding": "uint16", "mask": None},
    ),
    ("pansharp.evaluation", "q", ["reference", "fused"], {"mask": None}),
    ("pansharp.evaluation", "scc", ["reference", "fused"], {"variant": "2021", "mask": None}),
    (
        "pansharp.evaluation",
        "ssim",
        ["reference", "fused"],
        {"data_range": inspect.Parameter.empty, "mask": None},
    ),
    (
        "pansharp.evaluation",
        "psnr",
        ["reference", "fused"],
        {"data_range": inspect.Parameter.empty, "pooled": True, "mask": None},
    ),
    ("pansharp.evaluation", "rmse", ["reference", "fused"], {"mask": None}),
    ("pansharp.evaluation", "cc", ["reference", "fused"], {"mask": None}),
    ("pansharp.evaluation", "d_lambda", ["fused", "ms"], {"ratio": 4, "mask": None}),
    ("pansharp.evaluation", "d_s", ["fused", "ms", "pan"], {"ratio": 4, "mask": None}),
    ("pansharp.evaluation", "qnr", ["fused", "ms", "pan"], {"ratio": 4, "mask": None}),
    (
        "pansharp.evaluation",
        "d_lambda_k",
        ["fused", "ms"],
        {"sensor": inspect.Parameter.empty, "ratio": 4, "mask": None},
    ),
    (
        "pansharp.evaluation",
        "hqnr",
        ["fused", "ms", "pan"],
        {"sensor": inspect.Parameter.empty, "ratio": 4, "mask": None},
    ),
    (
        "pansharp.evaluation",
        "evaluate",
        [],
        {
            **dict.fromkeys(("reference", "fused", "pan", "ms", "sensor", "mask", "data_range")),
            **{"ratio": 4, "block_size": 32, "rounding": "uint16", "workers": 1, "maps": None},
        },
    ),
    (
        "pansharp.evaluation",
        "block_maps",
        [],
        {"fused": inspect.Parameter.empty, "block_size": 32},
    ),
    ("pansharp.filters", "mtf_kernel", ["sensor", "ratio", "band"], {}),
    ("pansharp.filters", "interp23", ["ms", "ratio"], {}),
    ("pansharp.filters", "degrade", ["ms", "pan"], {}),
    ("pansharp.models", "import_official", ["name", "state_dict"], {}),
    (
        "pansharp.training",
        "train",
        ["model", "data"],
        {"output": inspect.Parameter.empty, "resume": False, "overwrite": False},
    ),
    ("pansharp.weights", "save_weights", ["path", "state_dict", "card"], {}),
    ("pansharp.weights", "load_weights", ["path"], {}),
    ("pansharp.weights", "read_card", ["path"], {}),
    ("pansharp.weights", "find_weights", ["name_or_path"], {}),
    ("pansharp.weights", "list_weights", [], {"check": True}),
    ("pansharp.weights", "restore", ["card", "state"], {}),
    (
        "pansharp.weights",
        "check_fits",
        ["card"],
        {
            **dict.fromkeys(("bands", "ratio"), inspect.Parameter.empty),
            **dict.fromkeys(("network", "task", "pan_bands", "sensor", "largest")),
            **dict.fromkeys(("band_names", "wavelengths_nm", "mtf_gains"), ()),
        },
    ),
    (
        "pansharp.models",
        "build_network",
        ["name"],
        {"ms_bands": inspect.Parameter.empty, "pan_bands": 1, "ratio": 4},
    ),
]


def test_public_names_are_recorded() -> None:
    assert sorted(pansharp.__all__) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_exist(name: str) -> None:
    value = getattr(pansharp, name)
    assert value is getattr(pansharp, name)
    assert name in dir(pansharp)
    if name != "__version__":
        assert value.__name__ == name
        assert value.__doc__, f"pansharp.{name} has no docstring"


def test_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'fuze'"):
        pansharp.__getattr__("fuze")


@pytest.mark.parametrize(
    ("module", "function", "positional", "keywords"),
    SIGNATURES,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_signatures_hold(
    module: str, function: str, positional: list[str], keywords: dict[str, object]
) -> None:
    signature = inspect.signature(getattr(importlib.import_module(module), function))
    parameters = signature.parameters
    by_position = [
        name for name, p in parameters.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    assert len(by_position) >= len(positional)
    for found, expected in zip(by_position, positional, strict=False):
        assert expected in (found, ANY)
    for name, default in keywords.items():
        assert name in parameters, f"{module}.{function} lacks {name}="
        assert parameters[name].default == default


def test_every_error_is_a_pansharp_error_and_speaks_one_line() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        root = errors.PansharpWarning if name.endswith("Warning") else errors.PansharpError
        assert issubclass(kind, root)
        assert str(kind("two words")) == "two words"


def test_errors_are_also_what_python_programs_expect() -> None:
    assert issubclass(errors.SceneError, ValueError)
    assert issubclass(errors.ReaderError, OSError)
    assert issubclass(errors.UnknownModelError, KeyError)
    assert issubclass(errors.UnknownSensorError, KeyError)
    assert issubclass(errors.WriteError, OSError)
