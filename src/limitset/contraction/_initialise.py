"""Initial values: modules with a long memory, and sparse random modules."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from limitset._result import InputProblem
from limitset.contraction._absolute_weights import AbsoluteValueWeight
from limitset.contraction._parametrise import random_stable_assembly
from limitset.contraction._recover_weights import recover_absolute_value
from limitset.contraction._stable_assembly import StableAssembly
from limitset.contraction._weights import FrozenWeight, SparsityPattern


def delay_line_assembly(
    key: Key[Array, ""],
    *,
    modules: int,
    units: int,
    inputs: int,
    activation: str = "tanh",
    form: str = "hopfield",
    time_constants: tuple[float, ...] | None = None,
    margin: float = 0.97,
    input_gain: float = 0.3,
    noise: float = 0.02,
    coupling_gain: float | None = None,
) -> StableAssembly:
    """A stable assembly whose modules start as delay lines: unit i hears unit i - 1.

    A certified factor below one does not forbid memory. In the metric whose scale falls by `margin`
    from unit to unit, a chain of unit weights has norm `margin`: what enters at one end travels
    the whole line before it is forgotten, and the metric's condition number `margin^(-2 units)`
    is the price. Lines of modules with different time constants remember different stretches.

    **Arguments:** as in `random_stable_assembly`; `input_gain` at the head of every line; `noise`,
    the spread of all other parameters; of the coupling `coupling_gain`, if given.

    >>> import jax
    >>> line = delay_line_assembly(jax.random.key(0), modules=1, units=3, inputs=1, noise=0.0)
    >>> [round(float(w), 6) for w in line.explicit().modules[0].weight[:, 0]]
    [0.0, 1.0, 0.0]
    """
    base = random_stable_assembly(
        key,
        modules=modules,
        units=units,
        inputs=inputs,
        activation=activation,
        form=form,
        time_constants=time_constants,
        margin=margin,
        coupling_gain=noise if coupling_gain is None else coupling_gain,
    )
    spread = jax.random.normal(jax.random.fold_in(key, 1), (modules, units, units), jnp.float32)
    theta = jnp.eye(units, k=-1, dtype=jnp.float32) + noise / units**0.5 * spread
    # Without noise, an empty first row and last column leave the chain's rows at their own scale.
    log_scale = np.log(margin) * np.arange(units)
    weights = AbsoluteValueWeight(
        theta, jnp.tile(jnp.asarray(log_scale, jnp.float32), (modules, 1))
    )
    heads = np.arange(modules) * units
    input_weight = (noise * base.input_weight).at[heads].set(input_gain)
    return eqx.tree_at(
        lambda s: (s.weights, s.input_weight, s.bias),
        base,
        (weights, input_weight, jnp.zeros_like(base.bias)),
    )


# How far the norm may exceed the radius where the pattern has few cycles: such modules need wide
# metrics.
_AMPLIFIED = 4.0


def sparse_assembly(
    key: Key[Array, ""],
    *,
    modules: int,
    units: int,
    inputs: int,
    density: float = 0.1,
    activation: str = "tanh",
    form: str = "hopfield",
    time_constants: tuple[float, ...] | None = None,
    margin: float = 0.9,
    radius: float = 0.95,
    coupling_gain: float = 0.5,
    train_weights: bool = False,
    pattern_seed: int = 0,
) -> StableAssembly:
    """A stable assembly of sparse random modules, frozen unless `train_weights` says otherwise.

    Every module is drawn once and scaled to a spectral radius of `|W|` below the limit, at any
    density and magnitude; its metric is the one of the absolute-value theorem, which is not
    the identity. (Drawing until a module happens to satisfy the theorem never ends for denser
    ones.) The pattern is stored, so that trained modules stay as sparse as they were drawn.

    **Arguments:** as in `random_stable_assembly`; `density`, the share in (0, 1] of weights off the
    diagonal that exist; `radius`, the spectral radius as a share in (0, 1) of the limit that
    `margin` sets; `pattern_seed` draws which, the same for every `key`.

    **Raises:** `InputProblem` for sizes, a density or a radius that do not fit.

    **Reference:** arXiv 2106.08928, the Sparse Combo Net.

    >>> import jax
    >>> net = sparse_assembly(jax.random.key(0), modules=2, units=8, inputs=1, density=0.25)
    >>> int((net.explicit().modules[0].weight != 0).sum())
    14
    """
    if not 0 < density <= 1:
        raise InputProblem(f"density is {density}; give a share above 0 and at most 1")
    if not 0 < radius < 1:
        raise InputProblem(f"radius is {radius}; give a share of the limit between 0 and 1")
    base = random_stable_assembly(
        key,
        modules=modules,
        units=units,
        inputs=inputs,
        activation=activation,
        form=form,
        time_constants=time_constants,
        margin=margin,
        coupling_gain=coupling_gain,
    )
    mask = _sparse_mask(np.random.default_rng(pattern_seed), (modules, units, units), density)
    values = jax.random.uniform(jax.random.fold_in(key, 2), mask.shape, minval=-1.0)
    drawn = np.asarray(values, np.float64) * mask
    weights = _scaled_modules(drawn, radius, SparsityPattern.of(mask))
    return eqx.tree_at(
        lambda s: s.weights, base, weights if train_weights else FrozenWeight(weights)
    )


def _sparse_mask(
    rng: np.random.Generator, shape: tuple[int, int, int], density: float
) -> Bool[np.ndarray, "p n n"]:
    """The same number of weights in every module, none of them a self-weight."""
    modules, units, _ = shape
    places = np.flatnonzero(~np.eye(units, dtype=bool))
    mask = np.zeros((modules, units * units), bool)
    for module in mask:
        module[rng.choice(places, round(density * places.size), replace=False)] = True
    return mask.reshape(shape)


def _scaled_modules(
    weights: Float[np.ndarray, "p n n"], radius: float, pattern: SparsityPattern
) -> AbsoluteValueWeight:
    modules = []
    for weight in weights:
        magnitude = np.abs(weight)
        drawn = float(np.abs(np.linalg.eigvals(magnitude)).max())
        least = float(np.linalg.norm(magnitude, 2)) / _AMPLIFIED
        free = recover_absolute_value(weight * (radius / max(drawn, least, 1e-30)))
        if free is None:
            raise InputProblem("a module's metric is too wide for float64; draw fewer units")
        modules.append(free)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves).astype(jnp.float32), *modules)
    return AbsoluteValueWeight(
        stacked.theta, stacked.log_scale, stacked.row_slack, stacked.column_slack, pattern
    )
