"""How far an input may move before a certified deep network can change its mind."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from limitset._result import Evidence, InputProblem
from limitset.contraction._block_certificate import Norm, check_norm
from limitset.contraction._enclosed_scores import enclose_scores
from limitset.contraction._layer import product_upper
from limitset.contraction._network_certificate import NetworkCertificate
from limitset.contraction._operator_bounds import exact
from limitset.proofs import Ball, ball_sum

# A radius is never above it, where the readout does not tell two classes apart.
_LARGEST = 1e300


@dataclass(frozen=True)
class CertifiedRadii:
    """For each input, the class with the highest score and a radius within which it stays that.

    Every input at a distance below the radius, in the norm, has the same class, in exact
    arithmetic on the stored weights. The radius is 0 where the highest score is not certain.
    """

    classes: Int[np.ndarray, " b"]
    radii: Float[np.ndarray, " b"]
    norm: Norm
    evidence: Evidence = Evidence.VERIFIED


def certified_radii(
    certificate: NetworkCertificate, inputs: Float[np.ndarray, "b m"], norm: Norm
) -> CertifiedRadii:
    """Radii of balls of inputs that keep their class, from margins and Lipschitz bounds.

    `r = min_j (y_c - y_j) / (|w_c - w_j| gain)` over the other classes j, with the readout's rows
    `w` in the dual norm and the network's gain up to its last state: each pair of classes has a
    Lipschitz bound of its own. In the maximum norm also the 2-norm's radius over `sqrt(m)`, in the
    2-norm also the maximum norm's, whichever is larger. The scores are enclosed.

    **Arguments:** `certificate`, from `certify_network`; `inputs`, shape (inputs, m), float32 or
    float64; `norm` of the radii, `"euclidean"` or `"maximum"`.

    **Returns:** `CertifiedRadii`, verified lower bounds.

    **Raises:** `InputProblem` for another norm, for inputs that do not fit, and for a network with
    a single score.

    >>> import jax.numpy as jnp
    >>> from limitset.contraction import certify_network
    >>> from limitset.networks import (
    ...     DeepNetwork, DenseOperator, LinearReadout, ResidualBlock, Stage
    ... )
    >>> half, one = DenseOperator(jnp.array([[-0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> block = ResidualBlock(half, one, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> readout = LinearReadout(jnp.array([[1.0], [-1.0]]), jnp.zeros(2))
    >>> certificate = certify_network(DeepNetwork((Stage(block, 1),), readout))
    >>> found = certified_radii(certificate, np.array([[3.0]]), "euclidean")
    >>> found.classes.tolist(), round(float(found.radii[0]), 9)
    ([0], 3.0)
    """
    check_norm(norm)
    scores = enclose_scores(certificate, inputs)
    if certificate.network.output_size < 2:
        raise InputProblem("the network has one score; radii need at least two classes")
    classes = np.argmax(scores.mid, axis=1)
    margins = _margins(scores, classes)
    euclidean = _radii(certificate, margins, classes, "euclidean")
    maximum = _radii(certificate, margins, classes, "maximum")
    if norm == "euclidean":
        return CertifiedRadii(classes, np.maximum(euclidean, maximum), norm)
    root = Ball.exact(float(certificate.network.input_size)).sqrt()
    narrowed = np.maximum((Ball.exact(euclidean) / root).lower(), 0.0)
    return CertifiedRadii(classes, np.maximum(narrowed, maximum), norm)


def _margins(scores: Ball, classes: Int[np.ndarray, " b"]) -> Float[np.ndarray, "b k"]:
    """Lower bounds of `y_c - y_j`; infinite for j = c."""
    rows = np.arange(len(classes))
    highest = Ball.moved(lambda a: a[rows, classes][:, None], scores)
    margins = np.array((highest - scores).lower())
    margins[rows, classes] = np.inf
    return margins


def _radii(
    certificate: NetworkCertificate,
    margins: Float[np.ndarray, "b k"],
    classes: Int[np.ndarray, " b"],
    norm: Norm,
) -> Float[np.ndarray, " b"]:
    euclidean = norm == "euclidean"
    gain = certificate.euclidean_gain if euclidean else certificate.maximum_gain
    pairs = _pair_norms(exact(certificate.network.readout.weight), euclidean=euclidean)
    lipschitz = np.array([[product_upper(gain, float(p)) for p in row] for row in pairs])
    speeds = lipschitz[classes]
    with np.errstate(all="ignore"):
        usable = np.isfinite(speeds) & (margins > 0)
        finite = np.where(usable & np.isfinite(margins), margins, 1.0)
        slowest = np.maximum(np.where(usable, speeds, 1.0), 2.0**-900)
        quotient = np.maximum((Ball.exact(finite) / slowest).lower(), 0.0)
    radii = np.where(usable, np.minimum(quotient, _LARGEST), 0.0)
    radii = np.where(np.isinf(margins) & (margins > 0), _LARGEST, radii)
    return radii.min(axis=1)


def _pair_norms(weight: Ball, *, euclidean: bool) -> Float[np.ndarray, "k k"]:
    """Upper bounds of `|w_c - w_j|`, in the 2-norm or the sum norm."""
    count = len(weight)
    first = Ball.moved(lambda a: np.repeat(a, count, axis=0), weight)
    second = Ball.moved(lambda a: np.tile(a, (count, 1)), weight)
    gaps = Ball.exact((first - second).magnitude())
    if euclidean:
        sums = Ball.exact(ball_sum(gaps * gaps, axis=1).upper()).sqrt().upper()
    else:
        sums = ball_sum(gaps, axis=1).upper()
    norms = np.array(sums).reshape(count, count)
    np.fill_diagonal(norms, 0.0)
    return norms
