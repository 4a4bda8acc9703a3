"""Tangents of recurrent cells and rate networks: one product with each weight matrix."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._types import Input, State
from limitset.dynamics._linear_map import Pushforward, Vectors
from limitset.dynamics._scheme import RateMap
from limitset.networks import GRU, LSTM, Elman, Form, RateNetwork, ResetBeforeGRU


def linearise_elman(system: Elman, x: State, u: Input) -> tuple[State, Pushforward]:
    """`phi(W x + ...)` and `[phi'] W`."""
    entering = system.weight_ih @ u + system.bias_ih + system.bias_hh
    value, slope = _with_slope(system.activation, system.weight_hh @ x + entering)
    return value, lambda vectors: slope[:, None] * (system.weight_hh @ vectors)


def linearise_rate(system: RateNetwork, x: State, u: Input) -> tuple[State, Pushforward]:
    """The velocity in either form, and its tangent map."""
    drive, respond = _linearise_drive(system, x, u)

    def push(vectors: Vectors) -> Vectors:
        return (respond(vectors) - system.leak * vectors) / system.time_constant

    return (drive - system.leak * x) / system.time_constant, push


def linearise_rate_map(system: RateMap, x: State, u: Input) -> tuple[State, Pushforward]:
    """One step of a discretised rate network, and its tangent map."""
    drive, respond = _linearise_drive(system.network, x, u)

    def push(vectors: Vectors) -> Vectors:
        return system.keep * vectors + system.gain * respond(vectors)

    return system.keep * x + system.gain * drive, push


def _linearise_drive(system: RateNetwork, x: State, u: Input) -> tuple[State, Pushforward]:
    entering = system.input_weight @ u + system.bias
    if system.form is Form.HOPFIELD:
        said, slope = _with_slope(system.activation, x)
        return (
            system.weight @ said + entering,
            lambda vectors: system.weight @ (slope[:, None] * vectors),
        )
    drive, slope = _with_slope(system.activation, system.weight @ x + entering)
    return drive, lambda vectors: slope[:, None] * (system.weight @ vectors)


def linearise_gru(system: GRU, x: State, u: Input) -> tuple[State, Pushforward]:
    """PyTorch's cell, and its tangent map."""
    entering, own = system.weight_ih @ u + system.bias_ih, system.weight_hh @ x + system.bias_hh
    reset_u, update_u, new_u = jnp.split(entering, 3)
    reset_x, update_x, new_x = jnp.split(own, 3)
    reset, reset_slope = _with_slope(jax.nn.sigmoid, reset_u + reset_x)
    keep, keep_slope = _with_slope(jax.nn.sigmoid, update_u + update_x)
    new, new_slope = _with_slope(jnp.tanh, new_u + reset * new_x)
    by_reset = ((1 - keep) * new_slope * new_x * reset_slope)[:, None]
    by_update = ((x - new) * keep_slope)[:, None]
    by_new = ((1 - keep) * new_slope * reset)[:, None]

    def push(vectors: Vectors) -> Vectors:
        along_reset, along_update, along_new = jnp.split(system.weight_hh @ vectors, 3)
        changed = by_reset * along_reset + by_update * along_update + by_new * along_new
        return changed + keep[:, None] * vectors

    return (1 - keep) * new + keep * x, push


def linearise_reset_before(system: ResetBeforeGRU, x: State, u: Input) -> tuple[State, Pushforward]:
    """The cell whose reset gate acts before the product, and its tangent map."""
    size = system.state_size
    gate_weight, new_weight = system.weight_hh[: 2 * size], system.weight_hh[2 * size :]
    entering = system.weight_ih @ u + system.bias
    gates, slopes = _with_slope(jax.nn.sigmoid, entering[: 2 * size] + gate_weight @ x)
    (reset, keep), (reset_slope, keep_slope) = jnp.split(gates, 2), jnp.split(slopes, 2)
    new, new_slope = _with_slope(jnp.tanh, entering[2 * size :] + new_weight @ (reset * x))
    by_reset, by_update = (x * reset_slope)[:, None], ((x - new) * keep_slope)[:, None]
    by_new = ((1 - keep) * new_slope)[:, None]

    def push(vectors: Vectors) -> Vectors:
        along_reset, along_update = jnp.split(gate_weight @ vectors, 2)
        along_new = new_weight @ (by_reset * along_reset + reset[:, None] * vectors)
        return by_new * along_new + by_update * along_update + keep[:, None] * vectors

    return (1 - keep) * new + keep * x, push


def linearise_lstm(system: LSTM, x: State, u: Input) -> tuple[State, Pushforward]:
    """PyTorch's cell with the state `(h, c)`, and its tangent map."""
    hidden, cell = jnp.split(x, 2)
    entering = system.weight_ih @ u + system.bias_ih + system.bias_hh
    drives = jnp.split(entering + system.weight_hh @ hidden, 4)
    store, store_slope = _with_slope(jax.nn.sigmoid, drives[0])
    keep, keep_slope = _with_slope(jax.nn.sigmoid, drives[1])
    new, new_slope = _with_slope(jnp.tanh, drives[2])
    gate, gate_slope = _with_slope(jax.nn.sigmoid, drives[3])
    after = keep * cell + store * new
    said, said_slope = _with_slope(jnp.tanh, after)
    factors = [new * store_slope, cell * keep_slope, store * new_slope]
    by_store, by_keep, by_new = (factor[:, None] for factor in factors)
    by_gate, by_cell = (said * gate_slope)[:, None], (gate * said_slope)[:, None]

    def push(vectors: Vectors) -> Vectors:
        along_hidden, along_cell = jnp.split(vectors, 2)
        stored, kept, made, gated = jnp.split(system.weight_hh @ along_hidden, 4)
        change = by_store * stored + by_keep * kept + by_new * made + keep[:, None] * along_cell
        return jnp.concatenate([by_gate * gated + by_cell * change, change])

    return jnp.concatenate([gate * said, after]), push


def _with_slope(
    function: Callable[[Float[Array, " n"]], Float[Array, " n"]], x: Float[Array, " n"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """A function of single units and its derivative, as autodiff gives it."""
    return jax.jvp(function, (x,), (jnp.ones_like(x),))
