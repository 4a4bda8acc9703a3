"""Runs of one shape are compiled once, not once a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tiny_training import compiled_once


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled programs are kept for the whole run."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(autouse=True)
def compiled(programs: Path) -> Iterator[None]:
    """Only while a test of this folder runs."""
    with compiled_once(programs):
        yield
