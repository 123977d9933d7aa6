"""Whole benchmarks at their smallest scale are made once per file, by these fixtures; to look at them is slow."""

from __future__ import annotations

from pathlib import Path

import pytest

WHOLE_BENCHMARKS = {"finished", "folder"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and WHOLE_BENCHMARKS & set(
            getattr(item, "fixturenames", ())
        ):
            item.add_marker(pytest.mark.slow)
