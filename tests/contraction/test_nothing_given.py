"""`None` where parts or answers belong is refused in one line that names what came."""

from collections.abc import Callable, Iterator

import jax.numpy as jnp
import jaxtyping
import pytest

from limitset._result import InputProblem
from limitset.contraction import (
    Certificate,
    certify,
    compose,
    compose_maps,
    explain,
    weakest_direction,
)
from limitset.dynamics import CompositeMap, ExplicitEuler, discretise
from limitset.networks import Assembly, Composite, RateNetwork, Stack

NETWORK = RateNetwork(jnp.array([[-2.0, 0.5], [0.5, -2.0]]))
MAP = discretise(NETWORK, ExplicitEuler(0.1))
ZERO = jnp.zeros((4, 4))

CALLS: dict[str, Callable[[], object]] = {
    "compose-part": lambda: compose([flow(), None], ZERO),  # pyright: ignore[reportArgumentType]
    "compose-parts": lambda: compose(None, ZERO),  # pyright: ignore[reportArgumentType]
    "compose-coupling": lambda: compose([flow(), flow()], None),  # pyright: ignore[reportArgumentType]
    "compose_maps-part": lambda: compose_maps([None], ZERO),  # pyright: ignore[reportArgumentType]
    "compose_maps-parts": lambda: compose_maps(None, ZERO),  # pyright: ignore[reportArgumentType]
    "assembly-module": lambda: Assembly([NETWORK, None], ZERO),  # pyright: ignore[reportArgumentType]
    "assembly-modules": lambda: Assembly(None, ZERO),  # pyright: ignore[reportArgumentType]
    "composite-part": lambda: Composite((NETWORK, None), ZERO),  # pyright: ignore[reportArgumentType]
    "composite-parts": lambda: Composite(None, ZERO),  # pyright: ignore[reportArgumentType]
    "composite_map-part": lambda: CompositeMap((MAP, None), ZERO),  # pyright: ignore[reportArgumentType]
    "composite_map-parts": lambda: CompositeMap(None, ZERO),  # pyright: ignore[reportArgumentType]
    "stack-layer": lambda: Stack([None], [], ZERO),  # pyright: ignore[reportArgumentType]
    "stack-layers": lambda: Stack(None, [], ZERO),  # pyright: ignore[reportArgumentType]
    "explain": lambda: explain(None),  # pyright: ignore[reportArgumentType]
    "weakest_direction": lambda: weakest_direction(None),  # pyright: ignore[reportArgumentType]
}


def flow() -> Certificate:
    answer = certify(NETWORK)
    assert isinstance(answer, Certificate)
    return answer


@pytest.fixture(autouse=True)
def untyped() -> Iterator[None]:
    """As users run it: the suite's shape checks would come before the library's own messages."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_refused_in_one_line(name: str):
    with pytest.raises(InputProblem, match="NoneType") as caught:
        CALLS[name]()
    assert "\n" not in str(caught.value)
