"""Depth that each sample chooses: a block runs until its rule is met."""

import enum
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from limitset._result import InputProblem
from limitset._types import Input, State
from limitset.dynamics._depth import begin_depth, written_out
from limitset.dynamics._stopping import AbstractStoppingRule
from limitset.networks import AbstractBlock


class Exit(enum.IntEnum):
    """Why a block stopped.

    `CONVERGED`: its rule was met. `CAP`: it was not met at the largest depth. `STALLED`: it would
    be met but for what rounding may have done, or the steps are lost in the last bits of the state;
    a wider dtype helps, no depth does. `NOT_FINITE`: the next state is not finite; the last finite
    one that the rule saw is kept.
    """

    CONVERGED = 0
    CAP = 1
    STALLED = 2
    NOT_FINITE = 3


class Settled(eqx.Module):
    """Where a block stopped, at which depth, and what is known of its limit.

    `error` bounds the distance of `state` from the limit of the exact block that goes on from
    there, in the rule's norm; `drift` bounds how far rounding on the way moved that limit away from
    that of an exact run, 0 where the block has one limit for each input. Both speak of `enter(u)`
    as it was computed, and hold at every exit but `NOT_FINITE`. `residual` is the length of the
    last step, `reason` an `Exit`.
    """

    state: Float[Array, "*b n"]
    depth: Int[Array, "*b"]
    residual: Float[Array, "*b"]
    error: Float[Array, "*b"]
    drift: Float[Array, "*b"]
    reason: Int[Array, "*b"]


def settle(
    block: AbstractBlock,
    u: Input,
    rule: AbstractStoppingRule,
    cap: int,
    *,
    every: int = 1,
    initial: State | None = None,
    remember: bool = False,
) -> Settled:
    """Run a block until its rule is met, at a depth of the sample's own; differentiable.

    The loop has `cap` steps, of which those after the stop change nothing, so that gradients are
    exactly those of `unroll` to the depth that was reached. `settle_batch` skips them instead.

    **Arguments:** `block`; `u`, shape (m,), held; `rule`, from `stopping_rule` of `contraction`,
    or a `RawThreshold`; `cap`, the largest depth; `every`: how many steps lie between two looks of
    the rule, which cost about as much as a step of a small block: depths are multiples of it, and
    `cap` is one; `initial` and `remember` as for `unroll`.

    **Returns:** a `Settled`. For batches that train, use `jax.vmap`: samples do not mix.

    **Raises:** `InputProblem` for sizes that do not fit.

    >>> import jax.numpy as jnp
    >>> from limitset.dynamics import ShrinkingSteps
    >>> from limitset.networks import DenseOperator, ResidualBlock
    >>> minus, one = DenseOperator(jnp.array([[-0.5]])), DenseOperator(jnp.ones((1, 1)))
    >>> block = ResidualBlock(minus, one, jnp.zeros(1), jnp.array(1.0), "relu")
    >>> end = settle(block, jnp.ones(1), ShrinkingSteps(0.3, 0.5), 50)
    >>> float(end.state[0]), int(end.depth), round(float(end.error), 6), Exit(int(end.reason)).name
    (1.75, 3, 0.25, 'CONVERGED')
    """
    check_depths(cap, every)
    start, entering = begin_settling(block, u, initial)

    def step(now: Settled, _: None) -> tuple[Settled, None]:
        return deepen(block, rule, entering, now, cap, every), None

    body = jax.checkpoint(step) if remember else step
    whole = written_out(block, cap)
    return jax.lax.scan(body, start, None, length=cap // every, unroll=whole)[0]


def begin_settling(block: AbstractBlock, u: Input, initial: State | None) -> tuple[Settled, PyTree]:
    """Depth 0, and what the input adds to each step."""
    x, entering = begin_depth(block, u, 0, initial)
    unknown = jnp.full((), jnp.inf, jnp.float64)
    none = jnp.zeros((), jnp.float64)
    going = jnp.asarray(int(Exit.CAP))
    return Settled(x, jnp.asarray(0), unknown, unknown, none, going), entering


def deepen(
    block: AbstractBlock,
    rule: AbstractStoppingRule,
    entering: PyTree,
    now: Settled,
    cap: int,
    every: int,
) -> Settled:
    """Steps up to the next look of the rule; none if the sample has stopped or reached the cap."""

    def step(moving: _Moving, k: Array) -> tuple[_Moving, None]:
        _, x, drift = moving
        drift = drift + jax.lax.stop_gradient(rule.drift(entering, x))
        return _Moving(x, block.respond(now.depth + k, x, entering), drift), None

    first = _Moving(now.state, now.state, now.drift)
    before, following, drift = jax.lax.scan(step, first, jnp.arange(every), unroll=every <= 32)[0]
    judged = jax.lax.stop_gradient(rule.judge(block, entering, before, following))
    reason = jnp.where(
        judged.met,
        int(Exit.CONVERGED),
        jnp.where(judged.stalled, int(Exit.STALLED), int(Exit.CAP)),
    )
    active = (now.reason == int(Exit.CAP)) & (now.depth < cap)
    # States that are not finite lead to no finite ones.
    moves = active & jnp.isfinite(following).all()
    return Settled(
        jnp.where(moves, following, now.state),
        now.depth + every * moves,
        jnp.where(moves, judged.residual, now.residual),
        jnp.where(moves, judged.error, jnp.where(active, jnp.inf, now.error)),
        jnp.where(moves, drift, now.drift),
        jnp.where(moves, reason, jnp.where(active, int(Exit.NOT_FINITE), now.reason)),
    )


class _Moving(NamedTuple):
    """The last two states, and the drift."""

    before: State
    state: State
    drift: Float[Array, ""]


def check_depths(cap: int, every: int) -> None:
    """Refuse a largest depth that is no whole number, or no multiple of the looks' distance."""
    if not (isinstance(every, int) and every >= 1):
        raise InputProblem(f"every is {every!r}; give a whole number of steps, from 1 on")
    if not (isinstance(cap, int) and cap >= 1 and cap % every == 0):
        raise InputProblem(
            f"the cap is {cap!r}; give the largest depth, a whole number of times {every} steps"
        )
