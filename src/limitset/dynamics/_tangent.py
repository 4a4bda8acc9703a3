"""The value of a system and its tangent map, in one call that shares all factors."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset._types import Input, State, StepIndex, Time
from limitset.dynamics._cell_tangent import (
    linearise_elman,
    linearise_gru,
    linearise_lstm,
    linearise_rate,
    linearise_rate_map,
    linearise_reset_before,
)
from limitset.dynamics._gated_network_map import GatedNetworkMap
from limitset.dynamics._gated_tangent import linearise_gated, linearise_gated_map
from limitset.dynamics._linear_map import Pushforward, Vectors
from limitset.dynamics._scheme import EulerMap, RateMap
from limitset.networks import (
    GRU,
    LSTM,
    Elman,
    GatedNetwork,
    RateNetwork,
    ResetBeforeGRU,
)

_Rule = Callable[[Any, State, Input], tuple[State, Pushforward]]

# Systems that do not depend on time, by exact type: a subclass may run something else.
_RULES: dict[type[AbstractFlow] | type[AbstractMap], _Rule] = {
    GatedNetwork: linearise_gated,
    GatedNetworkMap: linearise_gated_map,
    RateNetwork: linearise_rate,
    RateMap: linearise_rate_map,
    Elman: linearise_elman,
    GRU: linearise_gru,
    ResetBeforeGRU: linearise_reset_before,
    LSTM: linearise_lstm,
}


def linearise(
    system: AbstractFlow | AbstractMap, t: Time | StepIndex, x: State, u: Input
) -> tuple[State, Pushforward]:
    """The value of a system at a state, and the function `V -> J V` of its Jacobian `J` there.

    `J = d velocity / dx` for a flow, `J = d advance / dx` for a map. Everything that does not
    depend on `V` is computed once, by this call. Networks whose Jacobian has structure push
    matrices of vectors by products with their weight matrices; all other systems go through
    `jax.linearize`.

    **Arguments:**

    - `system`: a flow or a map.
    - `t`: the time, or for a map the step index.
    - `x`, `u`: state, shape (n,), and input, shape (m,).

    **Returns:** the value, shape (n,), and a function that takes a matrix of column vectors, shape
    (n, k), to one of the same shape.

    **Raises:** `InputProblem` if it is no system, or shapes do not fit.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.networks import RateNetwork
    >>> network = RateNetwork(jnp.array([[0.0, -2.0], [2.0, 0.0]]))
    >>> value, push = linearise(network, 0.0, jnp.zeros(2), jnp.zeros(0))
    >>> push(jnp.eye(2)).tolist()
    [[-1.0, -2.0], [2.0, -1.0]]
    """
    _check(system, x, u)
    with jax.default_matmul_precision("highest"):
        value, push = _linearise(system, t, x, u)

    def pushforward(vectors: Vectors) -> Vectors:
        with jax.default_matmul_precision("highest"):
            return push(vectors)

    return value, pushforward


def tangent(
    system: AbstractFlow | AbstractMap,
    t: Time | StepIndex,
    x: State,
    u: Input,
    vectors: Float[Array, "n k"],
) -> tuple[State, Float[Array, "n k"]]:
    """The value of a system at a state, and `J V` for column vectors `V`.

    **Arguments:** as in `linearise`; `vectors`, shape (n, k).

    **Returns:** the value, shape (n,), and `J V`, shape (n, k).

    **Raises:** `InputProblem` if it is no system, or shapes do not fit.

    >>> import jax.numpy as jnp
    >>> from limitset.networks import RateNetwork
    >>> leak = RateNetwork(jnp.zeros((1, 1)))
    >>> _, pushed = tangent(leak, 0.0, jnp.ones(1), jnp.zeros(0), jnp.ones((1, 2)))
    >>> pushed.tolist()
    [[-1.0, -1.0]]
    """
    value, pushforward = linearise(system, t, x, u)
    if vectors.ndim != 2 or vectors.shape[0] != x.shape[0]:
        raise InputProblem(
            f"vectors have shape {vectors.shape}; give columns, shape ({x.shape[0]}, k)"
        )
    return value, pushforward(vectors)


def _linearise(
    system: AbstractFlow | AbstractMap, t: Time | StepIndex, x: State, u: Input
) -> tuple[State, Pushforward]:
    rule = _RULES.get(type(system))
    if rule is not None and type(getattr(system, "network", system)) in _RULES:
        return rule(system, x, u)
    if type(system) is EulerMap:
        step = system.scheme.step
        velocity, push = _linearise(system.flow, t * step, x, u)
        return x + step * velocity, lambda vectors: vectors + step * push(vectors)
    if isinstance(system, AbstractFlow):
        value, push_one = jax.linearize(lambda y: system.velocity(t, y, u), x)
    else:
        value, push_one = jax.linearize(lambda y: system.advance(t, y, u), x)  # pyright: ignore[reportArgumentType]
    return value, jax.vmap(push_one, in_axes=1, out_axes=1)


def _check(system: AbstractFlow | AbstractMap, x: State, u: Input) -> None:
    if not isinstance(system, AbstractFlow | AbstractMap):
        raise InputProblem(f"a {type(system).__name__} came; give a flow or a map")
    if x.shape != (system.state_size,) or u.shape != (system.input_size,):
        raise InputProblem(
            f"x {x.shape} and u {u.shape} do not fit; the system needs ({system.state_size},) and "
            f"({system.input_size},)"
        )
