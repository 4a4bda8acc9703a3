"""A gain below which a network without inputs decays whatever its gates do."""

import numpy as np
from jaxtyping import Float

from limitset.proofs._ball import Ball


def decay_gain(weight: Float[np.ndarray, "n n"]) -> float:
    """A gain below which every trajectory of a gated network decays: `1 / rho(|J|)`, rounded down.

    For `dh/dt = s (-h + J (phi(h) r))` with gates `0 < s` and `0 <= r <= 1`, and with
    `|phi(h)| <= gain |h|`: if `|J| v <= rho v` and `v > 0`, the maximum of `|h_i| / v_i` falls
    wherever `gain rho < 1`. `rho` is bounded by `max_i (|J| v)_i / v_i`, which holds for every
    positive `v`, in outward-rounded arithmetic.

    **Arguments:** `weight`, `J`, shape (n, n), exact.

    **Returns:** the gain; very large for weights that are all zero.

    Hypotheses: no inputs and no bias of the state; gates may have any gains, biases and speeds.

    >>> 1.999 < decay_gain(np.array([[0.0, 0.5], [-0.5, 0.0]])) <= 2.0
    True
    """
    size = np.abs(weight)
    values, vectors = np.linalg.eig(size)
    # Only a proposal: any positive vector gives a bound.
    guess = np.maximum(np.abs(np.real(vectors[:, np.argmax(np.real(values))])), 1e-6)
    vector = Ball.exact(guess)
    radius = float((Ball.exact(size) @ vector / vector).upper().max())
    return float((Ball.exact(1.0) / Ball.exact(radius)).lower()) if radius > 0 else np.inf
