"""From a flow to the map that runs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.dynamics._composite_map import discretise_composite
from limitset.dynamics._gated_map import discretise_gated
from limitset.dynamics._gated_network_map import discretise_gated_network
from limitset.dynamics._implicit import ImplicitMap
from limitset.dynamics._propagator import propagator
from limitset.dynamics._scheme import (
    AbstractScheme,
    BackwardEuler,
    EulerAssemblyMap,
    EulerMap,
    ExplicitEuler,
    ExponentialAssemblyMap,
    ExponentialEuler,
    RateMap,
    SemiImplicitMap,
    SplitScheme,
)
from limitset.networks import (
    Assembly,
    Composite,
    GatedAssembly,
    GatedNetwork,
    GatedRate,
    RateNetwork,
    per_unit_constants,
)


def discretise(flow: AbstractFlow, scheme: AbstractScheme) -> AbstractMap:
    """The map that advances `flow` by `scheme.step`. Certify this map, not the flow.

    `limitset.contraction.discrete_factor` goes from a flow's certificate to that of its map.

    Matrices are computed in float64 and rounded once to the network's dtype; differentiable, so a
    training loop calls it once per update, outside the loop over time.

    **Arguments:**

    - `flow`: a `RateNetwork`, an `Assembly`, a `GatedNetwork` (exponential Euler, for steep gates),
      or (explicit and backward Euler only) any `AbstractFlow`.
    - `scheme`: `ExplicitEuler`, `ExponentialEuler`, `SemiImplicit`, `Cayley`, `Rotation` or
      `BackwardEuler`, with its `step`.

    **Returns:** a map with its constants stored as arrays.

    **Raises:** `InputProblem` if the scheme does not apply to the flow.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.networks import RateNetwork
    >>> halving = discretise(RateNetwork(jnp.zeros((1, 1))), ExplicitEuler(0.5))
    >>> float(halving.advance(0, jnp.ones(1), jnp.zeros(0))[0])
    0.5
    """
    if not isinstance(scheme, AbstractScheme):
        raise InputProblem(f"scheme is {scheme!r}; give one with its step, as ExplicitEuler(0.1)")
    if isinstance(flow, AbstractFlow) and isinstance(scheme, BackwardEuler):
        numbers = [leaf for leaf in jax.tree.leaves(flow) if eqx.is_inexact_array(leaf)]
        dtype = jnp.result_type(*numbers) if numbers else jnp.float64
        return ImplicitMap(flow, jnp.asarray(scheme.step, dtype), scheme)
    if isinstance(flow, Assembly):
        return _discretise_assembly(flow, scheme)
    if isinstance(flow, RateNetwork):
        return _discretise_rate(flow, scheme)
    if isinstance(flow, GatedRate | GatedAssembly):
        return discretise_gated(flow, scheme)
    if isinstance(flow, GatedNetwork) and isinstance(scheme, ExponentialEuler):
        return discretise_gated_network(flow, scheme)
    if isinstance(flow, Composite) and not isinstance(scheme, ExplicitEuler):
        return discretise_composite(flow, scheme, discretise)
    if isinstance(flow, AbstractFlow) and isinstance(scheme, ExplicitEuler):
        return EulerMap(flow, scheme)
    raise InputProblem(
        f"{type(scheme).__name__} does not apply to {type(flow).__name__}; use ExplicitEuler or "
        "BackwardEuler for a flow of your own, any scheme for RateNetwork and Assembly"
    )


def _discretise_rate(network: RateNetwork, scheme: AbstractScheme) -> RateMap:
    leak = network.leak.astype(jnp.float64)
    step = scheme.step / network.time_constant.astype(jnp.float64)
    if isinstance(scheme, ExplicitEuler):
        keep, gain = 1 - step * leak, step
    elif isinstance(scheme, ExponentialEuler):
        keep = jnp.exp(-step * leak)
        safe = jnp.where(leak != 0, leak, 1.0)
        gain = jnp.where(leak != 0, -jnp.expm1(-step * leak) / safe, step)
    else:
        raise InputProblem(
            f"{type(scheme).__name__} treats the coupling of an Assembly; a RateNetwork has none: "
            "use ExplicitEuler, which is the same map there, or wrap it in an Assembly"
        )
    dtype = network.weight.dtype
    return RateMap(network, jnp.asarray(keep, dtype), jnp.asarray(gain, dtype), scheme)


def _discretise_assembly(assembly: Assembly, scheme: AbstractScheme) -> AbstractMap:
    dtype = assembly.coupling.dtype
    coupling = assembly.coupling.astype(jnp.float64)
    leak, time_constant = (c.astype(jnp.float64) for c in per_unit_constants(assembly))
    keep, gain = 1 - scheme.step * leak / time_constant, scheme.step / time_constant
    if isinstance(scheme, SplitScheme):
        turned = propagator(assembly.coupling, scheme)
        return SemiImplicitMap(assembly, keep.astype(dtype), gain.astype(dtype), turned, scheme)
    if isinstance(scheme, ExplicitEuler):
        transition = jnp.diag(keep) + scheme.step * coupling
        return EulerAssemblyMap(assembly, gain.astype(dtype), transition.astype(dtype), scheme)
    if isinstance(scheme, ExponentialEuler):
        generator = scheme.step * (coupling - jnp.diag(leak / time_constant))
        transition, integral = _exponential_and_integral(generator)
        response = scheme.step * integral / time_constant
        return ExponentialAssemblyMap(
            assembly, transition.astype(dtype), response.astype(dtype), scheme
        )
    raise InputProblem(
        f"scheme {type(scheme).__name__} is not known; use ExplicitEuler, ExponentialEuler, "
        "SemiImplicit, Cayley, Rotation or BackwardEuler"
    )


def _exponential_and_integral(
    generator: Float[Array, "n n"],
) -> tuple[Float[Array, "n n"], Float[Array, "n n"]]:
    """`exp(A)` and `integral_0^1 exp(s A) ds`, from the exponential of one block matrix.

    Works for singular `A`, where `A^-1 (exp(A) - I)` does not.
    """
    size = generator.shape[0]
    block = jnp.block(
        [[generator, jnp.eye(size)], [jnp.zeros((size, size)), jnp.zeros((size, size))]]
    )
    exponential = jsl.expm(block, max_squarings=64)
    return exponential[:size, :size], exponential[:size, size:]
