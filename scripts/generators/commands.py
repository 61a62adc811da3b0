"""docs/commands.md: every command with its arguments and options, and the exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

import click

from encoder_bridge.cli import EXIT_CODES, PROGRAM, cli

_HEAD = """\
# Commands

<!-- Made from the code by scripts/generate. -->

Every command explains itself with `--help`. Where `--json` is offered, errors are JSON on standard output as well:
`{"error": {"type": …, "message": …, "exit_code": …}}`; else an error is one sentence on standard error. Commands
that read the store may run beside the daemon; none shows personal data or card contents.
"""


def commands() -> str:
    """The whole page."""
    parts = [_HEAD, *_section(cli, PROGRAM, None), "## Exit codes\n", "| code | meaning |", "| --- | --- |"]
    parts += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(parts) + "\n"


def _section(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=parent)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if member := command.get_command(context, name):
                yield from _section(member, f"{path} {name}", context)
        return
    yield f"## {path}\n"
    yield f"    {path} {' '.join(command.collect_usage_pieces(context))}\n"
    yield cleandoc(command.help or "") + "\n"
    options = [
        record
        for param in command.params
        if isinstance(param, click.Option) and (record := param.get_help_record(context))
    ]
    if options:
        yield "| option | meaning |"
        yield "| --- | --- |"
        yield from (f"| `{names}` | {about} |" for names, about in map(_escaped, options))
        yield ""


def _escaped(record: tuple[str, str]) -> tuple[str, str]:
    names, about = record
    return names.replace("|", "\\|"), about.replace("|", "\\|")
