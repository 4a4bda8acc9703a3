"""Float32 maps of backward Euler, drawn at random, and what they compute in 200 bits."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flint import arb, ctx

from limitset.contraction import AbstractMetric, Certificate, DiagonalMetric, certify
from limitset.dynamics import BackwardEuler, ImplicitMap, discretise, largest_residual, simulate
from limitset.networks import Assembly, RateNetwork

INPUTS = 2
Rng = np.random.Generator


def single(values: object) -> jax.Array:
    return jnp.asarray(values, jnp.float32)


def double(tree: Any) -> Any:
    """The same numbers, to be computed with in float64."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), tree)


def rate(rng: Rng, n: int, activation: str, form: str, share: float = 0.7) -> RateNetwork:
    """With a leak and a time constant of its own; `share` of the leak is what weights may use."""
    weight = rng.standard_normal((n, n))
    leak, time_constant = rng.uniform(0.4, 2.5, 2)
    steepest = 0.25 if activation == "sigmoid" else 1.0
    weight *= share * leak / steepest / np.linalg.norm(weight, 2)
    arrays = (weight, rng.standard_normal((n, INPUTS)), rng.standard_normal(n))
    return RateNetwork(
        *map(single, arrays),
        activation=activation,
        form=form,
        leak=float(leak),
        time_constant=float(time_constant),
    )


def assembly(rng: Rng, strength: float = 3.0) -> Assembly:
    modules = [rate(rng, 3, "tanh", "hopfield"), rate(rng, 2, "relu", "firing_rate")]
    lower = np.zeros((5, 5))
    lower[3:, :3] = strength * rng.standard_normal((2, 3))
    return Assembly(modules, single(lower - lower.T))


def at_step(flow: RateNetwork | Assembly, step: float) -> ImplicitMap:
    """The map of a step that need not be compiled for."""
    system = discretise(flow, BackwardEuler(1.0))
    assert isinstance(system, ImplicitMap)
    return eqx.tree_at(lambda m: m.step, system, single(step))


FLOWS: dict[str, Callable[[Rng], RateNetwork | Assembly]] = {
    "hopfield_tanh": lambda rng: rate(rng, 4, "tanh", "hopfield"),
    "firing_rate_relu": lambda rng: rate(rng, 4, "relu", "firing_rate"),
    "firing_rate_softplus": lambda rng: rate(rng, 3, "softplus", "firing_rate"),
    "hopfield_sigmoid": lambda rng: rate(rng, 1, "sigmoid", "hopfield"),
    "hopfield_identity": lambda rng: rate(rng, 6, "identity", "hopfield"),
    "assembly": assembly,
}


def certified(system: ImplicitMap, scale: object = None, bound: float = 1.0) -> Certificate:
    metric = None if scale is None else DiagonalMetric(jnp.asarray(scale, jnp.float64))
    answer = certify(system, metric=metric, input_bound=bound)
    assert isinstance(answer, Certificate), answer.reason
    return answer


@eqx.filter_jit
def norms(metric: AbstractMetric, v: jax.Array) -> jax.Array:
    """Of the last axis."""
    flat = jax.vmap(metric.norm)(v.reshape(-1, v.shape[-1]))
    return flat.reshape(v.shape[:-1])


def distances(certificate: Certificate, v: object) -> np.ndarray:
    """In the metric, of the last axis."""
    return np.asarray(norms(certificate.metric, jnp.asarray(np.asarray(v, np.float64))))


def in_ball(rng: Rng, certificate: Certificate, radius: float, count: int) -> np.ndarray:
    """Float32 states just inside the ball, half of them along single units."""
    n = certificate.system.state_size
    found = rng.standard_normal((count, n))
    found[::2] = 0.01 * found[::2] + np.eye(n)[rng.integers(n, size=len(found[::2]))]
    found *= (1 - 1e-6) * radius / distances(certificate, found)[:, None]
    return found.astype(np.float32)


@eqx.filter_jit
def run(system: ImplicitMap, x: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """States from each start, and the largest residual of each run."""
    states = jax.vmap(lambda x: simulate(system, x, u).states)(x)
    return states, jax.vmap(lambda x, s: largest_residual(system, x, s, u))(x, states)


@eqx.filter_jit
def advance(system: ImplicitMap, x: jax.Array, u: jax.Array) -> jax.Array:
    """One step from each state."""
    return jax.vmap(lambda x, u: system.advance(0, x, u))(x, u)


def exact_residual(
    system: ImplicitMap, x: np.ndarray, following: np.ndarray, u: np.ndarray
) -> list[arb]:
    """`x+ - step f(x+, u) - x` of the numbers as they are, in 200 bits."""
    flow = system.flow
    assert isinstance(flow, RateNetwork | Assembly)
    modules = flow.modules if isinstance(flow, Assembly) else (flow,)
    with ctx.workprec(200):
        z, velocity, start = _exact(following), [], 0
        for module in modules:
            own = z[start : (start := start + module.state_size)]
            velocity += _velocity(module, own, _exact(u))
        if isinstance(flow, Assembly):
            coupled = _product(flow.coupling, z)
            velocity = [v + c for v, c in zip(velocity, coupled, strict=True)]
        step = arb(float(system.step))
        rows = zip(z, velocity, _exact(x), strict=True)
        return [a - step * v - b for a, v, b in rows]


def _velocity(module: RateNetwork, x: list[arb], u: list[arb]) -> list[arb]:
    phi = _PHI[module.activation.name]
    entering = zip(_product(module.input_weight, u), _exact(module.bias), strict=True)
    constant = [a + b for a, b in entering]
    if module.form == "hopfield":
        drive = _sum(_product(module.weight, [phi(v) for v in x]), constant)
    else:
        drive = [phi(v) for v in _sum(_product(module.weight, x), constant)]
    leak, time = arb(float(module.leak)), arb(float(module.time_constant))
    return [(d - leak * v) / time for d, v in zip(drive, x, strict=True)]


_PHI: dict[str, Callable[[arb], arb]] = {
    "tanh": lambda x: x.tanh(),
    "relu": lambda x: x.max(arb(0)),
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "softplus": lambda x: (1 + x.exp()).log(),
}


def _exact(values: object) -> list[arb]:
    return [arb(float(v)) for v in np.asarray(values).ravel()]


def _product(matrix: object, v: list[arb]) -> list[arb]:
    rows = np.asarray(matrix, np.float64).tolist()
    return [sum((arb(a) * b for a, b in zip(row, v, strict=True)), arb(0)) for row in rows]


def _sum(first: list[arb], second: list[arb]) -> list[arb]:
    return [a + b for a, b in zip(first, second, strict=True)]
