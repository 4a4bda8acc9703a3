"""Correlations that depend on both times: after a start, or under inputs that change."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from limitset._result import Evidence, InputProblem, require_arrays
from limitset.meanfield._checks import require_number
from limitset.meanfield._correlation import DynamicVerdict
from limitset.meanfield._dynamic_input import is_traced, require_constant_update, require_dynamic
from limitset.meanfield._gaussian import Integrand
from limitset.meanfield._two_point import TERMS, hermite_coefficients, series
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]
Row = Float[Array, " times"]
Grid = Float[Array, "times times"]

_CORRECTIONS = 2
_TOLERANCE = 1e-2
_MOST_TIMES = 4000


class TwoTimeCorrelations(eqx.Module):
    """Correlations between all pairs of times; statements about n -> infinity, in float64.

    - `times`; `state[i, j] = <h(t_i) h(t_j)>`; `output` and `gate` likewise.
    - `residual`: the largest change that the last correction of a step made, relative to the
      largest entry of `state`; of second order in the step.
    """

    times: Row
    state: Grid
    output: Grid
    gate: Grid
    residual: Scalar

    @property
    def variance(self) -> Row:
        """`<h(t)^2>`."""
        return jnp.diagonal(self.state)

    @property
    def has_converged(self) -> Bool[Array, ""]:
        """Whether the steps were short enough for their corrections to be small."""
        return self.residual <= _TOLERANCE

    @property
    def verdict(self) -> DynamicVerdict:
        """How the solver ended; not for use under `jax.jit` and `jax.vmap`."""
        return (
            DynamicVerdict.CONVERGED if bool(self.has_converged) else DynamicVerdict.STEP_TOO_LONG
        )

    @property
    def evidence(self) -> Evidence:
        """`float64`."""
        return Evidence.FLOAT64


def solve_two_time(
    parameters: GatedParameters,
    *,
    duration: float,
    step: float,
    initial_variance: float | Scalar = 1.0,
    initial_gate_variance: float | Scalar = 0.0,
    input_covariance: Grid | None = None,
) -> TwoTimeCorrelations:
    """Dynamic mean-field theory from a random start, for a constant update gate.

    `h`, `z` and `r` start independent, Gaussian, and are Gaussian ever after. Their correlations
    with each other at two times obey the equations of `solve_correlations` before they are
    stationary. Steps hold inputs to be straight lines in time, predict the next row of the
    correlations and correct it twice: errors are of second order in the step.

    **Arguments:**

    - `parameters`: with `update_gain = 0`, or an open update gate.
    - `duration`, `step`: of time. The work grows with the cube of their quotient, `k`.
    - `initial_variance`, `initial_gate_variance`: of `h(0)` and `r(0)`.
    - `input_covariance`: `<I(t) I(t')>` of a Gaussian input to `h` at times 0, step, ..., shape
      (k + 1, k + 1). A frozen pattern whose variance `v(t)` changes has `sqrt(v(t) v(t'))`.

    **Returns:** `TwoTimeCorrelations`; look at its `verdict`.

    **Raises:** `InputProblem` for an update gate that moves, and numbers or shapes that do not fit.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> quiet = GatedParameters(gain=0.5, open_update=True, open_output=True)
    >>> relaxing = solve_two_time(quiet, duration=2.0, step=0.1)
    >>> bool(relaxing.variance[-1] < 0.2)
    True

    **Reference:** arXiv 2007.14823 for the equations.
    """
    require_dynamic(parameters, 0.0)
    require_constant_update(parameters, "solve_two_time", "Sampled(key) for stationary states")
    for name, value in (
        ("initial_variance", initial_variance),
        ("initial_gate_variance", initial_gate_variance),
    ):
        if not is_traced(value):
            require_number(name, value)
    count = _count(duration, step)
    if input_covariance is None:
        input_covariance = jnp.zeros((count, count))
    require_arrays(input_covariance=input_covariance)
    if input_covariance.shape != (count, count):
        raise InputProblem(
            f"input_covariance has shape {input_covariance.shape}; {count} times need "
            f"({count}, {count})"
        )
    return _solve(
        parameters,
        jnp.asarray(step, jnp.float64),
        jnp.asarray(initial_variance, jnp.float64),
        jnp.asarray(initial_gate_variance, jnp.float64),
        input_covariance,
    )


def _count(duration: float, step: float) -> int:
    require_number("step", step, least=1e-6, most=1e3)
    require_number("duration", duration, least=step)
    count = round(duration / step) + 1
    if count > _MOST_TIMES:
        raise InputProblem(
            f"duration {duration:g} has {count} times at steps of {step:g}; give at most "
            f"{_MOST_TIMES}, by longer steps or a shorter duration"
        )
    return count


class _Filter(NamedTuple):
    """`x[n + 1] = keep x[n] + before u[n] + after u[n + 1]`: exact where `u` is a straight line."""

    keep: Scalar
    before: Scalar
    after: Scalar
    memory: Grid

    def respond(self, drive: Row) -> Row:
        """`<x(t_m) u>` for all m, from `<u(t_m) u>`, starting at 0."""
        arriving = self.before * jnp.roll(drive, 1) + self.after * drive
        return self.memory @ arriving.at[0].set(0.0)


def _filter(rate: Scalar, step: Scalar, count: int) -> _Filter:
    keep = jnp.exp(-rate * step)
    mean = (1 - keep) / (rate * step)
    distance = jnp.arange(count)[:, None] - jnp.arange(count)
    memory = jnp.where(distance >= 0, jnp.exp(-rate * step * jnp.maximum(distance, 0)), 0.0)
    return _Filter(keep, mean - keep, 1 - mean, memory)


class _Rows(NamedTuple):
    """The newest row of each correlation, and the responses of `h` and `r` to its inputs."""

    state: Row
    gate: Row
    output: Row
    drive: Row
    state_response: Row
    gate_response: Row


class _Past(NamedTuple):
    """Hermite coefficients of a function at all times so far, and the deviations they belong to."""

    coefficients: Float[Array, "times terms"]
    deviations: Row


class _History(NamedTuple):
    rows: _Rows
    units: _Past
    gates: _Past


@eqx.filter_jit
def _solve(
    parameters: GatedParameters,
    step: Scalar,
    initial_variance: Scalar,
    initial_gate_variance: Scalar,
    inputs: Grid,
) -> TwoTimeCorrelations:
    count = inputs.shape[0]
    filters = (
        _filter(parameters.update_gate(jnp.zeros(())), step, count),
        _filter(1 / parameters.output_time, step, count),
    )
    nothing = jnp.zeros(count)
    rows = _Rows(
        nothing.at[0].set(initial_variance),
        nothing.at[0].set(initial_gate_variance),
        *(nothing,) * 4,
    )
    empty = _Past(jnp.zeros((count, TERMS)), jnp.ones(count))
    first = _outputs(parameters, _History(rows, empty, empty), rows, inputs[0], jnp.array(0))

    def advance(history: _History, now: Array) -> tuple[_History, tuple[_Rows, Scalar]]:
        following, change = _advance(parameters, filters, history, inputs[now], now)
        return following, (following.rows, change)

    later, changes = jax.lax.scan(advance, first, jnp.arange(1, count))[1]
    state, gate, output = (
        _symmetric(jnp.concatenate([getattr(first.rows, name)[None], getattr(later, name)]))
        for name in ("state", "gate", "output")
    )
    residual = jnp.max(changes) / jnp.maximum(jnp.max(jnp.abs(state)), 1e-12)
    gate = jnp.zeros_like(gate) if parameters.open_output else gate
    return TwoTimeCorrelations(step * jnp.arange(count), state, output, gate, residual)


def _advance(
    parameters: GatedParameters,
    filters: tuple[_Filter, _Filter],
    history: _History,
    inputs: Row,
    now: Array,
) -> tuple[_History, Scalar]:
    """The next row: inputs as in the last row at first, then as they follow from the row."""
    last = history.rows
    past = jnp.arange(inputs.shape[0]) < now
    guess = last._replace(
        drive=jnp.where(past, last.drive, 0.0).at[now].set(last.drive[now - 1]),
        output=jnp.where(past, last.output, 0.0).at[now].set(last.output[now - 1]),
    )

    def correct(_: int, pair: tuple[_History, Scalar]) -> tuple[_History, Scalar]:
        guess = pair[0].rows
        state, state_response = _row(
            filters[0], last.state, last.state_response, guess.drive, last.drive, now
        )
        gate, gate_response = _row(
            filters[1], last.gate, last.gate_response, guess.output, last.output, now
        )
        rows = guess._replace(
            state=state, gate=gate, state_response=state_response, gate_response=gate_response
        )
        following = _outputs(parameters, history, rows, inputs, now)
        return following, jnp.max(jnp.abs(state - guess.state))

    begin = (history._replace(rows=guess), jnp.array(jnp.inf))
    return jax.lax.fori_loop(0, 1 + _CORRECTIONS, correct, begin)


def _row(
    rule: _Filter, last: Row, last_response: Row, drive: Row, last_drive: Row, now: Array
) -> tuple[Row, Row]:
    """The new row of `<x x'>`, and `<x(t_m) u(now)>`, for the inputs `<u(t_m) u(now)>`."""
    times = jnp.arange(last.shape[0])
    response = jnp.where(times <= now, rule.respond(drive), 0.0)
    row = rule.keep * last + rule.before * last_response + rule.after * response
    # The newest x with the input before: the old response, moved on by one step.
    crossing = rule.keep * last_response[now - 1] + rule.before * last_drive[now - 1]
    crossing = crossing + rule.after * drive[now - 1]
    own = rule.keep * row[now - 1] + rule.before * crossing + rule.after * response[now]
    return jnp.where(times < now, row, 0.0).at[now].set(own), response


def _outputs(
    parameters: GatedParameters, history: _History, rows: _Rows, inputs: Row, now: Array
) -> _History:
    """The correlations of `phi` and of the input to `h` that belong to a row."""
    past = jnp.arange(inputs.shape[0]) <= now

    units, output = _pairs(parameters.phi, history.units, rows.state, now)
    if parameters.open_output:
        gates, factor = history.gates, jnp.ones_like(output)
    else:
        gates, factor = _pairs(parameters.output_gate, history.gates, rows.gate, now)
    drive = jnp.where(past, output * factor + inputs, 0.0)
    rows = rows._replace(output=jnp.where(past, output, 0.0), drive=drive)
    return _History(rows, units, gates)


def _pairs(function: Integrand, past: _Past, row: Row, now: Array) -> tuple[_Past, Row]:
    """`E f(x) f(x')` for the newest time with all others, by Mehler's formula."""
    deviation = jnp.sqrt(jnp.maximum(row[now], 1e-12))
    newest = jnp.stack(hermite_coefficients(function, deviation), 1).ravel()
    coefficients = past.coefficients.at[now].set(newest)
    deviations = past.deviations.at[now].set(deviation)
    rho = jnp.clip(row / (deviation * deviations), -1.0, 1.0)
    return _Past(coefficients, deviations), series(coefficients * newest, rho)


def _symmetric(rows: Grid) -> Grid:
    """All pairs from a triangle of rows."""
    lower = jnp.tril(rows)
    return lower + jnp.tril(rows, -1).T
