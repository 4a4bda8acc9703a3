"""What `certify` answers: a certificate, unknown with the reason, or refuted with a witness."""

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from limitset._result import Evidence, InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._metric import AbstractMetric

Tree = TypeVar("Tree")


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
    `|x_n - y_n|_M <= factor^n |x_0 - y_0|_M + gap`, with `gap = 2 rounding / (1 - factor)`, or
    less. Recurrences and stacks have `radii`, where runs stay: for each layer, the radius of its
    ball, or those of its complex units' discs.

    Where a step solves an equation, this holds for runs of which no step leaves a residual with an
    entry above `residual`: the largest entry of it, as `implicit_residual` returns it in float32,
    that the statement allows a step to leave (`largest_residual` tells that of a run). It is None
    for maps that solve nothing.

    It assumes that every product and sum is rounded to nearest in float32 (any order of summation,
    fused or not, subnormals kept or flushed), and that the activation's relative error is at most
    `activation_error`.
    """

    input_bound: float
    activation_error: float
    state_radius: float
    rounding: float
    gap: float
    radii: tuple[tuple[float, ...], ...] = ()
    residual: float | None = None

    def claim(self) -> str:
        """The claim in one line, with its condition; rounded to the side on which it stays true."""
        gap = rounded(self.gap, ROUND_CEILING, 3)
        claim = f"two runs of one input end within {gap} in the metric, for ever"
        if self.residual is None:
            return claim
        return f"{claim}, if no step leaves a residual above {rounded(self.residual, ROUND_FLOOR)}"


@dataclass(frozen=True)
class Certificate:
    """A proved contraction: all pairs of trajectories approach in `metric`, for all inputs.

    Flows carry a `rate` per unit time (a lower bound, positive), maps a `factor` per step (an
    upper bound, below one); the other is `None`. `module_bounds` and `coupling_bounds` are the
    numbers from which it follows, `multipliers` those of the sector theorem, so that `explain` and
    the checker can retrace it. Where parts were joined, `parts` are their certificates.
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
    parts: tuple["Certificate", ...] = ()
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
            what = f"rate {rounded(self.rate or 0.0, ROUND_FLOOR)}"
        else:
            what = f"factor {rounded(self.factor, ROUND_CEILING)} per step"
        return f"contracting, {what}, for all states and inputs [{self.evidence.label}]"


@dataclass(frozen=True)
class Unknown:
    """No theorem decided. It says nothing against the system: `reason` tells how close it came."""

    reason: str
    tried: tuple[Attempt, ...] = ()
    # What was asked, for `weakest_direction`; `certify` fills both in.
    system: AbstractFlow | AbstractMap | None = field(default=None, compare=False, repr=False)
    metric: AbstractMetric | None = field(default=None, compare=False, repr=False)
    # Of a composition: the state direction in which the whole expands, and the parts to blame.
    direction: Float[np.ndarray, " n"] | None = field(default=None, compare=False, repr=False)
    pair: tuple[int, int] | None = field(default=None, compare=False, repr=False)


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


def frozen(tree: Tree) -> Tree:
    """The same with NumPy's arrays copied: a certificate is about numbers that nobody changes."""
    if not any(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(tree)):
        return tree
    return jax.tree.map(lambda a: jnp.array(a) if isinstance(a, np.ndarray) else a, tree)


def require_certificate(given: object) -> Certificate:
    """The same, if it is a certificate.

    **Raises:** `InputProblem` for anything else, such as an answer that decided nothing.
    """
    if isinstance(given, Certificate):
        return given
    raise InputProblem(
        f"{type(given).__name__} came; give certificates, the answers of `certify` or `compose`"
    )


def rounded(number: float, direction: str, digits: int = 6) -> str:
    """A number in so many digits; in all of them where a factor below 1 would not look like one."""
    shown = Context(prec=digits, rounding=direction).create_decimal_from_float(number)
    if shown == 1 != number:
        shown = Context(prec=17, rounding=direction).create_decimal_from_float(number)
    return f"{shown.normalize():g}"
