"""Steep update gates freeze half of a network: it holds a state until told to drop it."""

import jax
import jax.numpy as jnp

from limitset import ExponentialEuler, discretise
from limitset.dynamics import simulate
from limitset.networks import GatedNetwork, GatedParameters, random_gated_network

units = 500
keys = jax.random.split(jax.random.key(1), 3)
parameters = GatedParameters(gain=2.5, update_gain=1000.0, update_time=2.0, open_output=True)
drawn = random_gated_network(keys[0], units, parameters)
weights = drawn.state_weight, drawn.update_weight, drawn.output_weight

# One input, which opens all update gates at once.
opener = jnp.zeros((3 * units, 1)).at[units : 2 * units].set(100.0)
network = GatedNetwork(*weights, parameters, input_weight=opener)
step = discretise(network, ExponentialEuler(0.1))


@jax.jit
def wait(state: jax.Array, opened: float) -> jax.Array:
    return simulate(step, state, jnp.full((2500, 1), opened)).final


held = wait(jax.random.normal(keys[1], (3 * units,)), 0.0)
frozen = parameters.update_gate(held[units : 2 * units]) < 0.01
print(f"frozen units: {frozen.mean():.1%}")

kick = jax.random.normal(keys[2], (units,))
for size in (0.01, 0.1, 0.5):
    moved = wait(held.at[:units].add(size * kick), 0.0)[:units] - held[:units]
    kept = jnp.sum((moved * kick)[frozen]) / jnp.sum(size * kick[frozen] ** 2)
    print(f"kicked by {size}: after 250 units of time {kept:.0%} of the kick is still there")

dropped = wait(wait(held, 1.0), 0.0)
alike = jnp.corrcoef(dropped[:units], held[:units])[0, 1]
print(f"after opening all gates once, the state correlates by {alike:.2f} with the old one")
print("claim: seen in one network of 500 units [sampled]")
