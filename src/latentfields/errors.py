"""The exceptions that mean "your input is wrong", as opposed to "the program is".

The command line prints their message as a single line and exits with status 2; any other exception is a defect.
"""

from pathlib import Path


class InputError(ValueError):
    """Input that cannot be used: names the file, the field and what was expected, in one line."""

    def __init__(self, source: str | Path, problem: str) -> None:
        """`source` is the file, option or name at fault; `problem` says which field and what was expected."""
        self.source = str(source)
        self.problem = problem
        super().__init__(f"{source}: {problem}")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return (type(self), (self.source, self.problem))


class ArgumentError(InputError):
    """An argument whose value cannot be used.

    `source` is the argument's name as Python has it, with the path of the field where it is a configuration:
    `supervision.steps`. Other arguments that the problem mentions stand in backticks. The command line, which alone
    knows flags, shows both as flags.
    """
