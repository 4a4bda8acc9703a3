"""Arb's precision, for tests that judge by it."""

from collections.abc import Iterator

import flint
import pytest


@pytest.fixture
def high_precision() -> Iterator[None]:
    """Arb at 200 bits, restored afterwards."""
    with flint.ctx.workprec(200):
        yield
