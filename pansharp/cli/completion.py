"""`pansharp completion`: the script that makes a shell complete the command line."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pansharp.cli._complete import VARIABLE
from pansharp.cli._output import print_json
from pansharp.cli.options import json_option, verbosity_options
from pansharp.errors import OptionError
from pansharp.registry import nearest

__all__ = ["command"]

#: Shell to what its user does with the script.
_INSTALL = {
    "bash": "pansharp completion bash > ~/.pansharp-complete.bash && "
    "echo '. ~/.pansharp-complete.bash' >> ~/.bashrc",
    "zsh": "pansharp completion zsh > ~/.pansharp-complete.zsh && "
    "echo '. ~/.pansharp-complete.zsh' >> ~/.zshrc",
    "fish": "pansharp completion fish > ~/.config/fish/completions/pansharp.fish",
}


@click.command(
    name="completion",
    epilog="""\b
Examples:
  pansharp completion bash > ~/.pansharp-complete.bash
  pansharp completion zsh
  pansharp completion fish > ~/.config/fish/completions/pansharp.fish
""",
)
@click.argument("shell", metavar="bash|zsh|fish")
@json_option
@verbosity_options
@click.pass_context
def command(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print the script that completes commands, options, names and files in SHELL.

    Its last line says how to install it. Models, sensors, readers and weights are completed by
    name.
    """
    made = get_completion_class(shell.lower()) if shell.lower() in _INSTALL else None
    if made is None:
        raise OptionError(f"there is no completion for '{shell}'; {nearest(shell, list(_INSTALL))}")
    root = ctx.find_root()
    script = made(root.command, {}, "pansharp", VARIABLE).source().strip()
    install = _INSTALL[shell.lower()]
    if as_json:
        print_json({"shell": shell.lower(), "script": script, "install": install})
    else:
        # At the end, where it is seen: zsh wants its own comment in the first line.
        click.echo(f"{script}\n# Install: {install}")
