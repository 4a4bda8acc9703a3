"""Bounds for one layer of units, from which every theorem of this folder is assembled.

A layer contributes `W D` (Hopfield form) or `D W` (firing-rate form) to the Jacobian, D a diagonal
matrix of slopes in `[lowest, highest]`. In a diagonal metric `M = S^2` both forms whiten to
products of D with `V = S W S^-1`, so every bound here holds for both.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitset.networks import Activation, Elman, RateNetwork
from limitset.proofs import (
    Ball,
    largest_eigenvalue_upper,
    nonnegative_two_norm_upper,
    two_norm_upper,
)

Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Layer:
    """What the theorems need of a layer: its weights as exact numbers and its slope interval."""

    weight: Float[np.ndarray, "n n"]
    lowest: float
    highest: float

    @property
    def steepest(self) -> float:
        """The largest slope in absolute value."""
        return max(abs(self.lowest), abs(self.highest))


def layer_of(network: RateNetwork | Elman) -> Layer | None:
    """The layer of a network, or `None` if its activation has no proved slope bound."""
    weight = network.weight if isinstance(network, RateNetwork) else network.weight_hh
    return make_layer(np.asarray(weight, np.float64), network.activation)


def make_layer(weight: Float[np.ndarray, "n n"], activation: Activation) -> Layer | None:
    """A layer from weights (float64, exact) and an activation."""
    if activation.slope_interval is None:
        return None
    lowest, highest = activation.slope_interval
    return Layer(weight, lowest, highest)


def whiten(matrix: Ball, scale: Vector) -> Ball:
    """`S X S^-1`, entry by entry: `s_i x_ij / s_j`."""
    exact = Ball.exact(scale)
    return matrix * exact.reshape(-1, 1) / exact.reshape(1, -1)


def product_upper(*factors: float) -> float:
    """A float not below the product of nonnegative floats; infinite if one is not finite."""
    if not all(np.isfinite(f) for f in factors):
        return float("inf")
    product = Ball.exact(1.0)
    for factor in factors:
        product = product * factor
    return float(product.upper())


def sum_upper(*terms: float) -> float:
    """A float not below the sum; infinite if a term is not finite."""
    if not all(np.isfinite(t) for t in terms):
        return float("inf")
    total = Ball.exact(0.0)
    for term in terms:
        total = total + term
    return float(total.upper())


def gain_bound(layer: Layer, scale: Vector) -> float:
    """Upper bound of `sup_D |S W D S^-1|_2`: steepest slope times the 2-norm of `V`."""
    return product_upper(whitened_norm(layer.weight, scale), layer.steepest)


def whitened_norm(matrix: Float[np.ndarray, "n n"], scale: Vector) -> float:
    """Upper bound of `|S X S^-1|_2`."""
    return two_norm_upper(whiten(Ball.exact(matrix), scale))


def measure_bound(layer: Layer, scale: Vector) -> float:
    """Upper bound of `sup_D lambda_max(sym(S W D S^-1))` from absolute values.

    Off the diagonal a slope can do no worse than `steepest |v_ij|`; on the diagonal the worst slope
    keeps the sign of the self-weight, so a negative self-weight counts as `lowest w_ii`, 0 for the
    usual activations, never as its negative value: its slope may vanish.
    """
    low, high = _diagonal_range(layer, 0.0, 1.0)
    majorant = _majorant(layer, scale, np.maximum(low.upper(), high.upper()), 1.0)
    return largest_eigenvalue_upper((majorant + majorant.T) * 0.5)


def map_bound(layer: Layer, scale: Vector, keep: Vector, gain: Vector) -> float:
    """Upper bound of `sup_D |S (diag(keep) + diag(gain) W D) S^-1|_2` from absolute values."""
    low, high = _diagonal_range(layer, keep, gain)
    diagonal = np.maximum(low.magnitude(), high.magnitude())
    return nonnegative_two_norm_upper(_majorant(layer, scale, diagonal, np.abs(gain)))


def gain_map_bound(layer: Layer, scale: Vector, keep: Vector, gain: Vector) -> float:
    """Upper bound of the same supremum by the triangle inequality, `max keep + max gain |V|`."""
    driven = product_upper(float(np.abs(gain).max()), gain_bound(layer, scale))
    return sum_upper(float(np.abs(keep).max()), driven)


def _diagonal_range(layer: Layer, keep: Vector | float, gain: Vector | float) -> tuple[Ball, Ball]:
    """`keep + gain w_ii d` at the two ends d of the slope interval."""
    driven = Ball.exact(np.diag(layer.weight).copy()) * gain
    return driven * layer.lowest + keep, driven * layer.highest + keep


def _majorant(layer: Layer, scale: Vector, diagonal: Vector, gain: Vector | float) -> Ball:
    """The given diagonal, and entrywise bounds of the whitened layer off it."""
    rows = np.broadcast_to(np.asarray(gain, np.float64), scale.shape).reshape(-1, 1)
    weight = np.abs(layer.weight)
    np.fill_diagonal(weight, 0.0)
    off_diagonal = whiten(Ball.exact(weight), scale) * layer.steepest * rows
    return off_diagonal + np.diag(diagonal)
