"""A long memory below, nonlinear units above: a stack that reads sequences of any order."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from limitset._result import InputProblem
from limitset.contraction._discretised import Discretised
from limitset.contraction._gated_parametrisation import gated_assembly
from limitset.contraction._parametrise import random_stable_assembly
from limitset.contraction._stable_stack import StableStack, random_relay
from limitset.dynamics import SemiImplicit


def gated_stack(
    key: Key[Array, ""],
    *,
    modules: int,
    units: int,
    inputs: int,
    width: int = 10,
    hidden: int = 32,
    top: int = 16,
    activation: str = "relu",
    slowest: float = 1e-3,
    fastest: float = 0.5,
    coupling_gain: float = 0.5,
) -> StableStack:
    """Random free parameters (float32): a gated assembly, a relay, and a firing-rate module above.

    The assembly turns its state by an orthogonal matrix and forgets at the speed of its gates; the
    relay and the module on top make features of what it remembers.

    **Arguments:** `modules`, `units`, `slowest`, `fastest`, `coupling_gain` of the gated assembly;
    `inputs`; `width` of the stream; `hidden` units of the relay; `top` units above; `activation`
    of all of them.

    **Raises:** `InputProblem` for sizes or names that do not fit.

    >>> import jax
    >>> core = gated_stack(jax.random.key(0), modules=2, units=4, inputs=1, top=3)
    >>> core.explicit().sizes
    (8, 3)
    """
    if min(width, hidden, top) < 1:
        raise InputProblem(f"width {width}, hidden {hidden}, top {top}; give at least 1 of each")
    memory_key, top_key, embedding_key, relay_key = jax.random.split(key, 4)
    memory = gated_assembly(
        memory_key,
        modules=modules,
        units=units,
        inputs=width,
        activation=activation,
        slowest=slowest,
        fastest=fastest,
        coupling_gain=coupling_gain,
    )
    above = random_stable_assembly(
        top_key, modules=1, units=top, inputs=width, activation=activation, form="firing_rate"
    )
    embedding = jax.random.normal(embedding_key, (width, inputs), jnp.float32)
    return StableStack(
        (memory, Discretised(above, SemiImplicit(1.0))),
        (random_relay(relay_key, (modules * units, hidden, width), activation),),
        embedding / (inputs * width) ** 0.5,
        jnp.zeros(width, jnp.float32),
    )
