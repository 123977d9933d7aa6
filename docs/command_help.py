"""A hook of the documentation's builder: puts the help of every command into its page, so that both are one text."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

from latentfields.cli.main import parse

PLACEHOLDER = "COMMANDS"
RULE = re.compile(r"[─-]{8,}")
CHOICES = re.compile(r"^usage: .*?\{([a-z0-9,-]+)\}\s*$", re.DOTALL | re.MULTILINE)


def help_text(command: tuple[str, ...]) -> str:
    """What `latentfields COMMAND --help` prints, without the terminal's decoration."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        parse([*command, "--help"])
    lines = (
        line.strip("│╭╮╰╯─- ") if RULE.search(line) else line.strip("│").rstrip()
        for line in printed.getvalue().splitlines()
    )
    return "\n".join(lines)


def commands(command: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command that does something, with its help; groups are passed through."""
    text = help_text(command)
    # A group's usage ends in its subcommands; that of a command may hold choices, but then has options after them.
    group = CHOICES.match(text.split("\n\n")[0])
    if group is None:
        yield command, text
        return
    for name in group[1].split(","):
        yield from commands((*command, name))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called for every page: replaces the placeholder, on a line of its own, by all commands."""
    if not re.search(rf"^{PLACEHOLDER}$", markdown, re.MULTILINE):
        return markdown
    sections = (f"## {' '.join(command)}\n\n```text\n{text}\n```" for command, text in commands())
    return re.sub(rf"^{PLACEHOLDER}$", lambda _: "\n\n".join(sections), markdown, flags=re.MULTILINE)
