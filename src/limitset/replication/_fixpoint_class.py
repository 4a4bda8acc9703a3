"""What kind of fixed point a network is, with the margins by which it passed or failed."""

import enum
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from limitset._result import InputProblem
from limitset.replication._reduction import Spec, as_reduction


class FixpointClass(enum.IntEnum):
    """The kinds of network. Numbers are those of `FixpointLabels.classes`."""

    DIVERGENT = 0  # a weight is infinite or NaN
    ZERO = 1  # all weights are 0, up to the tolerance
    IDENTITY = 2  # it replicates, up to the tolerance
    SECONDARY = 3  # it replicates in two turns, in the sense that was asked for
    OTHER = 4


class LabelOrder(enum.Enum):
    """Which of two tests comes first; both are passed by weights near zero.

    `JOURNAL` therefore counts zeros as replicators. The counts of 2019 split zeros off, as `SWARM`.
    """

    SWARM = "swarm"  # zero, then replication
    JOURNAL = "journal"  # replication, then zero


class SecondaryTest(enum.Enum):
    """Two meanings of replicating in two turns; they disagree.

    `DOUBLE_OUTPUT` asks the same network twice, `f_theta(f_theta(theta))`, as all public code does:
    for linear particles with `kappa_0 = -1` it holds whatever the weights. `PERIOD2` lets the
    network that the first turn wrote answer in the second, `T(T(theta))`.
    """

    DOUBLE_OUTPUT = "double_output"
    PERIOD2 = "period2"


@dataclass(frozen=True)
class FixpointLabels:
    """The class of each network and the numbers behind it, in float64.

    **Arguments:** `classes`, as numbers of `FixpointClass`; `tolerance`; `replication`,
    `max_i |T(theta)_i - theta_i|`; `size`, `max_i |theta_i|`; `double_output` and `period2`,
    `max_i` of how far two turns lead. Where a number overflows it is infinite or NaN, and its test
    failed.
    """

    classes: Int[np.ndarray, "*batch"]
    tolerance: float
    replication: Float[np.ndarray, "*batch"]
    size: Float[np.ndarray, "*batch"]
    double_output: Float[np.ndarray, "*batch"]
    period2: Float[np.ndarray, "*batch"]

    def count(self, kind: FixpointClass) -> int:
        """How many networks are of this kind."""
        return int((self.classes == kind).sum())


def classify(
    spec: Spec,
    weights: Float[Array, "*batch n"],
    *,
    tolerance: float = 1e-5,
    order: LabelOrder = LabelOrder.SWARM,
    secondary: SecondaryTest = SecondaryTest.DOUBLE_OUTPUT,
) -> FixpointLabels:
    """The class of each network, by absolute tests in float64.

    Divergence is tested first, then zero and replication in the `order` asked for, then
    `secondary`. The tests are absolute: small weights pass them easily.

    **Arguments:** `spec`; `weights`, of any dtype, with any number of batch axes; `tolerance`,
    1e-5 in organism networks and the journal article, 1e-4 in the experiments of 2019.

    **Returns:** `FixpointLabels`; all of it [float64].

    **Raises:** `InputProblem` for weights or tolerances that do not fit.

    **Example:**

    >>> from limitset.replication import ParticleSpec
    >>> found = classify(ParticleSpec(), jnp.zeros((3, 14)).at[0, 0].set(jnp.nan))
    >>> [FixpointClass(k).name for k in found.classes], found.count(FixpointClass.ZERO)
    (['DIVERGENT', 'ZERO', 'ZERO'], 2)

    **Reference:** arXiv 2212.10078; Gabor et al., Artificial Life 28 (2022) 205-223,
    doi 10.1162/artl_a_00359.
    """
    if not (isinstance(tolerance, float | int) and 0 < tolerance < float("inf")):
        raise InputProblem(f"tolerance is {tolerance!r}; give a positive number, as 1e-5")
    if not isinstance(order, LabelOrder) or not isinstance(secondary, SecondaryTest):
        raise InputProblem(
            f"order {order!r} and secondary {secondary!r} do not fit; give a LabelOrder and a "
            "SecondaryTest"
        )
    size = as_reduction(spec).weight_count
    if weights.shape[-1:] != (size,):
        raise InputProblem(f"weights has shape {weights.shape}; the last axis must be {size}")
    finite, *margins = (np.asarray(part) for part in _margins(spec, weights))
    replication, largest, double, period = margins
    second = double if secondary is SecondaryTest.DOUBLE_OUTPUT else period
    tests = [
        (largest <= tolerance, FixpointClass.ZERO),
        (replication <= tolerance, FixpointClass.IDENTITY),
    ]
    first, then = tests if order is LabelOrder.SWARM else tests[::-1]
    conditions = [~finite, first[0], then[0], second <= tolerance]
    kinds = [FixpointClass.DIVERGENT, first[1], then[1], FixpointClass.SECONDARY]
    classes = np.select(conditions, kinds, FixpointClass.OTHER)
    return FixpointLabels(classes, float(tolerance), replication, largest, double, period)


@eqx.filter_jit
def _margins(spec: Spec, weights: Float[Array, "*batch n"]) -> tuple[Array, ...]:
    reduction = as_reduction(spec)
    rewrite = jnp.vectorize(reduction.rewrite, signature="(n),(n)->(n)")
    old = weights.astype(jnp.float64)
    first = rewrite(old, old)

    def distance(found: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
        return jnp.max(jnp.abs(found - old), axis=-1)

    return (
        jnp.isfinite(old).all(axis=-1),
        distance(first),
        jnp.max(jnp.abs(old), axis=-1),
        distance(rewrite(old, first)),
        distance(rewrite(first, first)),
    )
