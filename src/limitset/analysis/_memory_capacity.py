"""How many of the last inputs a linear readout can recover from the states of a driven network."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float
from scipy.stats import t as student

from limitset._result import InputProblem, require_arrays

# Runs of time, each of which tests readouts that were fitted to the others.
_FOLDS = 10
# A correlation over fewer times says nothing.
_FEWEST_TIMES = 20
_STILL = 1e-24


@dataclass(frozen=True)
class MemoryCapacity:
    """Squared correlations of inputs, delayed by 0, 1, 2, ... steps, with their readouts [sampled].

    **Arguments:** `capacities` for each delay, 1 where the input is recovered, and their
    `standard_errors`; `total`, their sum, and the interval from `low` to `high` that holds it with
    this `confidence`. Delays that were not asked for are not in the sum. Estimates may be a little
    below 0.
    """

    capacities: Float[np.ndarray, " delays"]
    standard_errors: Float[np.ndarray, " delays"]
    total: float
    low: float
    high: float
    confidence: float


def memory_capacity(
    states: Float[Array | np.ndarray, "t n"],
    inputs: Float[Array | np.ndarray, " t"],
    *,
    delays: int,
    confidence: float = 0.95,
) -> MemoryCapacity:
    """The memory capacity of a network under independent random inputs.

        MC = sum over k of r(u(t-k), y_k(t))^2,        y_k the best linear readout of x(t)

    No network of n units has more than n, and linear ones of full rank reach n over all delays.
    Here delay 0, the input that has just come in, counts. Readouts are fitted by least squares to
    nine tenths of the time and tested on the last, ten times in turn; `r^2` is adjusted for the
    length of the test, so that noise has a capacity of 0 on average. The interval is that of
    Student for the ten totals.

    **Arguments:** `states`, shape (t, n), after the network's transient: `states[t]` has already
    heard `inputs[t]`; `inputs`, shape (t,), independent numbers; `delays`, how many, from 0 on;
    `confidence` of the interval.

    **Raises:** `InputProblem` for numbers that are not finite, inputs that do not vary, and fewer
    than 20 times, or 2 for each unit, in a tenth of the time.

    **Example:**

    >>> import numpy as np
    >>> inputs = np.random.default_rng(0).uniform(size=2000)
    >>> line = np.stack([np.roll(inputs, k) for k in range(3)], axis=1)
    >>> round(memory_capacity(line, inputs, delays=6).total, 1)
    3.0

    **Reference:** H. Jaeger, Short term memory in echo state networks, GMD report 152 (2001).
    """
    x, delayed = _aligned(states, inputs, delays, confidence)
    folds = np.array_split(np.arange(len(x)), _FOLDS)
    each = np.stack([_fold(x, delayed, fold) for fold in folds])
    totals = each.sum(1)
    error = totals.std(ddof=1) / _FOLDS**0.5
    half = error * student.ppf((1 + confidence) / 2, _FOLDS - 1)
    total = float(totals.mean())
    return MemoryCapacity(
        each.mean(0),
        each.std(0, ddof=1) / _FOLDS**0.5,
        total,
        float(total - half),
        float(total + half),
        confidence,
    )


def _aligned(
    states: Float[Array | np.ndarray, "t n"],
    inputs: Float[Array | np.ndarray, " t"],
    delays: int,
    confidence: float,
) -> tuple[Float[np.ndarray, "s columns"], Float[np.ndarray, "s delays"]]:
    """States with a constant beside them, and the inputs of 0, 1, ... steps before each."""
    require_arrays(states=states, inputs=inputs)
    x, u = np.asarray(states, float), np.asarray(inputs, float)
    if x.ndim != 2 or u.shape != x.shape[:1]:
        raise InputProblem(f"states {x.shape} and inputs {u.shape} do not fit; give (t, n), (t,)")
    if not (np.isfinite(x).all() and np.isfinite(u).all()):
        raise InputProblem("states or inputs hold NaN or an infinity; give finite numbers")
    if not 0 < confidence < 1:
        raise InputProblem(f"confidence is {confidence}; give a number between 0 and 1")
    fewest = _FOLDS * max(_FEWEST_TIMES, 2 * (x.shape[1] + 1))
    if not 1 <= delays <= len(u) - fewest + 1:
        raise InputProblem(
            f"{delays} delays were asked of {len(u)} times and {x.shape[1]} units; give 1 delay or "
            f"more, and {fewest} times more than delays"
        )
    if not u.std() > 0:
        raise InputProblem("inputs do not vary; give independent random numbers")
    scale = x.std(0)
    x = (x - x.mean(0)) / np.where(scale > 0, scale, 1.0)
    last = len(u) - delays + 1
    delayed = np.stack([u[delays - 1 - k :][:last] for k in range(delays)], axis=1)
    return np.column_stack([x[delays - 1 :], np.ones(last)]), delayed


def _fold(
    x: Float[np.ndarray, "s columns"], delayed: Float[np.ndarray, "s delays"], fold: np.ndarray
) -> Float[np.ndarray, " delays"]:
    """Adjusted squared correlations on one run of time, of readouts fitted to all others."""
    weights = np.linalg.lstsq(np.delete(x, fold, 0), np.delete(delayed, fold, 0))[0]
    said, meant = x[fold] @ weights, delayed[fold]
    said, meant = said - said.mean(0), meant - meant.mean(0)
    moved, asked = (said**2).sum(0), (meant**2).sum(0)
    # Readouts of states that stand still vary by rounding only.
    varies = moved > _STILL * asked
    squared = (said * meant).sum(0) ** 2 / np.where(varies, moved * asked, 1.0)
    # Of unrelated numbers r^2 is 1 / (m - 1) on average.
    return np.where(varies, 1 - (1 - squared) * (len(fold) - 1) / (len(fold) - 2), 0.0)
