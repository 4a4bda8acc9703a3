"""Networks of an ensemble, and where they are after a while."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from limitset.analysis import LyapunovSpectrum, lyapunov_spectrum, stepping
from limitset.dynamics import AbstractMap, ExponentialEuler, discretise
from limitset.networks import GatedNetwork, GatedParameters, random_gated_network

STEP = 0.1


def draw_network(
    parameters: GatedParameters, *, units: int, seed: int, input_variance: float = 0.0
) -> tuple[GatedNetwork, Float[Array, " n"]]:
    """One network of an ensemble, and a random start of variance 1."""
    drawn, started = jax.random.split(jax.random.key(seed))
    network = random_gated_network(drawn, units, parameters, input_variance=input_variance)
    return network, jax.random.normal(started, (3 * units,))


def largest_exponent(
    network: GatedNetwork, start: Float[Array, " n"], time: float
) -> LyapunovSpectrum:
    """The largest exponent over `time`, after a transient as long."""
    system, integrator = stepping(network, STEP)
    steps = round(time / integrator.step)
    return lyapunov_spectrum(
        system,
        start,
        steps=steps,
        transient=steps,
        count=1,
        integrator=integrator,
        interval=10,
        blocks=10,
    )


def after(
    network: GatedNetwork, state: Float[Array, " n"], time: float, step: float = STEP
) -> Float[Array, " n"]:
    """The state some time later, by exponential steps: no gate is too steep for them."""
    return _run(discretise(network, ExponentialEuler(step)), state, jnp.asarray(round(time / step)))


def part_of(store: Path | None, name: str) -> Path | None:
    """The folder of one of several sweeps of a panel."""
    return None if store is None else store / name


@eqx.filter_jit
def _run(
    system: AbstractMap, state: Float[Array, " n"], steps: Int[Array, ""]
) -> Float[Array, " n"]:
    nothing = jnp.zeros(system.input_size, state.dtype)
    return jax.lax.fori_loop(0, steps, lambda k, x: system.advance(k, x, nothing), state)
