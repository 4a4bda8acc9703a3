"""Modules of every kind with certificates, and what wholes made of them really do."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from limitset.contraction import (
    AbsoluteValue,
    AbstractMetric,
    Certificate,
    Sector,
    SingularValue,
    certify,
)
from limitset.contraction._block_metric import quadratic_root
from limitset.dynamics import AbstractFlow, AbstractMap, ExplicitEuler, discretise
from limitset.networks import RateNetwork

Array = np.ndarray


def absolute_module(rng: np.random.Generator, n: int) -> RateNetwork:
    """Signed weights whose magnitudes have the spectral radius 0.8."""
    weight = np.abs(rng.standard_normal((n, n))) + 0.1
    weight *= 0.8 / float(np.abs(np.linalg.eigvals(weight)).max())
    signs = rng.choice([-1.0, 1.0], (n, n))
    return RateNetwork(jnp.asarray(weight * signs), jnp.asarray(rng.standard_normal((n, 1))))


def symmetric_module(rng: np.random.Generator, n: int, form: str = "firing_rate") -> RateNetwork:
    """Symmetric weights with eigenvalues below 0.8, some far below."""
    T = rng.standard_normal((n, n))
    T = T @ T.T / 4 + 0.05 * np.eye(n)
    weight = jnp.asarray(T - T @ T / 3.2)
    return RateNetwork((weight + weight.T) / 2, jnp.ones((n, 1)), form=form, activation="relu")


def orthogonal_module(rng: np.random.Generator, n: int, spread: float = 1.0) -> RateNetwork:
    """Weights of norm 0.7 in a diagonal metric that is `exp(spread)` from round."""
    turned = np.linalg.qr(rng.standard_normal((n, n)))[0] * 0.7
    scale = np.exp(spread * rng.standard_normal(n))
    return RateNetwork(jnp.asarray(turned * scale / scale[:, None]), jnp.zeros((n, 1)))


def certified(system: AbstractFlow | AbstractMap) -> Certificate:
    """By the theorem that is made for the kind of module; no search takes long."""
    symmetric = isinstance(system, RateNetwork) and system.activation.name == "relu"
    theorems = (Sector(),) if symmetric else (AbsoluteValue(), SingularValue())
    answer = certify(system, input_bound=None, theorems=theorems)
    assert isinstance(answer, Certificate), answer.reason
    return answer


def draw_parts(rng: np.random.Generator, step: float | None = None) -> list[Certificate]:
    """Three modules of mixed kinds, as flows or as explicit Euler maps."""
    kinds = [absolute_module, orthogonal_module, symmetric_module]
    known = 3 if step is None else 2
    # One size throughout: JAX compiles every operation anew for every shape.
    modules = [kinds[int(rng.integers(known))](rng, 3) for _ in range(3)]
    if step is None:
        return [certified(module) for module in modules]
    return [certified(discretise(module, ExplicitEuler(step))) for module in modules]


def sizes_of(parts: list[Certificate]) -> list[int]:
    return [part.system.state_size for part in parts]


def owners(sizes: list[int]) -> Array:
    return np.repeat(np.arange(len(sizes)), sizes)


def draw_lower(rng: np.random.Generator, sizes: list[int], gain: float) -> jax.Array:
    """Random blocks below the diagonal."""
    owner, n = owners(sizes), sum(sizes)
    return jnp.asarray(gain * rng.standard_normal((n, n)) * (owner[:, None] > owner))


def metrics_of(parts: list[Certificate]) -> list[AbstractMetric]:
    return [part.metric for part in parts]


def corner_jacobians(modules: list[RateNetwork], most: int, rng: np.random.Generator) -> Array:
    """Block diagonal Jacobians of the modules at corners of the slope box, at most so many."""
    n = sum(m.state_size for m in modules)
    corners = list(itertools.islice(itertools.product((0.0, 1.0), repeat=n), most))
    if 2**n > most:
        corners = list((rng.random((most, n)) < 0.5).astype(float))
    found = []
    for slopes in corners:
        J, start = np.zeros((n, n)), 0
        for module in modules:
            at = slice(start, start := start + module.state_size)
            d, W = np.array(slopes[at]), np.asarray(module.weight)
            driven = W * d if module.form == "hopfield" else W * d[:, None]
            leak, tau = float(module.leak), float(module.time_constant)
            J[at, at] = (driven - leak * np.eye(len(d))) / tau
        found.append(J)
    return np.array(found)


def worst_growth(metric: AbstractMetric, jacobians: Array) -> float:
    """The largest measure of the Jacobians in a quadratic metric, in floats."""
    root = quadratic_root(metric)
    assert root is not None
    S = np.asarray(root)
    whitened = S @ jacobians @ np.linalg.inv(S)
    return float(np.linalg.eigvalsh((whitened + whitened.swapaxes(1, 2)) / 2)[:, -1].max())
