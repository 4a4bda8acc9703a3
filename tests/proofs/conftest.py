"""Arb's precision, for tests that judge by it, and a switch for shape checks."""

from collections.abc import Iterator

import flint
import jaxtyping
import pytest


@pytest.fixture
def high_precision() -> Iterator[None]:
    """Arb at 200 bits, restored afterwards."""
    with flint.ctx.workprec(200):
        yield


@pytest.fixture(scope="module")
def no_shape_checks() -> Iterator[None]:
    """For tests of long computations, whose parts are tested with checks of shapes elsewhere."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
