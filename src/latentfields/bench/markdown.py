"""Tables of benchmarks as text, for the terminal and for documents."""

from __future__ import annotations

from latentfields.pages.report import Table


def markdown(table: Table) -> str:
    """A table as GitHub shows it, and its note."""
    lines = [f"**{table.title}**", "", "| " + " | ".join(table.columns) + " |"]
    lines.append("|" + "---|" * len(table.columns))
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join([*lines, "", table.note] if table.note else lines)
