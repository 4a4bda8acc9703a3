"""Initial values with a long memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from limitset.contraction._parametrise import (
    AbsoluteValueWeight,
    StableAssembly,
    random_stable_assembly,
)


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
) -> StableAssembly:
    """A stable assembly whose modules start as delay lines: unit i hears unit i - 1.

    A certified factor below one does not forbid memory. In the metric whose scale falls by `margin`
    from unit to unit, a chain of unit weights has norm `margin`: what enters at one end travels
    the whole line before it is forgotten, and the metric's condition number `margin^(-2 units)`
    is the price. Lines of modules with different time constants remember different stretches.

    **Arguments:** as in `random_stable_assembly`; `input_gain` at the head of every line; `noise`,
    the spread of all other parameters.

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
        coupling_gain=noise,
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
