"""Proved bifurcations of every kind, form and family, for tests of their certificates."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from limitset.dynamics import (
    BiasFamily,
    ExplicitEuler,
    ExponentialEuler,
    MapFamily,
    RateMap,
    discretise,
    gain_map_family,
    shift_map_family,
)
from limitset.io._bifurcation_certificate import Bifurcation, Family, bifurcation_fields
from limitset.io._certificate import sealed
from limitset.networks import Elman, RateFamily, RateNetwork, gain_family
from limitset.proofs import (
    prove_flip,
    prove_fold,
    prove_neimark_sacker,
    prove_symmetric_pitchfork,
)
from proofs.judging import proved


class Case(NamedTuple):
    """A record, and the family that it was proved for."""

    record: Bifurcation
    family: Family

    @property
    def document(self) -> dict[str, Any]:
        """The content of its certificate."""
        return sealed(bifurcation_fields(self.record, self.family), None)


def stepped(network: RateNetwork, step: float = 1.0, *, exponential: bool = False) -> RateMap:
    """The network as a stored map."""
    scheme = ExponentialEuler(step) if exponential else ExplicitEuler(step)
    found = discretise(network, scheme)
    assert isinstance(found, RateMap)
    return found


def firing(weight: Any, bias: Any = None, **options: Any) -> RateNetwork:
    """A firing-rate network."""
    added = None if bias is None else jnp.asarray(bias)
    return RateNetwork(jnp.asarray(weight), bias=added, form="firing_rate", **options)


def rotation(angle: float) -> np.ndarray:
    """The matrix of a rotation."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def crossing(family: Any, end: float) -> tuple[float, complex, np.ndarray, np.ndarray]:
    """Where a multiplier of the fixed point leaves the unit circle, in steps from parameter 0."""
    step = jax.jit(lambda x, a: family(x, a))
    x, jacobian = jnp.zeros(family.state_size), jax.jit(jax.jacfwd(step))
    for a in np.arange(0.0, end, 0.005 * np.sign(end)).tolist():
        for _ in range(8):
            J = np.asarray(jacobian(x, a))
            x = x + np.linalg.solve(np.eye(len(x)) - J, np.asarray(step(x, a)) - x)
        values, vectors = np.linalg.eig(jacobian(x, a))
        k = int(np.argmax(np.abs(values) + 1e-6 * np.sign(np.imag(values))))
        if abs(values[k]) > 1:
            return a, complex(values[k]), np.asarray(x), vectors[:, k]
    raise AssertionError("no multiplier leaves the circle")


def _fold_of_one_unit() -> Case:
    """`x' = -x + 2 tanh x + a`."""
    family = BiasFamily(RateNetwork(jnp.array([[2.0]])), jnp.array([1.0]))
    return Case(proved(prove_fold(family, -0.5, np.array([0.9]), np.ones(1))), family)


def _fold_in_gain() -> Case:
    """Beside other units; a subcritical branch of a biased Hopfield network."""
    weight = np.array([[1.0, 0.1, 0.0], [0.2, 0.3, -0.1], [0.0, 0.1, 3.0]])
    bias = jnp.array([0.1, 0.0, 0.0])
    network = RateNetwork(jnp.asarray(weight), bias=bias, leak=0.9, time_constant=2.0)
    family, start = gain_family(network), np.array([-0.5, -0.1, 0.0])
    return Case(proved(prove_fold(family, 1.2, start, np.array([1.0, 0.2, 0.0]))), family)


def _fold_of_cells() -> Case:
    """`x+ = tanh(2 x + a)` beside a second unit, as an Elman cell in float32."""
    weight = jnp.array([[2.0, 0.125], [0.25, -0.5]], jnp.float32)
    bias = jnp.array([0.125, 0.0], jnp.float32)
    cell = Elman(jnp.zeros((2, 1), jnp.float32), weight, bias, -bias)
    family = BiasFamily(cell, jnp.array([1.0, 0.5], jnp.float32))
    start = (0.6, np.array([-0.7, 0.0]), np.array([1.0, 0.1]))
    return Case(proved(prove_fold(family, *start, discrete=True)), family)


def _pitchfork() -> Case:
    weight = np.array([[1.2, 0.3, 0.1], [-0.2, 0.4, 0.5], [0.0, -0.6, 0.3]])
    family = gain_family(RateNetwork(jnp.asarray(weight), leak=0.8, time_constant=0.5))
    vector = np.array([1.0, -0.1, 0.0])
    return Case(proved(prove_symmetric_pitchfork(family, 0.7, vector)), family)


def _subcritical_pitchfork() -> Case:
    direction = jnp.array([[-2.0, 9.0], [-0.75, 3.25]])
    # A direction beside weights of its own.
    shifted = RateFamily(firing(np.array([[0.0, 0.0], [0.0, 1e-3]])), direction)
    vector = np.array([3.0, 1.0])
    return Case(proved(prove_symmetric_pitchfork(shifted, 1.0, vector)), shifted)


def _flip() -> Case:
    """A biased leaky map, whose other multipliers stay within."""
    weight = np.array([[-1.5, 0.3, 0.0], [0.2, 0.4, -0.3], [0.1, 0.3, 0.5]])
    family = gain_map_family(stepped(firing(weight, [0.2, -0.1, 0.3]), 0.8))
    a, value, x, v = crossing(family, 4.0)
    assert abs(value + 1) < 0.02
    return Case(proved(prove_flip(family, a, x, np.real(v))), family)


def _flip_by_shift() -> Case:
    """Downwards, in Hopfield form with sigmoids."""
    weight = np.array([[-0.5, 0.5], [0.25, 1.0]])
    network = RateNetwork(jnp.asarray(weight), bias=jnp.array([0.1, 0.4]), activation="sigmoid")
    family = shift_map_family(stepped(network, 1.5))
    a, value, x, v = crossing(family, -8.0)
    assert abs(value + 1) < 0.02
    return Case(proved(prove_flip(family, a, x, np.real(v))), family)


def _turning() -> Case:
    """`x+ = tanh(r R x)`: the coefficient is -1/2."""
    family = gain_map_family(stepped(firing(rotation(1.0))))
    start = (1.01, 1.01, np.full(2, 0.01), np.array([1.0, -1.0j]))
    return Case(proved(prove_neimark_sacker(family, *start)), family)


def _neimark_sacker() -> Case:
    weight = np.array([[0.6, -0.9, 0.1], [0.8, 0.5, 0.2], [0.3, -0.1, 0.2]])
    family = gain_map_family(stepped(firing(weight, [0.2, -0.1, 0.3]), 2.0, exponential=True))
    a, value, x, v = crossing(family, 6.0)
    return Case(proved(prove_neimark_sacker(family, a, float(np.angle(value)), x, v)), family)


def _neimark_sacker_in_a_direction() -> Case:
    """Hopfield form; only the rotation grows."""
    weight, turn = np.diag([0.3, 0.2, 2.5]), np.zeros((3, 3))
    turn[:2, :2], weight[0, 2] = rotation(2.5), 0.1
    network = RateNetwork(jnp.asarray(weight), bias=jnp.array([0.1, 0.05, 0.0]), leak=0.75)
    family = MapFamily(stepped(network, 0.5), jnp.asarray(turn))
    x = np.array([0.1, 0.0, 0.0])
    start = (4.0, 2.0, x, np.array([1.0, -1.0j, 0.0]))
    return Case(proved(prove_neimark_sacker(family, *start)), family)


def _robust_fold() -> Case:
    """For all weights and biases nearby."""
    family = BiasFamily(RateNetwork(jnp.array([[2.0]])), jnp.array([1.0]))
    record = prove_fold(family, -0.5, np.array([0.9]), np.ones(1), weight_radius=1e-6)
    return Case(proved(record), family)


def _robust_turning() -> Case:
    family = gain_map_family(stepped(firing(rotation(1.0))))
    start = (1.01, 1.01, np.full(2, 0.01), np.array([1.0, -1.0j]))
    return Case(proved(prove_neimark_sacker(family, *start, weight_radius=1e-7)), family)


CASES: dict[str, Callable[[], Case]] = {
    "fold": cache(_fold_of_one_unit),
    "fold_in_gain": cache(_fold_in_gain),
    "fold_of_cells": cache(_fold_of_cells),
    "pitchfork": cache(_pitchfork),
    "subcritical_pitchfork": cache(_subcritical_pitchfork),
    "flip": cache(_flip),
    "flip_by_shift": cache(_flip_by_shift),
    "turning": cache(_turning),
    "robust_fold": cache(_robust_fold),
    "robust_turning": cache(_robust_turning),
    "neimark_sacker": cache(_neimark_sacker),
    "neimark_sacker_in_a_direction": cache(_neimark_sacker_in_a_direction),
}
