"""What `certify` answers: a certificate, unknown with the reason, or refuted with a witness."""

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

import numpy as np
from jaxtyping import Float

from limitset._result import Evidence
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._metric import AbstractMetric


@dataclass(frozen=True)
class Attempt:
    """One theorem that was tried: its bound (rate or factor, `None` if none) and the reason."""

    theorem: str
    bound: float | None
    reason: str


@dataclass(frozen=True)
class Float32Gap:
    """How far apart two float32 runs of the same input can stay, for ever.

    For inputs with `|u_j| <= input_bound` and starts with `|x|_M <= state_radius`:
    `|x_n - y_n|_M <= factor^n |x_0 - y_0|_M + gap`, with `gap = 2 rounding / (1 - factor)`.

    It assumes that every product and sum is rounded to nearest in float32 (any order of summation,
    fused or not, subnormals kept or flushed), and that the activation's relative error is at most
    `activation_error`.
    """

    input_bound: float
    activation_error: float
    state_radius: float
    rounding: float
    gap: float

    def claim(self) -> str:
        """The claim in one line, its number rounded up."""
        gap = _rounded(self.gap, ROUND_CEILING, 3)
        return f"two runs of one input end within {gap} in the metric, for ever"


@dataclass(frozen=True)
class Certificate:
    """A proved contraction: all pairs of trajectories approach in `metric`, for all inputs.

    Flows carry a `rate` per unit time (a lower bound, positive), maps a `factor` per step (an
    upper bound, below one); the other is `None`. `module_bounds` and `coupling_bounds` are the
    numbers from which it follows, `multipliers` those of the sector theorem, so that `explain` and
    the checker can retrace it.
    """

    system: AbstractFlow | AbstractMap
    theorem: str
    metric: AbstractMetric
    rate: float | None
    factor: float | None
    module_theorems: tuple[str, ...]
    module_bounds: tuple[float, ...]
    coupling_bounds: tuple[float, ...] = ()
    multipliers: tuple[float, ...] = ()
    float32: Float32Gap | None = None
    tried: tuple[Attempt, ...] = field(default=(), compare=False)
    evidence: Evidence = Evidence.VERIFIED

    @property
    def time(self) -> str:
        """`"continuous"` for flows, `"discrete"` for maps."""
        return "continuous" if self.factor is None else "discrete"

    @property
    def margin(self) -> float:
        """Distance from the edge of contraction: the rate, or `1 - factor`."""
        return self.rate if self.rate is not None else 1 - (self.factor or 0.0)

    @property
    def condition(self) -> float:
        """Condition number of the metric: `sqrt` of it bounds the transient growth of `|x - y|`."""
        return self.metric.condition()

    def claim(self) -> str:
        """The claim in one line, with its evidence; rounded to the side on which it stays true."""
        if self.factor is None:
            what = f"rate {_rounded(self.rate or 0.0, ROUND_FLOOR)}"
        else:
            what = f"factor {_rounded(self.factor, ROUND_CEILING)} per step"
        return f"contracting, {what}, for all states and inputs [{self.evidence.label}]"


@dataclass(frozen=True)
class Unknown:
    """No theorem decided. It says nothing against the system: `reason` tells how close it came."""

    reason: str
    tried: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Refuted:
    """Proof that no constant metric makes the system contract at all states.

    At `state` the Jacobian J has an eigenvalue of real part at least `bound >= 0` (flows), or of
    modulus at least `bound >= 1` (maps). The proof is a Lyapunov matrix `form` that `J - bound I`
    (flows) or `J / bound` (maps) decreases and that is negative along `direction`, which no stable
    matrix allows.
    """

    reason: str
    state: Float[np.ndarray, " n"]
    form: Float[np.ndarray, "n n"]
    direction: Float[np.ndarray, " n"]
    bound: float
    tried: tuple[Attempt, ...] = ()


Answer = Certificate | Unknown | Refuted


def explain(answer: Answer) -> str:
    """The answer in a few lines: claim, theorem, inequality, slack, and what else was tried.

    >>> print(explain(Unknown("the bound 1.04 exceeds 1")))
    unknown: the bound 1.04 exceeds 1
    """
    if isinstance(answer, Certificate):
        lines = [answer.claim(), f"  theorem {answer.theorem}: {_INEQUALITIES[answer.theorem]}"]
        pairs = zip(answer.module_theorems, answer.module_bounds, strict=True)
        for index, (theorem, bound) in enumerate(pairs):
            lines.append(f"  module {index}: {theorem} bound {bound:.6g}")
        lines += [f"  coupling bound {bound:.6g}" for bound in answer.coupling_bounds]
        lines.append(f"  margin {answer.margin:.6g}, cond(M) {answer.condition:.3g}")
        if answer.float32 is not None:
            lines.append(
                f"  float32, |u| <= {answer.float32.input_bound:g}: {answer.float32.claim()}"
            )
    else:
        word = "unknown" if isinstance(answer, Unknown) else "refuted"
        lines = [f"{word}: {answer.reason}"]
    lines += [f"  tried {a.theorem}: {a.reason}" for a in answer.tried]
    return "\n".join(lines)


def _rounded(number: float, direction: str, digits: int = 6) -> str:
    """So many digits; all of them where a factor below 1 would not look like one."""
    shown = Context(prec=digits, rounding=direction).create_decimal_from_float(number)
    if shown == 1 != number:
        shown = Context(prec=17, rounding=direction).create_decimal_from_float(number)
    return f"{shown.normalize():g}"


_INEQUALITIES = {
    "absolute_value": "slope-weighted |W|, with positive self-weights only, is below the leak",
    "singular_value": "largest slope times |S W S^-1|_2 is below the leak",
    "vertices": "sym(M J) <= -rate M at every corner of the slope box",
    "sector": "with multipliers for the sector of every slope, one matrix is negative definite",
    "skew_feedback": "modules contract, and the coupling is skew in their metric",
}
