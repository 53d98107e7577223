from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]


def test_default_output_and_two_lines(run: Run, calls: Any) -> None:
    result = run("fuse", "delivery", "-m", "brovey")
    assert result.exit_code == 0, result.stderr
    assert calls.opened == ("delivery", {})
    assert calls.target == Path("site_brovey.tif")
    assert result.stdout == "site_brovey.tif\nverdict: better\n"


def test_json_is_the_only_output(run: Run, calls: Any) -> None:
    result = run("fuse", "delivery", "-m", "exp", "--json", "-v")
    document = json.loads(result.stdout)
    assert document == {"product": "site_exp.tif", "verdict": "better", "rho": None}


def test_options_reach_the_pipeline(run: Run, calls: Any) -> None:
    result = run(
        "fuse", "--pan", "p.tif", "--ms", "a.tif", "--ms", "b.tif", "--sensor", "wv3",
        "--ratio", "4", "--bands", "3,red", "--bbox", "1,2,3.5,4", "--window", "5,6,7,8",
        "--nodata", "0", "--reader", "pair", "-m", "gsa", "--coregister", "off", "--mtf", "0.35",
        "--adapt", "never",
        "--adapt-steps", "50", "--seed", "7", "--backproject", "2", "--force", "--tile", "512",
        "--overlap", "32", "--blend", "Crop", "--device", "cpu", "--precision", "float32",
        "--workers", "2", "--format", "gtiff", "--compress", "none", "--dtype", "float32",
        "--overwrite", "--no-card",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert calls.opened == (
        None,
        {
            "pan": "p.tif", "ms": ["a.tif", "b.tif"], "sensor": "wv3", "ratio": 4.0,
            "bands": (2, "red"), "bbox": (1.0, 2.0, 3.5, 4.0), "window": (5, 6, 7, 8),
            "nodata": 0.0, "reader": "pair",
        },
    )  # fmt: skip
    assert calls.options.values == {
        "model": "gsa", "coregister": "off", "mtf": "0.35", "adapt": "never",
        "adapt_steps": 50, "seed": 7,
        "backproject": "2", "force": True, "tile": 512, "overlap": 32, "blend": "crop",
        "device": "cpu", "precision": "float32", "workers": 2, "format": "gtiff",
        "compress": "none", "dtype": "float32", "overwrite": True, "card": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("block_size=128", {"block_size": 128}),
        ("weights=0.5,0.5", {"weights": [0.5, 0.5]}),
        ("weights=blue=0.2, NIR=1", {"weights": {"blue": 0.2, "NIR": 1}}),
        ("weights=sensor", {"weights": "sensor"}),
    ],
)
def test_options_of_the_method(run: Run, calls: Any, text: str, value: dict[str, object]) -> None:
    name = "bdsd" if "block" in text else "wbrovey"
    assert run("fuse", "x", "-m", name, "-O", text).exit_code == 0
    assert calls.options.values["method"] == value


def test_nothing_given_leaves_the_defaults_to_the_library(run: Run, calls: Any) -> None:
    run("fuse", "x")
    assert calls.options.values == {}


def test_one_ms_file_stays_a_path(run: Run, calls: Any) -> None:
    run("fuse", "--pan", "p.tif", "--ms", "m.tif")
    assert calls.opened == (None, {"pan": "p.tif", "ms": "m.tif"})


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["-o", "out.zarr"], "out.zarr"),
        (["--format", "zarr"], "site_auto.zarr"),
        (["-o", "folder"], "folder/site_auto.tif"),
        (["-o", "named.tif"], "named.tif"),
    ],
)
def test_where_the_product_goes(run: Run, calls: Any, arguments: list[str], name: str) -> None:
    Path("folder").mkdir()
    assert run("fuse", "x", *arguments).exit_code == 0
    assert calls.target == Path(name)
    assert calls.options.values.get("format", "cog") == ("zarr" if "zarr" in name else "cog")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--compress", "zst"], "did you mean 'zstd'"),
        (["--tile", "big"], "--tile is 'big'; give a whole number"),
        (["--ratio", "four"], "--ratio is 'four'; give a number"),
        (["--bbox", "1,2,3"], "give the numbers WEST,SOUTH,EAST,NORTH"),
        (["--window", "1,2,3,4.5"], "give the whole numbers ROW,COL,HEIGHT,WIDTH"),
        (["--nodata", "zero"], "--nodata is 'zero'; give a number"),
        (["-O", "weights=blue=0.2,0.3"], "give every part a name of its own"),
        (["-O", "weights=blue=1,blue=2"], "give every part a name of its own"),
        (["--bands", ","], "--bands is empty"),
        (["--bands", "0"], "counted from 1"),
        (["-o", "absent/f.tif"], "the folder 'absent' does not exist"),
        (["-o", "f.zarr", "--format", "cog"], "does not fit"),
    ],
)
def test_wrong_values_end_with_1_and_one_line(
    run: Run, calls: Any, arguments: list[str], text: str
) -> None:
    result = run("fuse", "x", *arguments)
    assert result.exit_code == 1
    assert text in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert calls.target is None


def test_no_input_is_usage(run: Run, calls: Any) -> None:
    result = run("fuse", "-m", "gsa")
    assert result.exit_code == 2
    assert "--pan and --ms" in result.stderr


def test_existing_product_is_kept(run: Run, calls: Any) -> None:
    Path("f.tif").write_text("old")
    result = run("fuse", "x", "-o", "f.tif")
    assert result.exit_code == 1
    assert "pass --overwrite" in result.stderr
    assert calls.target is None
    assert run("fuse", "x", "-o", "f.tif", "--overwrite").exit_code == 0


class TestConfig:
    def test_keys_are_defaults_and_the_line_wins(self, run: Run, calls: Any) -> None:
        Path("c.toml").write_text(
            'model = "gsa"\nadapt-steps = 40\nbackproject = 1\nforce = true\nseed = 3\n'
            'ms = ["a.tif", "b.tif"]\npan = "p.tif"\nwindow = [0, 0, 8, 8]\nno_card = true\n'
        )
        result = run("fuse", "--config", "c.toml", "--seed", "4")
        assert result.exit_code == 0, result.stderr
        assert calls.options.values == {
            "model": "gsa", "adapt_steps": 40, "backproject": "1", "force": True, "seed": 4,
            "card": False,
        }  # fmt: skip
        assert calls.opened[1]["ms"] == ["a.tif", "b.tif"]
        assert calls.opened[1]["window"] == (0, 0, 8, 8)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("modle = 'gsa'", "unknown key 'modle' in the config 'c.toml'; did you mean 'model'"),
            ("config = 'd.toml'", "unknown key 'config'"),
            ("force = 'yes'", "give true or false"),
            ("[fuse]\nmodel = 'gsa'", "unknown key 'fuse'"),
            ("[model]\na = 1", "'model' in the config 'c.toml' is a table"),
            ("model = ", "is not TOML"),
            ("tile = 'big'", "--tile is 'big'"),
        ],
    )
    def test_errors(self, run: Run, calls: Any, text: str, message: str) -> None:
        Path("c.toml").write_text(text)
        result = run("fuse", "x", "--config", "c.toml")
        assert result.exit_code == 1
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1

    def test_missing_file(self, run: Run, calls: Any) -> None:
        result = run("fuse", "x", "--config", "absent.toml")
        assert result.exit_code == 1
        assert "cannot read the config 'absent.toml'" in result.stderr
