"""A given metric, decided exactly for small flows: every corner of the slope box is checked."""

import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._metric import AbstractMetric, DiagonalMetric, QuadraticMetric
from limitset.contraction._theorem import AbstractTheorem
from limitset.networks import Form, RateNetwork
from limitset.proofs import Ball, is_positive_definite

Square = Float[np.ndarray, "n n"]

_LARGEST = 10


class Vertices(AbstractTheorem):
    """Contraction of a small rate network in a metric that the caller gives.

    `sym(M J) + rate M` is affine in the slopes, so it is negative on the whole slope box if it is
    at the `2^n` corners. The condition is also necessary for this metric, and sees the difference
    between the two forms: the metrics of `W D` and `D W` differ unless they are diagonal.

    Hypotheses for `tau x' = -leak x + W phi(x) + u` or `-leak x + phi(W x + u)`:

    1. At most 10 units, and slopes in a known interval.
    2. `M` is positive definite.
    3. `-(sym(M J) + rate M)` is positive definite at every corner.

    **Reference:** arXiv 2106.08928, section 2; convexity of the largest eigenvalue.
    """

    @property
    def name(self) -> str:
        """`"vertices"`."""
        return "vertices"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Rate networks of at most 10 units, as flows."""
        return isinstance(system, RateNetwork) and system.state_size <= _LARGEST

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in `metric`, which must be given."""
        if not isinstance(system, RateNetwork) or system.state_size > _LARGEST:
            return Unknown(f"vertices speaks of rate networks of at most {_LARGEST} units")
        if system.activation.slope_interval is None:
            return Unknown(f"the slopes of {system.activation.name!r} have no proved bound")
        if metric is None:
            return Unknown("vertices needs a metric to be given")
        form = _metric_matrix(metric, system.state_size)
        if form is None or not is_positive_definite(Ball.exact(form)):
            return Unknown("the given metric is not certainly positive definite and of this size")
        rate = _float_rate(system, form)
        rate -= 1e-9 * (1 + abs(rate))
        if not rate > 0:
            return Unknown(f"a corner of the slope box has rate {rate:.6g} in the given metric")
        for slopes in _corners(system):
            if not is_positive_definite(_slack(system, form, slopes, rate)):
                return Unknown(f"rate {rate:.6g} could not be verified at slopes {slopes.tolist()}")
        used = QuadraticMetric(jnp.asarray(form))
        return Certificate(system, self.name, used, rate, None, (self.name,), (rate,))


def _metric_matrix(metric: AbstractMetric, size: int) -> Square | None:
    if isinstance(metric, QuadraticMetric):
        matrix = np.asarray(metric.matrix, np.float64)
    elif isinstance(metric, DiagonalMetric):
        matrix = np.diag(np.asarray(metric.scale, np.float64) ** 2)
    else:
        return None
    good = matrix.shape == (size, size) and np.isfinite(matrix).all()
    return matrix if good and (matrix == matrix.T).all() else None


def _corners(network: RateNetwork) -> list[Float[np.ndarray, " n"]]:
    ends = network.activation.slope_interval or (0.0, 0.0)
    return [np.array(c) for c in itertools.product(ends, repeat=network.state_size)]


def _slack(network: RateNetwork, form: Square, slopes: np.ndarray, rate: float) -> Ball:
    """`-(sym(M J) + rate M)` with the Jacobian enclosed."""
    weight = Ball.exact(np.asarray(network.weight, np.float64))
    driven = weight * (slopes if network.form is Form.HOPFIELD else slopes[:, None])
    leak = Ball.exact(float(network.leak) * np.eye(len(form)))
    jacobian = (driven - leak) / Ball.exact(float(network.time_constant))
    metric = Ball.exact(form)
    product = metric @ jacobian
    return -((product + product.T) * 0.5 + metric * rate)


def _float_rate(network: RateNetwork, form: Square) -> float:
    """The rate that the corners allow, in floating point; `-inf` where numbers overflow."""
    worst = -np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        root = np.linalg.cholesky(form)
        inverse = np.linalg.inv(root)
        for slopes in _corners(network):
            growth = inverse @ -_slack(network, form, slopes, 0.0).mid @ inverse.T
            if not np.isfinite(growth).all():
                return -np.inf
            worst = max(worst, np.linalg.eigvalsh(growth)[-1])
    return -float(worst)
