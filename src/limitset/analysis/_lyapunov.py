"""Lyapunov exponents from tangent vectors that are made orthonormal again and again."""

import math
from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.stats import t as student

from limitset._result import InputProblem
from limitset._types import State
from limitset.analysis._course import Course, Inputs, Start, check_counts, lay_course, settle
from limitset.analysis._orthonormalise import AbstractOrthonormalisation, Householder
from limitset.analysis._spectrum import LyapunovSpectrum, SpectrumVerdict
from limitset.analysis._tangent_step import (
    AbstractIntegrator,
    Frame,
    System,
    Tangents,
    TangentSystem,
)

_HOUSEHOLDER = Householder()
# Fewer blocks than this say little about their deviation.
_FEWEST_BLOCKS = 8
# Blocks without a trend are taken for drifting about once in so many exponents.
_DRIFT_CHANCE = 1e-4
# Differences below this share of an exponent are no drift, however regular they are.
_DRIFT_FLOOR = 1e-6
# The last of the vectors keeps at least three digits: log(1/eps) - log(1000).
_DIGITS_KEPT = math.log(1e3)


def lyapunov_spectrum(
    system: System,
    start: Start,
    *,
    steps: int,
    count: int | None = None,
    integrator: AbstractIntegrator | None = None,
    inputs: Inputs | None = None,
    transient: int = 1000,
    tangent_transient: int | None = None,
    interval: int = 5,
    blocks: int = 20,
    tolerance: float = math.inf,
    method: AbstractOrthonormalisation = _HOUSEHOLDER,
    vectors: str | None = None,
    seed: int = 0,
) -> LyapunovSpectrum:
    """The first `count` Lyapunov exponents of a flow or a map, along the trajectory of one start.

    Tangent vectors `V` follow the trajectory, `dV/dt = J(x(t)) V` or `V+ = J(x) V`, in the same
    steps as the state. Every `interval` steps `V = Q R`, and `V` starts again from `Q`; exponent
    `i` is the time average of `log R_ii`.

    With inputs these are the exponents of the response: how states that get the same inputs come
    together or part.

    **Arguments:**

    - `system`: a flow or a map with n state variables.
    - `start`: the first state, shape (n,); or a key, and its entries are normal. The run is in its
      dtype, which must be that of the system. Growth is summed in float64 always.
    - `steps`: how many steps count at most; rounded up to whole blocks of whole intervals.
    - `count`: how many exponents, from the largest; all n if omitted.
    - `integrator`: `RungeKutta4(step)`, `AdamsBashforth4(step)`, `AdamsMoulton4(step)` or
      `Euler(step)` for a flow, `EachStep(step)` for a map; `EachStep()`, exponents per step, if
      omitted.
    - `inputs`: one input for ever, shape (m,), or one for each step from the first of the
      transient on, shape (t, m), each held during its step.
    - `transient`: steps before anything is measured, for the state to reach its attractor.
    - `tangent_transient`: further steps for the vectors to turn into their directions; a tenth of
      `steps` if omitted.
    - `interval`: steps between two orthonormalisations; so few that vectors do not become
      parallel, see `LyapunovSpectrum.spread`.
    - `blocks`: into how many parts the run is cut for error bars, 8 or more.
    - `tolerance`: stop after the first block, from the 8th on, at which all standard errors are
      below it. If omitted, take all the steps and ask nothing of standard errors.
    - `method`: how vectors are made orthonormal, `Householder()` or `CholeskyQR()`.
    - `vectors`: the dtype of the tangent vectors, `"float32"` or `"float64"`; that of `start` if
      omitted. With states in float64, vectors in float32 give the exponents of the same
      trajectory to about 1e-6, in half the time.
    - `seed`: of the first vectors.

    **Returns:** a `LyapunovSpectrum`, with a verdict. A run that leaves the finite numbers keeps
    the blocks before that, if any.

    **Raises:** `InputProblem` if sizes, dtypes or numbers do not fit.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.analysis import RungeKutta4
    >>> from limitset.networks import RateNetwork
    >>> network = RateNetwork(jnp.diag(jnp.array([0.5, -1.0])))
    >>> found = lyapunov_spectrum(
    ...     network, jnp.zeros(2), steps=200, transient=0, tangent_transient=200,
    ...     integrator=RungeKutta4(0.1),
    ... )
    >>> found.exponents.round(4).tolist(), found.verdict.name
    ([-0.5, -2.0], 'CONVERGED')

    **Reference:** G. Benettin and others, Meccanica 15 (1980) 9-30; arXiv 2006.02427 for networks.
    """
    check_counts(steps=steps, transient=transient, interval=interval, blocks=blocks)
    settling = steps // 10 if tangent_transient is None else tangent_transient
    check_counts(tangent_transient=settling)
    plan = _plan(steps, settling, interval, blocks, tolerance)
    course, x = lay_course(system, start, integrator, inputs, transient + plan.total)
    frame = _first_frame(system.state_size, count, vectors or x.dtype.name, seed)
    x = settle(course, x, jnp.asarray(0), jnp.asarray(transient))
    run = _Run(course, _tangent_system(course.system, frame.dtype), method, interval)
    now = run.begin(x, frame, jnp.asarray(transient))
    if not bool(jnp.isfinite(x).all()):
        return _record(plan, course, now, [], 0.0, finite=False)
    now, _, _ = run.stretch(now, jnp.asarray(transient), jnp.asarray(plan.settling))
    return _measure(plan, run, now, transient + plan.settling * interval)


def finite_time_exponents(
    system: System,
    start: Start,
    *,
    steps: int,
    count: int,
    integrator: AbstractIntegrator | None = None,
    inputs: Inputs | None = None,
    interval: int = 1,
    method: AbstractOrthonormalisation = _HOUSEHOLDER,
    seed: int = 0,
) -> Float[Array, " k"]:
    """Growth rates of the first vectors over exactly `steps` steps; differentiable in the weights.

    `(1/T) sum log R_ii` from random vectors at the start, without transients: what gradient
    flossing keeps near zero to hold gradients alive. For exponents of an attractor, with error
    bars, use `lyapunov_spectrum`.

    Gradients keep the state and the vectors at the ends of intervals only, and run each interval
    again.

    **Arguments:** as in `lyapunov_spectrum`; `steps`, a multiple of `interval`. Derivatives of
    `Q R` need `R` well conditioned: take `count` below n and an interval of 1 to 3.

    **Returns:** shape (count,), in the order of the vectors.

    **Raises:** `InputProblem` if sizes, dtypes or numbers do not fit.

    **Example:**

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from limitset.networks import random_elman
    >>> def loss(cell):
    ...     found = finite_time_exponents(
    ...         cell, jnp.ones(8), steps=20, count=3, inputs=jnp.zeros(1)
    ...     )
    ...     return jnp.mean(found**2)
    >>> jax.grad(loss)(random_elman(jax.random.key(0), 8, 1)).weight_hh.shape
    (8, 8)

    **Reference:** arXiv 2312.17306.
    """
    check_counts(steps=steps, interval=interval, count=count)
    if steps % interval:
        raise InputProblem(f"steps {steps} is no multiple of interval {interval}; give one that is")
    course, x = lay_course(system, start, integrator, inputs, steps)
    frame = _first_frame(system.state_size, count, x.dtype.name, seed)
    run = _Run(course, TangentSystem(system, system), method, interval)

    @jax.checkpoint
    def one(now: Tangents, n: Int[Array, ""]) -> tuple[Tangents, Float[Array, " k"]]:
        return run.turn(run.follow(now, n))

    now = run.begin(x, frame, jnp.asarray(0))
    _, growth = jax.lax.scan(one, now, jnp.arange(0, steps, interval))
    return growth.sum(0) / (steps * course.integrator.step)


@dataclass(frozen=True)
class _Plan:
    """How a run is cut: lengths of the tangent transient and of a block, in intervals."""

    settling: int
    length: int
    blocks: int
    interval: int
    tolerance: float

    @property
    def total(self) -> int:
        return (self.settling + self.length * self.blocks) * self.interval


def _plan(steps: int, settling: int, interval: int, blocks: int, tolerance: float) -> _Plan:
    if blocks < _FEWEST_BLOCKS:
        raise InputProblem(f"blocks is {blocks}; give {_FEWEST_BLOCKS} or more for error bars")
    if not (isinstance(tolerance, float | int) and tolerance > 0):
        raise InputProblem(f"tolerance is {tolerance!r}; give a positive number per unit of time")
    length = math.ceil(steps / (blocks * interval))
    return _Plan(math.ceil(settling / interval), length, blocks, interval, float(tolerance))


def _first_frame(size: int, count: int | None, dtype: str, seed: int) -> Frame:
    k = size if count is None else count
    if isinstance(k, bool) or not (isinstance(k, int) and 1 <= k <= size):
        raise InputProblem(f"count is {k!r}; {size} state variables have 1 to {size} exponents")
    if isinstance(seed, bool) or not (isinstance(seed, int) and 0 <= seed < 2**32):
        raise InputProblem(f"seed is {seed!r}; give a whole number from 0 to 2**32 - 1")
    if dtype not in ("float32", "float64"):
        raise InputProblem(f"vectors are {dtype!r}; give 'float32' or 'float64'")
    columns = np.random.default_rng(seed).standard_normal((size, k))
    return jnp.asarray(np.linalg.qr(columns)[0], dtype)


def _tangent_system(system: System, dtype: np.dtype) -> TangentSystem:
    numbers, rest = eqx.partition(system, eqx.is_inexact_array)
    light = jax.tree.map(lambda leaf: leaf.astype(dtype), numbers)
    return TangentSystem(system, eqx.combine(light, rest))


class _Run(eqx.Module):
    """A course along which tangent vectors are carried and made orthonormal again."""

    course: Course
    tangent: TangentSystem
    method: AbstractOrthonormalisation
    interval: int = eqx.field(static=True)

    @eqx.filter_jit
    def begin(self, x: State, frame: Frame, n: Int[Array, ""]) -> Tangents:
        """What the first interval starts from."""
        course = self.course
        return course.integrator.begin(self.tangent, n, x, frame, course.input(n))

    def follow(self, now: Tangents, first: Int[Array, ""]) -> Tangents:
        """State and vectors an interval later."""

        def one(now: Tangents, n: Int[Array, ""]) -> tuple[Tangents, None]:
            course = self.course
            return course.integrator.advance(self.tangent, n, now, course.input(n)), None

        return jax.lax.scan(one, now, first + jnp.arange(self.interval))[0]

    def turn(self, now: Tangents) -> tuple[Tangents, Float[Array, " k"]]:
        """The vectors made orthonormal, and `log R_ii` in float64."""
        frame, triangle = self.method.split(now.frame)
        growth = jnp.log(jnp.diagonal(triangle).astype(jnp.float64))
        return now.turned(frame, triangle), growth

    @eqx.filter_jit
    def stretch(
        self, now: Tangents, first: Int[Array, ""], intervals: Int[Array, ""]
    ) -> tuple[Tangents, Float[Array, " k"], Float[Array, ""]]:
        """So many intervals from step `first`: the summed growth and the largest spread."""

        def one(
            i: Int[Array, ""], carry: tuple[Tangents, Float[Array, " k"], Float[Array, ""]]
        ) -> tuple[Tangents, Float[Array, " k"], Float[Array, ""]]:
            now, total, spread = carry
            now, growth = self.turn(self.follow(now, first + i * self.interval))
            return now, total + growth, jnp.maximum(spread, growth.max() - growth.min())

        zeros = jnp.zeros(now.frame.shape[1], jnp.float64)
        return jax.lax.fori_loop(0, intervals, one, (now, zeros, jnp.zeros((), jnp.float64)))


def _measure(plan: _Plan, run: _Run, now: Tangents, first: int) -> LyapunovSpectrum:
    """Block after block, until the plan is done, the tolerance met or the numbers not finite."""
    span = plan.length * plan.interval
    rates: list[Float[np.ndarray, " k"]] = []
    spread = 0.0
    for block in range(plan.blocks):
        # Arrays: a Python number would be a constant, and every block a program of its own.
        begins = jnp.asarray(first + block * span)
        now, growth, widest = run.stretch(now, begins, jnp.asarray(plan.length))
        rate = np.asarray(growth) / (span * run.course.integrator.step)
        # Minus infinity is an answer: vectors that a map sends to 0.
        if not (bool(jnp.isfinite(now.state).all()) and (rate < np.inf).all()):
            return _record(plan, run.course, now, rates, spread, finite=False)
        rates.append(rate)
        spread = max(spread, float(widest))
        if (
            len(rates) >= _FEWEST_BLOCKS
            and _errors(np.array(rates)).max() <= plan.tolerance < np.inf
        ):
            break
    return _record(plan, run.course, now, rates, spread, finite=True)


def _errors(blocks: Float[np.ndarray, "b k"]) -> Float[np.ndarray, " k"]:
    with np.errstate(invalid="ignore"):
        return blocks.std(axis=0, ddof=1) / math.sqrt(len(blocks))


def _record(
    plan: _Plan,
    course: Course,
    now: Tangents,
    rates: list[Float[np.ndarray, " k"]],
    spread: float,
    *,
    finite: bool,
) -> LyapunovSpectrum:
    k = now.frame.shape[1]
    blocks = np.array(rates).reshape(len(rates), k)
    exponents = blocks.mean(0) if len(blocks) else np.full(k, np.nan)
    errors = _errors(blocks) if len(blocks) > 1 else np.full(k, np.nan)
    order = np.argsort(-exponents, kind="stable")
    steps = len(blocks) * plan.length * plan.interval
    record = LyapunovSpectrum(
        exponents=exponents[order],
        standard_errors=errors[order],
        blocks=blocks[:, order],
        state_size=course.system.state_size,
        steps=steps,
        time=steps * course.integrator.step,
        spread=spread,
        final_state=np.asarray(now.state),
        verdict=SpectrumVerdict.NOT_FINITE,
    )
    if not finite:
        return record
    return replace(record, verdict=_judge(record, plan.tolerance, now.frame.dtype))


def _judge(found: LyapunovSpectrum, tolerance: float, dtype: np.dtype) -> SpectrumVerdict:
    resolved = -math.log(float(np.finfo(dtype).eps)) - _DIGITS_KEPT
    if not found.spread <= resolved:
        return SpectrumVerdict.UNRESOLVED
    if _drifts(found):
        return SpectrumVerdict.DRIFTING
    if not (found.standard_errors <= tolerance).all():
        return SpectrumVerdict.TOO_SHORT
    return SpectrumVerdict.CONVERGED


def _drifts(found: LyapunovSpectrum) -> bool:
    """Whether growth rates rise or fall from block to block, by Spearman's rank correlation."""
    count = len(found.blocks)
    ranks = found.blocks.argsort(axis=0).argsort(axis=0) - (count - 1) / 2
    order = np.arange(count) - (count - 1) / 2
    correlation = order @ ranks / (order @ order)
    with np.errstate(divide="ignore"):
        ratio = np.abs(correlation) * np.sqrt((count - 2) / np.maximum(1 - correlation**2, 0))
    chance = 2 * student.sf(ratio, count - 2)
    half = count // 2
    # Two halves that both fell to 0 differ by nothing that can be told: NaN is no drift.
    with np.errstate(invalid="ignore"):
        gap = np.abs(found.blocks[:half].mean(0) - found.blocks[half:].mean(0))
    large = gap > _DRIFT_FLOOR * (1 + np.abs(found.exponents))
    return bool((large & (chance < _DRIFT_CHANCE)).any())
