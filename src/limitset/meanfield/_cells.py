"""Fixed points and stability of randomly initialised GRU and LSTM cells."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import logit, ndtr

from limitset._result import Evidence, InputProblem
from limitset.meanfield._cell_laws import (
    AbstractCellEnsemble,
    GRUEnsemble,
    ResetAfterGRUEnsemble,
)
from limitset.meanfield._checks import require_number
from limitset.meanfield._lstm_law import LSTMEnsemble
from limitset.meanfield._roots import all_roots, named
from limitset.meanfield._spectral_law import AbstractSpectralLaw

_GRID = np.linspace(np.log(1e-10), np.log(1.0), 71)

_BIASES: dict[str, tuple[type[AbstractCellEnsemble], tuple[str, ...]]] = {
    "gru": (GRUEnsemble, ("reset", "update")),
    "gru_reset_after": (ResetAfterGRUEnsemble, ("reset", "update")),
    "lstm": (LSTMEnsemble, ("input", "forget", "output")),
}


@dataclass(frozen=True)
class CellPoint:
    """A fixed point of an infinitely large random cell, without inputs; in float64.

    **Arguments:**

    - `ensemble`: gains and biases.
    - `hidden_variance`: `<h^2>`.
    - `stability_number`: `K`; below 1 the point is stable.
    - `spectrum`: the law of the eigenvalues, for `spectral_boundary` and `outside_fraction`.
    - `branch`: `zero`, or `lower`, `middle`, `upper`.
    - `residual`: the relative error of the equation.
    """

    ensemble: AbstractCellEnsemble
    hidden_variance: float
    stability_number: float
    spectrum: AbstractSpectralLaw
    branch: str
    residual: float
    evidence: Evidence = field(default=Evidence.FLOAT64)

    @property
    def is_stable(self) -> bool:
        """Whether `stability_number < 1`."""
        return self.stability_number < 1


def cell_fixed_points(ensemble: AbstractCellEnsemble) -> tuple[CellPoint, ...]:
    """All fixed points `q = <h^2>` of a random cell without inputs, the smallest first.

    As `fixed_points`, for maps: the equation is looked at on a logarithmic grid from 1e-10 to 1.

    **Arguments:** `ensemble`, a `GRUEnsemble`, `ResetAfterGRUEnsemble` or `LSTMEnsemble`.

    **Example:**

    >>> cell = ResetAfterGRUEnsemble(candidate_gain=3.0, reset_gain=5.0, update_gain=0.0)
    >>> [(p.branch, round(p.hidden_variance, 5), p.is_stable) for p in cell_fixed_points(cell)]
    [('zero', 0.0, False), ('upper', 0.29027, False)]

    **Reference:** arXiv 2002.00025.
    """
    _require_ensemble(ensemble)

    def excess(log_q: float) -> float:
        return float(_excess(ensemble, jnp.asarray(log_q)))

    roots = all_roots(excess, _GRID, np.asarray(_excess_on(ensemble, jnp.asarray(_GRID))))
    found = [_point(ensemble, q, name) for q, name in named(roots)]
    if ensemble.has_zero_state():
        found.insert(0, _point(ensemble, 0.0, "zero"))
    return tuple(found)


def cell_slow_fraction(point: CellPoint, width: float) -> float:
    """The part of the units that keep all but `width` of their state in a step.

    `P(1 - z < width)`, or `P(1 - f < width)` for an LSTM: near the eigenvalue 1 that many modes
    have `|l - 1| < width`, as `slow_mode_fraction` counts them for flows.

    >>> cell = GRUEnsemble(candidate_gain=3.0, update_gain=10.0, reset_bias=5.0)
    >>> round(cell_slow_fraction(cell_fixed_points(cell)[-1], 0.05), 2)
    0.36
    """
    require_number("width", width, most=1.0)
    if not 0 < width < 1:
        raise InputProblem(f"width is {width}; gates lie between 0 and 1, and so must the width")
    gain, bias = (float(part) for part in point.ensemble.keeping())
    spread = abs(gain) * math.sqrt(point.hidden_variance)
    distance = bias + float(logit(width))
    return float(ndtr(distance / spread)) if spread > 0 else float(distance > 0)


def edge_of_initialisation(
    cell_kind: str, gain: float, biases: Mapping[str, float] | None = None
) -> float:
    """The largest modulus in the spectrum of a cell at the zero state, without inputs.

    - `gru`, `gru_reset_after`: `z + (1 - z) r gain`
    - `lstm`: `f + i o gain`

    with gates at their biases; the cell forgets its state if this is below 1. Closed form for
    n -> infinity; in one cell the edge varies by about `1 / sqrt(n)`.

    **Arguments:** `cell_kind`, one of the three; `gain`, the standard deviation of the recurrent
    weights times `sqrt(n)`: `1 / sqrt(3)` for entries uniform in `+-1/sqrt(n)`, 1 for orthogonal
    matrices; `biases`, by gate (`reset`, `update`; `input`, `forget`, `output`), 0 where omitted. A
    positive bias of `update` or `forget` keeps.

    **Raises:** `InputProblem` for a cell or gates that are not known.

    **Example:**

    >>> round(edge_of_initialisation("lstm", 3**-0.5, {"forget": 2.0}), 4)
    1.0251

    **Reference:** arXiv 2002.00025.
    """
    if cell_kind not in _BIASES:
        raise InputProblem(f"cell_kind is {cell_kind!r}; use one of {', '.join(_BIASES)}")
    ensemble, gates = _BIASES[cell_kind]
    given = dict(biases or {})
    if unknown := sorted(set(given) - set(gates)):
        raise InputProblem(f"biases name {unknown[0]!r}; a {cell_kind} has {', '.join(gates)}")
    fields = {f"{name}_bias": require_number(name, given[name], least=-1e8) for name in given}
    built = ensemble(candidate_gain=require_number("gain", gain), **fields)  # pyright: ignore[reportCallIssue]
    return float(built.zero_edge())


def _require_ensemble(ensemble: AbstractCellEnsemble) -> None:
    if not isinstance(ensemble, AbstractCellEnsemble):
        raise InputProblem(
            f"ensemble is a {type(ensemble).__name__}; give a GRUEnsemble, a "
            "ResetAfterGRUEnsemble or an LSTMEnsemble"
        )
    for name, value in vars(ensemble).items():
        least = 0.0 if name.endswith("_gain") else -1e3
        require_number(name, value, least=least, most=1e3)


@eqx.filter_jit
def _excess(ensemble: AbstractCellEnsemble, log_q: Float[Array, ""]) -> Float[Array, ""]:
    """`<h^2> / q - 1`."""
    q = jnp.exp(log_q)
    return ensemble.following(q) / q - 1


@eqx.filter_jit
def _excess_on(
    ensemble: AbstractCellEnsemble, grid: Float[Array, " points"]
) -> Float[Array, " points"]:
    # One by one: together, the nodes of an LSTM's averages would not fit into memory.
    return jax.lax.map(lambda x: _excess(ensemble, x), grid)


def _point(ensemble: AbstractCellEnsemble, q: float, name: str) -> CellPoint:
    law, number, following = _describe(ensemble, jnp.asarray(q))
    residual = abs(float(following) / q - 1) if q > 0 else abs(float(following))
    return CellPoint(ensemble, q, float(number), law, name, residual)


@eqx.filter_jit
def _describe(
    ensemble: AbstractCellEnsemble, q: Float[Array, ""]
) -> tuple[AbstractSpectralLaw, Float[Array, ""], Float[Array, ""]]:
    law = ensemble.spectrum(q)
    return law, law.stability_number(), ensemble.following(q)
