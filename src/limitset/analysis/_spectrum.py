"""What a run gives: exponents, how sure they are, and what follows from them."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import t as student

from limitset._result import InputProblem

Vector = Float[np.ndarray, " k"]


class SpectrumVerdict(enum.Enum):
    """How a run ended; `value` says it in a sentence."""

    CONVERGED = "standard errors are within the tolerance, and blocks show no trend"
    TOO_SHORT = "some standard errors exceed the tolerance; take more steps"
    DRIFTING = "growth rates rise or fall from block to block; take longer transients"
    UNRESOLVED = (
        "vectors became parallel to rounding between two orthonormalisations; shorten the interval"
    )
    NOT_FINITE = "the trajectory or its tangent vectors left the finite numbers"


@dataclass(frozen=True)
class LyapunovSpectrum:
    """The first `k` Lyapunov exponents of a trajectory, with error bars from blocks.

    Per unit of time for flows, per step for maps, in falling order. Estimates in floating point
    along one trajectory: evidence `sampled`, for this start and these steps.

    - `exponents`, `standard_errors`: shape (k,). A standard error is the deviation of the blocks'
      averages over the root of their number; it is honest if blocks are much longer than the
      correlations of the trajectory.
    - `blocks`: the average growth rates in each block, shape (b, k).
    - `steps`: the steps that count; `time`: the same in units of time.
    - `spread`: the largest `log R_11 - log R_kk` between two orthonormalisations. Rounding errors
      of the last exponents grow with its exponential.
    - `final_state`: shape (n,), to go on from.
    - `verdict`: how the run ended.
    """

    exponents: Vector
    standard_errors: Vector
    blocks: Float[np.ndarray, "b k"]
    state_size: int
    steps: int
    time: float
    spread: float
    final_state: Float[np.ndarray, " n"]
    verdict: SpectrumVerdict

    @property
    def converged(self) -> bool:
        """Whether the verdict is `CONVERGED`."""
        return self.verdict is SpectrumVerdict.CONVERGED

    @property
    def running(self) -> Float[np.ndarray, "b k"]:
        """Estimates after each block: the trace to look at for convergence."""
        counts = np.arange(1, len(self.blocks) + 1)
        return np.cumsum(self.blocks, axis=0) / counts[:, None]

    def confidence_interval(self, level: float = 0.95) -> Float[np.ndarray, "k 2"]:
        """Lower and upper ends, by Student's t with one degree of freedom less than blocks.

        **Raises:** `InputProblem` for a level outside (0, 1).
        """
        if not 0 < level < 1:
            raise InputProblem(f"level is {level}; give a probability, as 0.95")
        half = student.ppf((1 + level) / 2, max(len(self.blocks) - 1, 1)) * self.standard_errors
        return np.stack([self.exponents - half, self.exponents + half], axis=1)

    def near_zero_count(self, width: float) -> int:
        """How many of the exponents have absolute values below `width`.

        A plateau of exponents at zero makes `kaplan_yorke_dimension` sensitive: state both.

        **Raises:** `InputProblem` for a width that is not positive.
        """
        if not width > 0:
            raise InputProblem(f"width is {width}; give a positive number, per unit of time")
        return int((np.abs(self.exponents) < width).sum())

    @property
    def kaplan_yorke_dimension(self) -> float | None:
        """`j + (l_1 + ... + l_j) / |l_(j+1)|` for the largest `j` whose sum is not negative.

        `None` where more exponents are needed to reach it, or they are not finite.

        **Reference:** J. Kaplan and J. Yorke, Lecture Notes in Mathematics 730 (1979) 204-227.
        """
        return kaplan_yorke(self.exponents, self.state_size)

    @property
    def kaplan_yorke_standard_error(self) -> float | None:
        """By leaving out one block at a time; `None` where one of the dimensions is."""
        return self._jackknife(lambda exponents: kaplan_yorke(exponents, self.state_size))

    @property
    def entropy_rate(self) -> float | None:
        """The sum of the positive exponents: an upper bound of the Kolmogorov-Sinai entropy.

        Equal to it where Pesin's formula holds. `None` where all exponents that were computed are
        positive and there are more, or they are not finite.
        """
        return _entropy_rate(self.exponents, self.state_size)

    @property
    def entropy_rate_standard_error(self) -> float | None:
        """By leaving out one block at a time; `None` where one of the rates is."""
        return self._jackknife(lambda exponents: _entropy_rate(exponents, self.state_size))

    def _jackknife(self, function: Callable[[Vector], float | None]) -> float | None:
        count = len(self.blocks)
        if count < 2:
            return None
        total = self.blocks.sum(0)
        values = [function((total - block) / (count - 1)) for block in self.blocks]
        known = np.array([value for value in values if value is not None])
        if len(known) < count:
            return None
        return float(np.sqrt((count - 1) * known.var()))


def kaplan_yorke(exponents: Vector, state_size: int) -> float | None:
    """The dimension of the first exponents of a system, `None` where they do not decide it."""
    if np.isnan(exponents).any() or not len(exponents):
        return None
    ordered = np.sort(exponents)[::-1]
    sums = np.cumsum(ordered)
    if sums[0] < 0:
        return 0.0
    below: Bool[np.ndarray, " k"] = sums < 0
    if not below.any():
        return float(state_size) if len(ordered) == state_size else None
    j = int(below.argmax())
    return float(j + sums[j - 1] / abs(ordered[j]))


def _entropy_rate(exponents: Vector, state_size: int) -> float | None:
    if np.isnan(exponents).any() or not len(exponents):
        return None
    if exponents.min() > 0 and len(exponents) < state_size:
        return None
    return float(np.maximum(exponents, 0).sum())
