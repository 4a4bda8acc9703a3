"""The verb `certify`: every theorem that applies, the best verified answer."""

import math
from dataclasses import replace

import jax
import numpy as np

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Answer, Attempt, Certificate, Unknown
from limitset.contraction._float32 import float32_gap
from limitset.contraction._instability import refute
from limitset.contraction._metric import AbstractMetric
from limitset.contraction._sector import Sector
from limitset.contraction._single_layer import AbsoluteValue, SingularValue
from limitset.contraction._skew_feedback import SkewFeedback
from limitset.contraction._theorem import AbstractTheorem
from limitset.contraction._vertices import Vertices
from limitset.dynamics import EulerAssemblyMap, ExponentialAssemblyMap, RateMap, SemiImplicitMap
from limitset.networks import Assembly, Elman, RateNetwork
from limitset.proofs import require_sound_arithmetic

THEOREMS: tuple[AbstractTheorem, ...] = (
    AbsoluteValue(),
    SingularValue(),
    SkewFeedback(),
    Vertices(),
    Sector(),
)

# The classes that theorems speak of: exactly these, no subclass.
_KNOWN = (
    RateNetwork,
    RateMap,
    Elman,
    Assembly,
    SemiImplicitMap,
    EulerAssemblyMap,
    ExponentialAssemblyMap,
)

# A simpler theorem, and its simpler metric, stand unless a later one gains more than this.
_WORTH = 1 + 1e-3


def certify(
    system: AbstractFlow | AbstractMap,
    *,
    metric: AbstractMetric | None = None,
    input_bound: float | None = 1.0,
    theorems: tuple[AbstractTheorem, ...] = THEOREMS,
) -> Answer:
    """Prove that all pairs of trajectories approach, for all states and inputs.

    Flows: `|x(t) - y(t)|_M <= exp(-rate t) |x(0) - y(0)|_M`. Maps:
    `|x_n - y_n|_M <= factor^n |x_0 - y_0|_M`. Both trajectories see the same input.

    **Arguments:**

    - `system`: a network, an assembly, or the map that `discretise` made of one. Certify the map
      that runs: the guarantee of a flow does not carry over to its Euler steps.
    - `metric`: a proposal, such as a parametrisation's; never believed. Theorems choose their own
      if it is omitted.
    - `input_bound`: bound of `|u_j|`, used only by the float32 statement; `None` leaves that out.
    - `theorems`: which to try.

    **Returns:** a `Certificate` with the best verified bound (of two within 0.1 %, the simpler),
    `Unknown` with the reason, or `Refuted` with a witness. `tried` lists every theorem and its
    number.

    **Raises:** `InputProblem` if a weight is NaN or infinite, or the metric does not fit;
    `UnsoundArithmetic` on a machine whose floating point fails the self-test.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.networks import RateNetwork
    >>> answer = certify(RateNetwork(jnp.array([[-2.0, 0.5], [0.5, -2.0]])))
    >>> answer.theorem, round(answer.rate, 5), answer.evidence.label
    ('sector', 1.0, 'verified')
    >>> answer.tried[0].theorem, round(answer.tried[0].bound, 6)
    ('absolute_value', 0.5)
    """
    _check(system, input_bound)
    require_sound_arithmetic()
    altered = _altered_class(system)
    if altered is not None:
        return Unknown(f"{altered} may run something else than the class it derives from")
    tried: list[Attempt] = []
    best: Certificate | None = None
    for theorem in theorems:
        if not theorem.applies_to(system):
            continue
        answer = theorem.apply(system, metric)
        if isinstance(answer, Unknown):
            tried.append(Attempt(theorem.name, None, answer.reason))
            continue
        bound = answer.factor if answer.rate is None else answer.rate
        tried.append(Attempt(theorem.name, bound, answer.claim()))
        if best is None or answer.margin > best.margin * _WORTH:
            best = answer
    if best is not None:
        gap = None if input_bound is None else float32_gap(best, input_bound)
        return replace(best, float32=gap, tried=tuple(tried))
    refuted = refute(system)
    if refuted is not None:
        return replace(refuted, tried=tuple(tried))
    if not tried:
        kinds = "rate networks, Elman cells, assemblies and their maps"
        return Unknown(f"no theorem speaks about {type(system).__name__}; those here cover {kinds}")
    return Unknown("; ".join(f"{a.theorem}: {a.reason}" for a in tried), tuple(tried))


def _altered_class(system: AbstractFlow | AbstractMap) -> str | None:
    """The name of a subclass of a known system, inside or outside; theorems know the class only."""

    def altered(node: object) -> bool:
        return isinstance(node, _KNOWN) and type(node) not in _KNOWN

    nodes = filter(altered, jax.tree.leaves(system, is_leaf=altered))
    return next((type(node).__name__ for node in nodes), None)


def _check(system: AbstractFlow | AbstractMap, input_bound: float | None) -> None:
    if not isinstance(system, AbstractFlow | AbstractMap):
        raise InputProblem(
            f"{type(system).__name__} came; certify needs a network, an assembly or a map"
        )
    if input_bound is not None and not 0 <= input_bound < math.inf:
        raise InputProblem(f"input_bound is {input_bound}; give a finite number, 0 or positive")
    for path, leaf in jax.tree_util.tree_leaves_with_path(system):
        values = np.asarray(leaf)
        if values.dtype not in (np.float32, np.float64):
            raise InputProblem(
                f"{jax.tree_util.keystr(path)} has dtype {values.dtype}; certify needs float32 or "
                "float64 weights: convert the network first"
            )
        if not np.isfinite(values).all():
            raise InputProblem(
                f"{jax.tree_util.keystr(path)} holds NaN or infinity; nothing can be said of such "
                "a network: retrain or repair it"
            )
