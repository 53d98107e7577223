"""`pansharp models`: the fusion methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pansharp.cli._output import print_json, span, table
from pansharp.cli.options import json_option, verbosity_options
from pansharp.errors import OptionError
from pansharp.registry import nearest

if TYPE_CHECKING:
    from pansharp.models.base import ModelSpec

__all__ = ["command"]

_FILTERS = {"kind": ("classical", "network", "external"), "task": ("pan", "hsi")}


def _check(option: str, value: str | None) -> str | None:
    if value is None or value.lower() in _FILTERS[option]:
        return None if value is None else value.lower()
    raise OptionError(f"--{option} is '{value}'; {nearest(value, list(_FILTERS[option]))}")


def _details(spec: ModelSpec) -> str:
    from pansharp.models import list_options

    rows = [
        ("name", spec.name),
        ("kind", spec.kind),
        ("tasks", ", ".join(spec.tasks)),
        ("bands", span(spec.bands)),
        ("ratio", span(spec.ratio)),
        ("does", spec.summary),
        ("reference", spec.reference),
        ("options", ", ".join(f"{k}={v}" for k, v in list_options(spec.name).items())),
        ("note", spec.note),
    ]
    return "\n".join(f"{name:<10} {text}" for name, text in rows if text)


@click.command(
    name="models",
    epilog="""\b
Examples:
  pansharp models
  pansharp models mtf-glp-fs
  pansharp models --kind network --json
""",
)
@click.argument("name", required=False)
@click.option("--kind", metavar="classical|network|external", help="Only this family.")
@click.option("--task", metavar="pan|hsi", help="Only methods for this task.")
@json_option
@verbosity_options
def command(name: str | None, kind: str | None, task: str | None, as_json: bool) -> None:
    """List the fusion methods, or say everything about the method NAME."""
    kind, task = _check("kind", kind), _check("task", task)
    from pansharp.models import get_spec, list_models

    if name is not None:
        spec = get_spec(name)
        if as_json:
            print_json(spec)
        else:
            click.echo(_details(spec))
        return
    specs = [get_spec(known) for known in list_models()]
    specs = [s for s in specs if kind in (None, s.kind) and (task is None or task in s.tasks)]
    if as_json:
        print_json(specs)
        return
    rows = [
        (s.name, s.kind, ",".join(s.tasks), span(s.bands), span(s.ratio), s.reference or s.summary)
        for s in specs
    ]
    click.echo(table(("name", "kind", "tasks", "bands", "ratio", "reference"), rows))
