"""What frozen units remember, for how long, and how a gate that opens makes them forget."""

from collections.abc import Mapping
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Float, Int

from limitset.dynamics import AbstractMap, ExponentialEuler, discretise
from limitset.meanfield import fixed_points, slow_mode_fraction
from limitset.networks import GatedNetwork, GatedParameters
from limitset.panels._ensemble import STEP, draw_network
from limitset.panels._panel import Effort, Report
from limitset.sweeps import sweep

_KICKS = (0.01, 0.1, 0.5)
_FROZEN = 0.01
_TRIALS = 8
# Large beside what gates hear: they open for as long as it lasts.
_OPENING = 5.0
_OPEN_TIME = 50.0
_SAMPLES = 51
# Gates of frozen units are shut by hundreds of orders of magnitude.
_LEVELS = 10.0 ** np.linspace(-300.0, -0.001, 16)
_VERSION = "1"


def compute_memory(
    effort: Effort, store: Path | None = None, report: Report | None = None
) -> xarray.Dataset:
    """Kicks that frozen units integrate, and a reset; gain 2.5, update gain 1000, open output gate.

    A network runs from a random start until it freezes, is kicked, and is looked at for as long
    again. For the reset all update gates are held open for 50 units of time.

    **Arguments:** `effort`, whose `time` is how long each phase lasts; `store`; `report`.

    **Returns:** a Dataset over `seed` with

    - `frozen`: the part of the units whose update gate is below 0.01; `speed`, the root mean
      square of `dh/dt`, when frozen [sampled].
    - over `kick`, its standard deviation, and `time`: `overlap`, what is left of the kick on frozen
      units, 1 for all of it, and `displacement` of all units, relative to the kick [sampled].
    - over `reset_time`, which is 0 when gates open: `resemblance`, the correlation of `h` with what
      it was, `unrelated`, with what other starts led to, and their deviations between trials,
      `resemblance_spread` and `unrelated_spread` [sampled].
    - over `level`: `gates`, the part of the update gates below that level [sampled], and
      `theory_gates`, at the fixed point of the theory [float64].
    """
    found = sweep(
        _remember,
        {"seed": range(effort.seeds)},
        store=store,
        settings={"units": effort.units, "time": float(effort.time)},
        purpose=f"memory {_VERSION}",
        report=report,
    )
    point = fixed_points(_parameters())[-1]
    theory = [slow_mode_fraction(point, level) for level in _LEVELS]
    return found.assign(theory_gates=("level", theory)).assign_attrs(
        panel="memory", units=effort.units, open_time=_OPEN_TIME, trials=_TRIALS
    )


def _remember(seed: int, units: int, time: float) -> Mapping[str, object]:
    parameters = _parameters()
    network, _ = draw_network(parameters, units=units, seed=seed)
    started, kicked = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1))
    starts = jax.random.normal(started, (_TRIALS, 3 * units))
    memories = _states(network, starts, time)[:, -1]
    first, gates = memories[0], parameters.update_gate(memories[0][units : 2 * units])
    speed = network.velocity(0.0, first, jnp.zeros(0))[:units]
    return {
        "frozen": float((gates < _FROZEN).mean()),
        "speed": float(jnp.sqrt(jnp.mean(speed**2))),
        "gates": ("level", np.mean(np.asarray(gates)[:, None] < _LEVELS, axis=0)),
        "level": ("level", _LEVELS),
        **_kicked(network, first, gates < _FROZEN, kicked, time),
        **_reset(network, memories, time),
    }


def _parameters() -> GatedParameters:
    return GatedParameters(gain=2.5, update_gain=1000.0, update_time=2.0, open_output=True)


def _kicked(
    network: GatedNetwork,
    memory: Float[Array, " n"],
    frozen: Array,
    key: Array,
    time: float,
) -> dict[str, object]:
    n = network.size
    direction = jax.random.normal(key, (n,))
    kicks = jnp.asarray(_KICKS)[:, None] * direction
    starts = jnp.tile(memory, (len(_KICKS), 1)).at[:, :n].add(kicks)
    moved = _states(network, starts, time)[..., :n] - memory[:n]
    on_frozen = jnp.where(frozen, kicks, 0.0)
    overlap = jnp.einsum("ktn,kn->kt", moved, on_frozen) / jnp.sum(on_frozen**2, axis=1)[:, None]
    displacement = jnp.linalg.norm(moved, axis=2) / jnp.linalg.norm(kicks, axis=1)[:, None]
    return {
        "overlap": (("kick", "time"), np.asarray(overlap)),
        "displacement": (("kick", "time"), np.asarray(displacement)),
        "kick": ("kick", np.asarray(_KICKS)),
        "time": ("time", _times(time)),
    }


def _reset(
    network: GatedNetwork, memories: Float[Array, "trials n"], time: float
) -> dict[str, object]:
    n = network.size
    opened = eqx.tree_at(lambda w: w.update_input, network, jnp.full(n, _OPENING))
    during = _states(opened, memories, _OPEN_TIME)
    later = _states(network, during[:, -1], time)
    h = np.asarray(jnp.concatenate([during, later[:, 1:]], axis=1))[..., :n]
    old = np.asarray(memories)[:, :n]
    same, other = [], []
    for k in range(h.shape[1]):
        table = np.corrcoef(h[:, k], old)[:_TRIALS, _TRIALS:]
        same.append(np.diagonal(table))
        other.append(table[~np.eye(_TRIALS, dtype=bool)])
    opening, closed = _times(_OPEN_TIME), _times(time)[1:]
    return {
        "resemblance": ("reset_time", np.mean(same, axis=1)),
        "resemblance_spread": ("reset_time", np.std(same, axis=1)),
        "unrelated": ("reset_time", np.mean(other, axis=1)),
        "unrelated_spread": ("reset_time", np.std(other, axis=1)),
        "reset_time": ("reset_time", np.concatenate([opening, opening[-1] + closed])),
    }


def _states(
    network: GatedNetwork, starts: Float[Array, "b n"], time: float
) -> Float[Array, "b t n"]:
    """States at equal distances of time, of several starts."""
    every = jnp.asarray(_every(time))
    return _sample(discretise(network, ExponentialEuler(STEP)), starts, every)


def _every(time: float) -> int:
    """Steps from one sample to the next."""
    return max(1, round(time / STEP / (_SAMPLES - 1)))


def _times(time: float) -> Float[np.ndarray, " t"]:
    return STEP * _every(time) * np.arange(_SAMPLES)


@eqx.filter_jit
def _sample(
    system: AbstractMap, starts: Float[Array, "b n"], every: Int[Array, ""]
) -> Float[Array, "b t n"]:
    nothing = jnp.zeros(system.input_size)

    def advance(x: Float[Array, " n"]) -> Float[Array, " n"]:
        return jax.lax.fori_loop(0, every, lambda k, y: system.advance(k, y, nothing), x)

    def one(x: Float[Array, "b n"], _: None) -> tuple[Array, Array]:
        following = jax.vmap(advance)(x)
        return following, following

    states = jax.lax.scan(one, starts, length=_SAMPLES - 1)[1]
    return jnp.concatenate([starts[:, None], states.swapaxes(0, 1)], axis=1)
