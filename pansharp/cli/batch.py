"""`pansharp batch`: every scene of an archive."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from pansharp.cli import options
from pansharp.cli._output import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.batch.plan import Plan

__all__ = ["command"]

_SOME_FAILED = 3
#: Options of one fusion that an archive has in another meaning, or not at all.
_OTHERS = ("adapt", "workers", "save_weights", "checkpoint")


def _without(function: Callable[..., Any]) -> Callable[..., Any]:
    """Take options of one fusion off a command that has its own of that name."""
    kept = [p for p in function.__click_params__ if p.name not in _OTHERS]  # type: ignore[attr-defined]
    function.__click_params__ = kept  # type: ignore[attr-defined]
    return function


@click.command(
    name="batch",
    epilog="""\b
Examples:
  pansharp batch archive/ -m mtf-glp-fs -o products/             everything below a folder
  pansharp batch archive/ -o products/ --dry-run                 what would be done
  pansharp batch 'in/*.tar.gz' -m rescnn -o out/ --workers 8
  pansharp batch catalog.json -o out/ --scheduler tcp://10.0.0.1:8786
""",
)
@click.argument("archive", nargs=-1, metavar="ARCHIVE...")
@click.option(
    "-o", "--output", metavar="DIR", required=True, help="Folder of products, summary and state."
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and write nothing.")
@click.option(
    "--workers", type=options.Whole(), metavar="N",
    help="Worker processes. [by cores and memory]",
)  # fmt: skip
@click.option(
    "--threads", type=options.Whole(), metavar="N", help="Threads of a scene. [cores / workers]"
)
@click.option("--memory", metavar="SIZE", help="Memory of a worker, as in 4GiB. [its share]")
@click.option(
    "--scheduler", metavar="ADDRESS", help="A running Dask scheduler, as in tcp://10.0.0.1:8786."
)
@click.option(
    "--dashboard", metavar="[HOST]:PORT", help="Dask's dashboard of the own workers. [off]"
)
@click.option(
    "--adapt", metavar="per-scene|once-per-sensor|never|always",
    help="Fit networks to each scene, or to the first of each sensor, whose weights the others "
    "start from. [per-scene]",
)  # fmt: skip
@click.option(
    "--retries", type=options.Whole(), metavar="N",
    help="Times that an unexpected failure is tried again. [1]",
)  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Try scenes that failed in an earlier run.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first scene that fails.")
@click.option(
    "--max-failures", type=options.Whole(), metavar="N", help="Stop when N scenes have failed."
)
@click.option("--verify", is_flag=True, help="Read every finished product and compare its digest.")
@_without
@options.fuse_options
@options.scene_options
@options.output_options
@options.config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line for each event.")
@options.verbosity_options
def command(archive: tuple[str, ...], as_json: bool, dry_run: bool, **values: Any) -> int:
    """Fuse every scene of ARCHIVE into DIR, and go on where an earlier run stopped.

    ARCHIVE is a folder (its whole tree), a text file with one path a line, a glob, a STAC
    catalogue, a packed delivery, or several of these. A scene that fails does not stop the others:
    exit code 3, reasons in DIR/summary.html, logs in DIR/logs. Run the same command again to
    continue; what is finished and unchanged is not done again.
    """
    given = _given(values)
    if dry_run:
        from pansharp.batch import plan_batch

        plan = plan_batch(archive, **given)
        click.echo(json.dumps(_document(plan)) if as_json else _shown(plan))
        return 0
    from pansharp.batch import run_batch
    from pansharp.batch.progress import BarListener, JsonListener

    listener = JsonListener(sys.stdout) if as_json else BarListener()
    with listener:
        result = run_batch(archive, listener=listener, **given)
    counts = result.document["counts"]
    if as_json:
        click.echo(json.dumps({"event": "summary", **result.document}, ensure_ascii=False))
    else:
        click.echo(str(result.output / "summary.html"))
        line = f"{counts['done']} of {counts['scenes']} scenes are done"
        line += "" if result.did else ", nothing was to do"
        line += f", {counts['failed']} failed" if counts["failed"] else ""
        line += f", {counts['waiting']} were not begun" if counts["waiting"] else ""
        click.echo(line)
    if result.left:
        click.echo(
            f"{len(result.left)} failed before and were left alone; --retry-failed tries them "
            "again",
            err=True,
        )
    return 0 if result.complete else _SOME_FAILED


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Options that the user gave, as the library takes them."""
    given = {key: value for key, value in values.items() if value not in (None, (), False)}
    if "ms" in given and len(given["ms"]) == 1:
        given["ms"] = given["ms"][0]
    if given.pop("no_card", False):
        given["card"] = False
    if own := dict(given.pop("method", ())):
        given["method"] = own
    return {k: v.lower() if k in options.WORDS else v for k, v in given.items()}


def _shown(plan: Plan) -> str:
    lines = []
    if plan.todo:
        rows = [
            [plan.rows[path]["name"], f"{plan.sizes[path] / 1e6:.1f} MB", plan.why[path], path]
            for path in plan.todo
        ]
        lines.append(table(["scene", "size", "why", "path"], rows))
    total = sum(plan.sizes[path] for path in plan.todo) / 1e9
    rest = len(plan.rows) - len(plan.todo) - len(plan.left)
    lines.append(
        f"{len(plan.rows)} scenes: {len(plan.todo)} to do ({total:.2f} GB), {rest} done, "
        f"{len(plan.left)} failed before and left alone"
    )
    return "\n".join(lines)


def _document(plan: Plan) -> dict[str, Any]:
    return {
        "event": "plan",
        "scenes": [
            {
                "scene": row["name"],
                "path": path,
                "bytes": plan.sizes[path],
                "why": plan.why.get(path),
                "status": row["status"],
            }
            for path, row in plan.rows.items()
        ],
        "todo": len(plan.todo),
        "bytes": sum(plan.sizes[path] for path in plan.todo),
    }
