"""The `pansharp` command: a click group that imports a command only when it runs."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
import warnings
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from pansharp import __version__
from pansharp.cli import _output
from pansharp.cli.options import verbosity_options
from pansharp.errors import PansharpError, PansharpWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

#: Command name to its line in `pansharp --help`; the module is ``pansharp.cli.<name>``.
COMMANDS: dict[str, str] = {
    "fuse": "Fuse one scene into one product, with its score card.",
    "evaluate": "Score a product, or fuse a scene and score the result.",
    "benchmark": "Run methods on scenes: tables of scores, time and memory.",
    "batch": "Fuse every scene of an archive, on one or many machines.",
    "train": "Train a network on your own data: weights with a card, logs, curves.",
    "info": "Say what was found at a path: sensor, bands, grids, models that fit.",
    "models": "List the fusion methods.",
    "sensors": "List the sensors with bands and MTF gains.",
    "readers": "List the formats that can be read.",
    "weights": "List, inspect and import files of trained weights.",
    "demo": "Run the whole job on a small real cube, offline.",
}

_EXIT_ERROR = 1
_EXIT_INTERRUPTED = 130


class LazyGroup(click.Group):
    """Group that imports a command on use and turns errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"pansharp.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"pansharp.cli.{cmd_name}.command is not a click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown name is answered with the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = get_close_matches(args[0].lower(), COMMANDS, n=1, cutoff=0.5)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise click.UsageError(f"no command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line; in standalone mode leave with the exit code."""

        def run() -> Any:
            return super(LazyGroup, self).main(
                args,
                prog_name or "pansharp",
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )

        if not standalone_mode:
            return run()
        sys.exit(_guarded(run))


def _guarded(run: Callable[[], Any]) -> int:
    """Run, print what went wrong as one line, and return the exit code."""
    _output.configure_logging(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=PansharpWarning)
        warnings.showwarning = _output.show_warning
        try:
            result = run()
            sys.stdout.flush()
        except click.ClickException as problem:
            problem.show()
            return problem.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            return _EXIT_INTERRUPTED
        except PansharpError as problem:
            return _report(str(problem))
        except BrokenPipeError:
            # The reader of our output (head, less) went away: not an error of ours, but the
            # interpreter would complain again when it flushes stdout at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return _EXIT_ERROR
        except MemoryError as problem:
            detail = f" ({problem})" if str(problem) else ""
            return _report(f"out of memory{detail}; use a smaller --tile or fewer --workers")
        except OSError as problem:
            return _report(_describe_os_error(problem))
    return result if isinstance(result, int) else 0


def _describe_os_error(problem: OSError) -> str:
    """The operating system's complaint with the file it is about."""
    text = problem.strerror or str(problem) or type(problem).__name__
    return f"{problem.filename}: {text}" if problem.filename else text


def _report(message: str) -> int:
    """Print the error line (and with -vv the traceback) on stderr."""
    if logging.getLogger("pansharp").isEnabledFor(logging.DEBUG):
        click.echo(traceback.format_exc().rstrip(), err=True)
    click.echo("error: " + " ".join(message.split()), err=True)
    return _EXIT_ERROR


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  pansharp fuse delivery/                        best method for this scene
  pansharp fuse --pan pan.tif --ms ms.tif -m mtf-glp-fs -o fused.tif
  pansharp demo
""",
)
@click.version_option(__version__, prog_name="pansharp")
@verbosity_options
def main() -> None:
    """Pansharpening and hyperspectral fusion that proves its result.

    Results go to stdout, messages to stderr. Exit codes: 0 done, 1 error (one line on
    stderr), 2 wrong usage, 3 some scenes or methods failed, 130 interrupted.
    """
