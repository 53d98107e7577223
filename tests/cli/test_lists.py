from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from pansharp.cli._output import span, table
from pansharp.models import list_models
from pansharp.sensors import list_sensors

Run = Callable[..., Result]


def test_sensors_table_and_json_agree(run: Run) -> None:
    lines = run("sensors").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list_sensors()
    documents = json.loads(run("sensors", "--json").stdout)
    assert [document["name"] for document in documents] == list_sensors()
    by_name = {document["name"]: document for document in documents}
    assert by_name["worldview3"]["gains_assumed"] is False
    assert by_name["gaofen2"]["gains_assumed"] is True


def test_one_sensor(run: Run) -> None:
    assert "coastal" in run("sensors", "wv3").stdout
    document = json.loads(run("sensors", "WV3", "--json").stdout)
    assert document["bands"][1]["name"] == "blue"


def test_unknown_sensor_is_an_error_with_near_names(run: Run) -> None:
    result = run("sensors", "wv33")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "'wv3'" in result.stderr


def test_models_table_and_json_agree(run: Run) -> None:
    lines = run("models").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list_models()
    documents = json.loads(run("models", "--json").stdout)
    assert [document["name"] for document in documents] == list_models()


def test_models_are_filtered(run: Run) -> None:
    documents = json.loads(run("models", "--kind", "Network", "--task", "pan", "--json").stdout)
    assert {document["kind"] for document in documents} == {"network"}
    assert "rescnn" in {document["name"] for document in documents}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["brovi"], "did you mean 'brovey'"),
        (["--kind", "netwrk"], "did you mean 'network'"),
        (["--task", "x"], "choose one of: hsi, pan"),
    ],
)
def test_wrong_names_of_models(run: Run, arguments: list[str], text: str) -> None:
    result = run("models", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert text in result.stderr


def test_one_model(run: Run) -> None:
    text = run("models", "mtf-glp-fs").stdout
    assert "classical" in text
    assert json.loads(run("models", "mtf-glp-fs", "--json").stdout)["name"] == "mtf-glp-fs"


def test_readers(run: Run) -> None:
    documents = json.loads(run("readers", "--json").stdout)
    assert "pair" in {document["name"] for document in documents}
    assert all(document["summary"] for document in documents)
    assert [line.split()[0] for line in run("readers").stdout.splitlines()[1:]] == [
        document["name"] for document in documents
    ]


@pytest.mark.parametrize(
    ("limits", "text"),
    [(None, "any"), ((2, 8), "2-8"), ((4, 4), "4"), ((3, None), "3 or more"), ((1.5, 6), "1.5-6")],
)
def test_span(limits: tuple[float, float | None] | None, text: str) -> None:
    assert span(limits) == text


def test_table_aligns_columns() -> None:
    lines = table(("a", "long title", "x"), [("bbb", "c", "last one"), ("d", "e", "")]).splitlines()
    assert lines == ["a    long title  x", "bbb  c           last one", "d    e"]
