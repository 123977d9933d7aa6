"""Claims of a paper, judged by the results of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latentfields.pages.report import Table


@dataclass(frozen=True)
class Claim:
    """One line of evidence."""

    statement: str
    required: str
    """Such as ">= 1.50 dB"."""
    measured: str
    holds: bool


def claims_table(claims: Sequence[Mapping[str, Any]]) -> Table:
    """Claims, as JSON has them, as a table."""
    rows = tuple(
        (claim["statement"], claim["required"], claim["measured"], "yes" if claim["holds"] else "NO")
        for claim in claims
    )
    return Table("Claims of the paper", ("claim", "required", "measured", "holds"), rows)
