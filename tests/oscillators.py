"""Tanh networks with a periodic orbit, for tests."""

import jax.numpy as jnp
import numpy as np

from limitset.networks import RateNetwork

PLANAR = np.array([[2.0, -2.0], [2.0, 2.0]])
PLANAR_PERIOD = 6.83763354805
# Its orbit needs few segments, so proofs are quick.
SLOW = np.array([[1.25, -1.0], [1.0, 1.25]])


def recipe(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of random networks that oscillate."""
    rng = np.random.default_rng(n + 10)
    A = rng.standard_normal((n, n))
    W = 2.2 * (A - A.T) / np.sqrt(2 * n) + 1.6 * np.eye(n) + 0.1 * rng.standard_normal((n, n))
    return W, 0.1 * rng.standard_normal(n)


def network(W: np.ndarray, b: np.ndarray | None = None, **options) -> RateNetwork:
    """The Hopfield form, unless the options say otherwise."""
    return RateNetwork(jnp.asarray(W), bias=None if b is None else jnp.asarray(b), **options)
