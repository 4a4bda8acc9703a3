"""What `certify_block` answers: a deep block that forgets, or at least never drives apart."""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING
from typing import Literal

from limitset._result import Evidence, InputProblem
from limitset.contraction._certificate import rounded
from limitset.contraction._layer import product_upper, sum_upper
from limitset.contraction._metric import AbstractMetric
from limitset.networks import AbstractBlock
from limitset.proofs import Ball

BlockTheorem = Literal["symmetric", "row_sum", "gradient", "equilibrium"]
Norm = Literal["euclidean", "maximum"]


@dataclass(frozen=True)
class BlockCertificate:
    """A proved bound on every step of a block, at all states and inputs: `|J|_M <= factor <= 1`.

    Pairs of states of one input obey `|x_k - y_k|_M <= factor^k |x_0 - y_0|_M`; `factor` 1 says
    that they never part, below 1 that they meet. All numbers are verified upper bounds (of
    `step_limit`, a lower bound), in exact arithmetic on the stored weights:

    - `euclidean_gain`, `maximum_gain`: of `|x(K; u + w) - x(K; u)| / |w|` at every depth K, in the
      2-norm and the maximum norm, from one first state; `inf` where none is known.
    - `euclidean_push`, `maximum_push`: the same for one step, K = 1.
    - `euclidean_transient`, `maximum_transient`: of `|x_K - y_K| / |x_0 - y_0|` at every K.
    - `root_push`: of `|x(K; u + w) - x(K; u)|_2 / (sqrt(K) |w|_2)`.
    - `step_limit`: the largest step for which the block is certainly nonexpansive is not smaller.
    - `spectra`: for each depth at which weights differ, bounds of the eigenvalues of P
      (`symmetric`) or of the singular values of R (`gradient`); empty for the others.

    `conditions` are the hypotheses, in words.
    """

    block: AbstractBlock
    theorem: BlockTheorem
    metric: AbstractMetric
    factor: float
    euclidean_gain: float
    maximum_gain: float
    step_limit: float
    conditions: tuple[str, ...]
    euclidean_push: float = math.inf
    maximum_push: float = math.inf
    euclidean_transient: float = math.inf
    maximum_transient: float = math.inf
    root_push: float = math.inf
    spectra: tuple[tuple[float, float], ...] = ()
    evidence: Evidence = Evidence.VERIFIED

    def claim(self) -> str:
        """The claim in one line, with its evidence."""
        kind = "contracting" if self.factor < 1 else "nonexpansive"
        return (
            f"{kind} by {self.theorem}, factor {rounded(self.factor, ROUND_CEILING)} per step, for "
            f"all states and inputs [{self.evidence.label}]"
        )


def block_gain(certificate: BlockCertificate, depth: int | float, norm: Norm) -> float:
    """How far an input moves the state of a block in so many steps, from one first state.

    The least of the bound for every depth, of `push (1 + transient (factor + ... +
    factor^(depth-1)))`, what the steps add one by one, and, in the 2-norm, of `root_push
    sqrt(depth)`.

    **Arguments:** `certificate`; `depth`, 0 or more steps, or `math.inf`; `norm`, `"euclidean"` or
    `"maximum"`, for the input and the state alike.

    **Returns:** an upper bound of `|x(depth; u + w) - x(depth; u)| / |w|`, verified.

    **Raises:** `InputProblem` for another norm or a negative depth.

    **Reference:** arXiv 1804.07209.

    >>> import jax.numpy as jnp
    >>> from limitset.contraction import certify_block
    >>> from limitset.networks import DenseOperator, ResidualBlock
    >>> minus, one = DenseOperator(jnp.array([[-0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> certificate = certify_block(ResidualBlock(minus, one, jnp.zeros(1), jnp.array(1.0)))
    >>> round(block_gain(certificate, 1, "euclidean"), 9)
    1.0
    """
    check_norm(norm)
    if not depth >= 0 or (depth < math.inf and depth != int(depth)):
        raise InputProblem(f"depth is {depth}; give a number of steps, 0 or more, or math.inf")
    if depth == 0:
        return 0.0
    euclidean = norm == "euclidean"
    push = certificate.euclidean_push if euclidean else certificate.maximum_push
    limit = certificate.euclidean_gain if euclidean else certificate.maximum_gain
    if depth == math.inf:
        return limit
    carried = product_upper(
        transient_gain(certificate, 0, norm), _powers_upper(certificate.factor, int(depth))
    )
    added = product_upper(push, sum_upper(1.0, carried))
    rooted = product_upper(certificate.root_push, float(Ball.exact(float(depth)).sqrt().upper()))
    return min(limit, added, rooted if euclidean else math.inf)


def transient_gain(certificate: BlockCertificate, depth: int, norm: Norm) -> float:
    """An upper bound of `|x_depth - y_depth| / |x_0 - y_0|` for two states of one input."""
    euclidean = norm == "euclidean"
    transient = certificate.euclidean_transient if euclidean else certificate.maximum_transient
    return product_upper(transient, power_upper(certificate.factor, depth))


def check_norm(norm: str) -> None:
    """Refuse a norm that certificates do not speak of."""
    if norm not in ("euclidean", "maximum"):
        raise InputProblem(f'norm is {norm!r}; give "euclidean" or "maximum"')


def power_upper(factor: float, exponent: int) -> float:
    """A float not below `factor^exponent`, for `factor` in [0, 1]."""
    result, square = 1.0, factor
    while exponent:
        if exponent % 2:
            result = product_upper(result, square)
        square, exponent = product_upper(square, square), exponent // 2
    return min(result, 1.0)


def _powers_upper(factor: float, count: int) -> float:
    """A float not below `factor + ... + factor^(count-1)`, for `factor` in [0, 1]."""
    total, power = 0.0, 1.0
    for bit in bin(max(count - 1, 0))[2:]:
        # From m terms to 2 m, and to 2 m + 1: sum (1 + factor^m), and one power more.
        total, power = product_upper(total, sum_upper(1.0, power)), product_upper(power, power)
        if bit == "1":
            power = product_upper(power, factor)
            total = sum_upper(total, power)
    if not factor < 1:
        return total
    return min(total, float((Ball.exact(factor) / (1 - Ball.exact(factor))).upper()))
