"""Runs of one shape are compiled once, not once a test."""

from collections.abc import Iterator

import pytest

from tiny_training import compiled_once


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with compiled_once(tmp_path_factory.mktemp("compiled")):
        yield
