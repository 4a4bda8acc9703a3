"""Random cells whose biases hold them at a state that does not know of their couplings.

What gates and candidates hear is drawn from the law of the theory; biases then make up for what the
couplings say at that state.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem
from limitset.meanfield import CellPoint, GRUEnsemble, LSTMEnsemble, ResetAfterGRUEnsemble
from limitset.networks import (
    GRU,
    LSTM,
    ResetBeforeGRU,
    gaussian_gru,
    gaussian_lstm,
    gaussian_reset_before_gru,
)

Vector = Float[Array, " n"]
# Two numbers for each unit of an LSTM.
State = Float[Array, " states"]
Cell = GRU | LSTM | ResetBeforeGRU


def cell_with_fixed_point(key: Key[Array, ""], units: int, point: CellPoint) -> tuple[Cell, State]:
    """A cell of the point's ensemble, and a fixed point of it with the point's law."""
    law, spread = point.ensemble, point.hidden_variance**0.5
    drawn, *keys = jax.random.split(key, 5)
    heard = [spread * jax.random.normal(k, (units,)) for k in keys]
    if isinstance(law, GRUEnsemble):
        return _reset_before(drawn, law, heard)
    if isinstance(law, ResetAfterGRUEnsemble):
        return _reset_after(drawn, law, heard)
    if isinstance(law, LSTMEnsemble):
        return _lstm(drawn, law, heard)
    raise InputProblem(f"the ensemble is a {type(law).__name__}; give one of a GRU or an LSTM")


def _reset_before(
    key: Key[Array, ""], law: GRUEnsemble, heard: list[Vector]
) -> tuple[ResetBeforeGRU, Vector]:
    bare = gaussian_reset_before_gru(
        key,
        len(heard[0]),
        gain=float(law.candidate_gain),
        update_gain=float(law.update_gain),
        reset_gain=float(law.reset_gain),
    )
    reset, update = law.reset_gain * heard[0], law.update_gain * heard[1]
    gate = jax.nn.sigmoid(reset)
    # The candidate hears what is reset, whose variance is smaller.
    new = law.candidate_gain * jnp.sqrt(jnp.mean(gate**2)) * heard[2]
    h = jnp.tanh(new)
    n = bare.state_size
    said = jnp.concatenate([bare.weight_hh[: 2 * n] @ h, bare.weight_hh[2 * n :] @ (gate * h)])
    wanted = jnp.concatenate([reset, update, new])
    return eqx.tree_at(lambda c: c.bias, bare, wanted - said), h


def _reset_after(
    key: Key[Array, ""], law: ResetAfterGRUEnsemble, heard: list[Vector]
) -> tuple[GRU, Vector]:
    bare = gaussian_gru(
        key,
        len(heard[0]),
        gain=float(law.candidate_gain),
        update_gain=float(law.update_gain),
        reset_gain=float(law.reset_gain),
    )
    gains = law.reset_gain, law.update_gain, law.candidate_gain
    reset, update, inner = (gain * part for gain, part in zip(gains, heard, strict=False))
    h = jnp.tanh(jax.nn.sigmoid(reset) * inner)
    wanted = jnp.concatenate([reset, update, inner])
    return eqx.tree_at(lambda c: c.bias_hh, bare, wanted - bare.weight_hh @ h), h


def _lstm(key: Key[Array, ""], law: LSTMEnsemble, heard: list[Vector]) -> tuple[LSTM, State]:
    bare = gaussian_lstm(
        key,
        len(heard[0]),
        cell_gain=float(law.candidate_gain),
        input_gain=float(law.input_gain),
        forget_gain=float(law.forget_gain),
        output_gain=float(law.output_gain),
    )
    gains = law.input_gain, law.forget_gain, law.candidate_gain, law.output_gain
    drives = [gain * part for gain, part in zip(gains, heard, strict=True)]
    store, keep, _, output = (jax.nn.sigmoid(drive) for drive in drives)
    cell = store * jnp.tanh(drives[2]) / (1 - keep)
    h = output * jnp.tanh(cell)
    wanted = jnp.concatenate(drives)
    held = eqx.tree_at(lambda c: c.bias_hh, bare, wanted - bare.weight_hh @ h)
    return held, jnp.concatenate([h, cell])
