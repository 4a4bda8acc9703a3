"""Two contracting modules in strong feedback: which discretisation still contracts?"""

import jax.numpy as jnp

from limitset import Assembly, ExplicitEuler, RateNetwork, SemiImplicit, certify, discretise
from limitset.contraction import explain

turn = jnp.array([[0.3, -0.7], [0.7, 0.2]], jnp.float32)
first = RateNetwork(turn)
second = RateNetwork(-turn, form="firing_rate")

# Negative feedback: what one module receives, it gives back with the opposite sign.
forward = jnp.array([[20.0, 0.0], [3.0, -15.0]], jnp.float32)
nothing = jnp.zeros_like(forward)
coupling = jnp.block([[nothing, -forward.T], [forward, nothing]])
assembly = Assembly([first, second], coupling)

flow = certify(assembly)
euler = certify(discretise(assembly, ExplicitEuler(0.1)))
implicit = certify(discretise(assembly, SemiImplicit(0.1)))
for name, answer in (("flow", flow), ("explicit Euler", euler), ("semi-implicit", implicit)):
    print(f"--- {name}\n{explain(answer)}")

names = [type(answer).__name__ for answer in (flow, euler, implicit)]
assert names == ["Certificate", "Refuted", "Certificate"]
print("claim: of these maps only the semi-implicit one contracts; explicit Euler is refuted")
