"""What is wrong with a command line, in two lines: the mistake with the nearest that exists, and where the rest stands.

The parser says it in a box, with options of other commands beside those of the one that was called.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

PROGRAM = "latentfields"
_RULE = "─-"
_FRAME = "│|"
_UNKNOWN = "Unrecognized options: "
_MISPLACED = "Unrecognized or misplaced options:"
_APPLIED = re.compile(r"(\S+) \(applied to [^)]*\)")
_MISSING = re.compile(r"Missing value for argument '(?:command\.)?([^']+)'.*")
_PARSING = re.compile(r"Error parsing (--\S+):")
_CHOICES = re.compile(r"Expected one of \(([^)]*)\)\.")
_KINDS = {"FLOAT": "a number", "INT": "a whole number", "PATH": "a path", "STR": "a text"}
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w.-]*")
_CLOSE = 0.6
"""Similarity, from 0 to 1, from which a name is suggested."""


@contextlib.contextmanager
def explained(arguments: Sequence[str], help_text: Callable[[Sequence[str]], str]) -> Iterator[None]:
    """Say in two lines on stderr what the parser, called in this block, refuses; it exits as it did.

    `help_text` gives the help of a command line without the mistake.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit as error:
        if error.code and said.getvalue():
            print("\n".join(two_lines(said.getvalue(), arguments, help_text)), file=sys.stderr)
            raise SystemExit(error.code) from None
        sys.stderr.write(said.getvalue())
        raise
    sys.stderr.write(said.getvalue())


def two_lines(
    box: str, arguments: Sequence[str], help_text: Callable[[Sequence[str]], str]
) -> tuple[str, str]:
    """The mistake that the parser's `box` is about, and the command that shows more."""
    problem = _first_paragraph(_plain(box))
    words = _command(arguments, help_text)
    command = " ".join([PROGRAM, *words])
    more = f"{command} --help lists what there is"
    unknown = _unknown(problem)
    if missing := _MISSING.fullmatch(problem):
        # An option that does not exist has taken what was meant for the argument.
        known = _OPTION.findall(_plain(help_text([*words, "--help"])))
        unknown = [name for name in map(_name, arguments) if name.startswith("--") and name not in known]
        problem = f"{missing[1]}: is missing"
    if not unknown:
        return f"error: {_in_words(problem, _plain(box), arguments)}", more
    wrong = next((name for name in unknown if name.startswith("-")), unknown[0]).partition("=")[0]
    if not words:
        return f"error: {wrong}: no such command{_nearest(wrong, _commands(help_text(['--help'])))}", more
    if not wrong.startswith("-"):
        if commands := _commands(help_text([*words, "--help"])):
            return f"error: {wrong}: no such command of {command}{_nearest(wrong, commands)}", more
        return f"error: {wrong}: more arguments than {command} takes", more
    rest = [word for word in arguments if _name(word) not in unknown and word not in unknown]
    known = _OPTION.findall(_plain(help_text([*rest, "--help"])))
    return f"error: {wrong}: no such option of {command}{_nearest(wrong, known)}", more


def _unknown(problem: str) -> list[str]:
    """The words of the command line that the parser does not know."""
    if problem.startswith(_MISPLACED):
        return _APPLIED.findall(problem)
    return problem.removeprefix(_UNKNOWN).split(", ") if problem.startswith(_UNKNOWN) else []


def _name(word: str) -> str:
    """An option without the value that is written to it: --seconds of --seconds=3."""
    return word.partition("=")[0]


def _in_words(problem: str, box: str, arguments: Sequence[str]) -> str:
    """What the parser says of a value, without the names of its types."""
    parsing = _PARSING.match(problem)
    kinds = parsing and re.search(rf"^\W*{re.escape(parsing[1])} (\S+)\W*$", box, re.MULTILINE)
    if not parsing or not kinds:
        return _CHOICES.sub(_choices, problem)
    option = parsing[1]
    after = [follows for word, follows in pairwise([*arguments, ""]) if word == option]
    given = after or [word.partition("=")[2] for word in arguments if _name(word) == option]
    expected = " or ".join(
        _KINDS.get(kind, kind.strip("{}")) for kind in kinds[1].split("|") if kind != "{None}"
    )
    return f"{option}: is {given[0] if given else ''!r}; expected {expected}"


def _choices(found: re.Match[str]) -> str:
    """What an option may be; one that may be left out has None among them, in an order that changes from run to run."""
    names = re.findall(r"'([^']*)'", found[1])
    shown = sorted(name for name in names if name != "None") if "None" in names else names
    return f"Expected one of {', '.join(shown)}."


def _first_paragraph(box: str) -> str:
    """The text up to the first rule or empty line, without the explanations of arguments, which are indented twice."""
    lines: list[str] = []
    margin = 0
    # Streams that know no lines of boxes get hyphens and spaces.
    for line in box.splitlines()[1:]:
        inside = re.sub(f"^[{_FRAME}]|[{_FRAME}]$", " ", line.rstrip()).rstrip()
        if not inside.strip(_RULE + " "):
            if lines:
                break
            continue
        indent = len(inside) - len(inside.lstrip())
        margin = margin if lines else indent
        if indent <= margin + 4:
            lines.append(inside.strip())
    return " ".join(lines)


def _command(arguments: Sequence[str], help_text: Callable[[Sequence[str]], str]) -> list[str]:
    """The command that was called, and the one of its group, as far as they exist."""
    words: list[str] = []
    for word in arguments[:2]:
        if word.startswith("-") or word not in _commands(help_text([*words, "--help"])):
            break
        words.append(word)
    return words


def _commands(text: str) -> list[str]:
    """Names of commands in a help text: those in braces at the end of its usage."""
    found = re.search(r"\{([a-z0-9,-]+)\}$", _plain(text).split("\n\n")[0].rstrip())
    return [] if found is None else found[1].split(",")


def _plain(text: str) -> str:
    """The text without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _nearest(wrong: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(wrong, list(dict.fromkeys(known)), n=1, cutoff=_CLOSE)
    return f"; the nearest is {close[0]}" if close else ""
