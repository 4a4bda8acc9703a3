"""Rules that say when a block has run deep enough, and what they know of its limit then."""

import abc
import math
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from limitset._result import InputProblem
from limitset._types import State
from limitset.networks import AbstractBlock, ResidualBlock

Number = Float[Array, ""]

# What evaluating a norm in float64 may lose, many times over.
_SLACK = 1 + 1e-9


def _positive(number: float) -> Number:
    if not 0 < number < math.inf:
        raise InputProblem(f"{number} came; a stopping rule needs a finite number above 0")
    return jnp.asarray(number, jnp.float64)


def _below_one(number: float) -> Number:
    if not 0 <= number < 1:
        raise InputProblem(
            f"the factor is {number}; steps shrink by one in [0, 1): run to a fixed depth instead"
        )
    return jnp.asarray(number, jnp.float64)


def _not_negative(number: float) -> Number:
    if not 0 <= number < math.inf:
        raise InputProblem(f"{number} came; a stopping rule needs a finite number, 0 or more")
    return jnp.asarray(number, jnp.float64)


class Judgement(NamedTuple):
    """What a rule says of one step from `before` to `after`.

    `residual` is `|after - before|`, `error` a bound of the distance of `after` from the limit.
    `stalled` says that the rule would be met but for what rounding may have done, or that the step
    is lost in the last bits of the state.
    """

    residual: Number
    error: Number
    met: Bool[Array, ""]
    stalled: Bool[Array, ""]


class StateNorm(eqx.Module):
    """`|scale v|_2`, or the largest entry of `|scale v|`, computed in float64.

    **Arguments:** `scale`, positive, shape (n,) or one number; `maximum`: the largest entry.

    >>> import jax.numpy as jnp
    >>> float(StateNorm(2.0)(jnp.array([3.0, -4.0])))
    10.0
    """

    scale: Float[Array, "..."] = eqx.field(converter=jnp.asarray, default=1.0)
    maximum: bool = eqx.field(static=True, default=False)

    def __call__(self, v: Float[Array, " n"]) -> Number:
        """The norm of one vector."""
        scaled = self.scale * v.astype(jnp.float64)
        if self.maximum:
            return jnp.abs(scaled).max()
        # A product with ones: for many vectors at once, sums along rows are several times slower.
        return jnp.sqrt((scaled * scaled) @ jnp.ones_like(scaled))


class Roundoff(eqx.Module):
    """How far one computed step may be from the exact one, in a rule's norm.

    At most `state |x| + entering |B u + b| + least`, and what was computed of `A x + B u + b` is
    within `drive (|x| + |B u + b|) + least`. It assumes round to nearest, sums in any order, fused
    or not. Zeros, the default, leave rounding out.
    """

    state: Number = eqx.field(converter=_not_negative, default=0.0)
    entering: Number = eqx.field(converter=_not_negative, default=0.0)
    drive: Number = eqx.field(converter=_not_negative, default=0.0)
    least: Number = eqx.field(converter=_not_negative, default=0.0)


class AbstractStoppingRule(eqx.Module):
    """Says of a step whether the state that it led to is good enough."""

    @abc.abstractmethod
    def judge(
        self, block: AbstractBlock, entering: PyTree, before: State, after: State
    ) -> Judgement:
        """What is known after the step from `before` to `after`, with `entering` held."""

    @abc.abstractmethod
    def drift(self, entering: PyTree, before: State) -> Number:
        """How far rounding in the step from `before` may move the limit that is approached."""


class RawThreshold(AbstractStoppingRule):
    """Stop where a step is short in the 2-norm: `|x(k+1) - x(k)|_2 <= threshold`.

    It bounds nothing: where a block approaches its limit by a factor q a step, the state is still
    up to `q / (1 - q)` thresholds away. Its `error` is infinite.

    **Arguments:** `threshold`, positive.

    **Reference:** arXiv 1804.07209.
    """

    threshold: Number = eqx.field(converter=_positive)

    def judge(
        self, block: AbstractBlock, entering: PyTree, before: State, after: State
    ) -> Judgement:
        """Whether the step is short; `stalled` where it is lost in the last bits of the state."""
        del block, entering
        norm = StateNorm()
        residual = norm(_difference(after, before))
        noise = _noise(norm, before)
        return Judgement(
            residual,
            jnp.full((), jnp.inf),
            (residual <= self.threshold) & (residual > noise),
            residual <= noise,
        )

    def drift(self, entering: PyTree, before: State) -> Number:
        """None: this rule says nothing of limits."""
        del entering, before
        return jnp.zeros((), jnp.float64)


class ShrinkingSteps(AbstractStoppingRule):
    """Stop where the limit is certainly within `tolerance`, because steps shrink by `factor`.

    `|limit - x(k+1)| <= (factor |x(k+1) - x(k)| + rounding) / (1 - factor)`, in `norm`: for blocks
    that contract by `factor`, and for ReLU blocks with `|I + h A| <= factor`, whose steps shrink
    though their states do not meet. `stopping_rule` makes one from a certificate.

    **Arguments:** `tolerance`, positive; `factor`, in [0, 1); `norm`; `roundoff`; `carry`, by how
    much what rounding did in earlier steps may move the limit, 0 where there is one limit only.
    """

    tolerance: Number = eqx.field(converter=_positive)
    factor: Number = eqx.field(converter=_below_one)
    norm: StateNorm = eqx.field(default_factory=StateNorm)
    roundoff: Roundoff = eqx.field(default_factory=Roundoff)
    carry: Number = eqx.field(converter=_not_negative, default=0.0)

    def judge(
        self, block: AbstractBlock, entering: PyTree, before: State, after: State
    ) -> Judgement:
        """The error from the length of the step."""
        del block
        residual = self.norm(_difference(after, before))
        rounding = _rounding(self.roundoff, self.norm(before), self.norm(entering))
        error = _SLACK * (self.factor * residual + rounding) / (1 - self.factor)
        nearly = self.factor * residual <= (1 - self.factor) * self.tolerance
        met = error <= self.tolerance
        stalled = ~met & (nearly | (residual <= _noise(self.norm, before)))
        return Judgement(residual, error, met, stalled)

    def drift(self, entering: PyTree, before: State) -> Number:
        """`carry` times what rounding may do in the step."""
        rounding = _rounding(self.roundoff, self.norm(before), self.norm(entering))
        return self.carry * rounding


class VanishingDrive(AbstractStoppingRule):
    """Stop where the limit is certainly within `tolerance`, because `A x + B u + b` vanishes there.

    `|limit - x(k+1)| <= gain (|A x(k) + B u + b| + rounding) + rounding`, in `norm`: for residual
    blocks whose activation is 0 at 0 alone, such as tanh, and whose steps never lead away from
    the limit. The drive is computed anyway: it costs nothing. `stopping_rule` makes one.

    **Arguments:** `tolerance`, positive; `gain`, a bound of `|A^-1|`; `norm`; `roundoff`.
    """

    tolerance: Number = eqx.field(converter=_positive)
    gain: Number = eqx.field(converter=_positive)
    norm: StateNorm = eqx.field(default_factory=StateNorm)
    roundoff: Roundoff = eqx.field(default_factory=Roundoff)

    def judge(
        self, block: AbstractBlock, entering: PyTree, before: State, after: State
    ) -> Judgement:
        """The error from the drive, for a `ResidualBlock`."""
        if not isinstance(block, ResidualBlock):
            raise InputProblem(
                f"a {type(block).__name__} came; the drive of a ResidualBlock vanishes at its "
                "limit, others need ShrinkingSteps"
            )
        drive = self.norm(block.state_operator(before) + entering)
        state, held = self.norm(before), self.norm(entering)
        rounding = _rounding(self.roundoff, state, held)
        blur = self.roundoff.drive * (state + held) + self.roundoff.least
        residual = self.norm(_difference(after, before))
        error = _SLACK * (self.gain * (drive + blur) + rounding)
        met = error <= self.tolerance
        nearly = self.gain * drive <= self.tolerance
        stalled = ~met & (nearly | (residual <= _noise(self.norm, before)))
        return Judgement(residual, error, met, stalled)

    def drift(self, entering: PyTree, before: State) -> Number:
        """None: the limit does not depend on the way."""
        del entering, before
        return jnp.zeros((), jnp.float64)


def _noise(norm: StateNorm, state: State) -> Number:
    """Steps as short as this are lost in the last bits of the state."""
    noise = 4 * jnp.finfo(state.dtype).eps * norm(state)
    # Norms of enormous states overflow, and tell nothing.
    return jnp.where(jnp.isfinite(noise), noise, 0.0)


def _difference(after: State, before: State) -> State:
    # In float64: float32 would round small steps away.
    return after.astype(jnp.float64) - before.astype(jnp.float64)


def _rounding(roundoff: Roundoff, state: Number, entering: Number) -> Number:
    return roundoff.state * state + roundoff.entering * entering + roundoff.least
