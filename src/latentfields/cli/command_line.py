"""The command that is running, as one would type it again."""

import shlex
import sys


def command_line() -> str:
    """`latentfields` and its arguments, quoted for a shell."""
    return shlex.join(["latentfields", *sys.argv[1:]])
