"""The exceptions that mean "your input is wrong", as opposed to "the program is".

The command line prints their message as a single line and exits with status 2; any other exception is a defect.
"""

from pathlib import Path


class InputError(ValueError):
    """Input that cannot be used: names the file, the field and what was expected, in one line."""

    def __init__(self, source: str | Path, problem: str) -> None:
        """`source` is the file, option or name at fault; `problem` says which field and what was expected."""
        self.source = _on_one_line(str(source))
        self.problem = _on_one_line(problem)
        super().__init__(f"{self.source}: {self.problem}")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return (type(self), (self.source, self.problem))


class ArgumentError(InputError):
    """An argument whose value cannot be used.

    `source` is the argument's name as Python has it, with the path of the field where it is a configuration:
    `supervision.steps`. Other arguments that the problem mentions stand in backticks. The command line, which alone
    knows flags, shows both as flags.
    """


_LONGEST = 1000
"""Letters of a message; the middle of a longer one is left out."""


def _on_one_line(text: str) -> str:
    """The text as one line that can be printed: what is quoted from files may be long and hold anything."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 3 :]}"
    # Line ends, control characters, and halves of surrogates, which no encoding has.
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )
