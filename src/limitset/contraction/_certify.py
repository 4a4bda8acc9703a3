"""The verb `certify`: every theorem that applies, the best verified answer."""

import math
from dataclasses import replace

import jax
import numpy as np
from jax.core import Tracer

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._best import best_certificate
from limitset.contraction._block_metric import BlockMaximumMetric, BlockMetric
from limitset.contraction._cascade import Cascade
from limitset.contraction._certificate import Answer, Unknown, frozen
from limitset.contraction._composition import Composition
from limitset.contraction._deep_block import DeepBlock
from limitset.contraction._diagonal_linear import DiagonalLinear
from limitset.contraction._euler_step import EulerStep
from limitset.contraction._float32 import float32_gap
from limitset.contraction._gram_metric import GramMetric
from limitset.contraction._implicit import Implicit
from limitset.contraction._input_gates import InputGates
from limitset.contraction._instability import refute
from limitset.contraction._metric import AbstractMetric, DiagonalMetric, QuadraticMetric
from limitset.contraction._metzler import Metzler
from limitset.contraction._polyhedral_metric import MaximumMetric, SumMetric
from limitset.contraction._recurrent_equilibrium import RecurrentEquilibrium
from limitset.contraction._sector import Sector
from limitset.contraction._single_layer import AbsoluteValue, SingularValue
from limitset.contraction._skew_feedback import SkewFeedback
from limitset.contraction._small_gain import SmallGain
from limitset.contraction._theorem import AbstractTheorem
from limitset.contraction._vertices import Vertices
from limitset.dynamics import (
    CompositeMap,
    EulerAssemblyMap,
    ExponentialAssemblyMap,
    GatedMap,
    ImplicitMap,
    RateMap,
    SemiImplicitMap,
)
from limitset.networks import (
    REN,
    Assembly,
    Composite,
    Convolution,
    DeepNetwork,
    DenseOperator,
    DiagonalRecurrence,
    Elman,
    EquilibriumBlock,
    GatedAssembly,
    GatedRate,
    GradientBlock,
    MeanPool,
    NegativeGram,
    RateNetwork,
    Relay,
    ResidualBlock,
    Stack,
    UntiedBlock,
)
from limitset.proofs import require_sound_arithmetic

_DIRECT: tuple[AbstractTheorem, ...] = (
    AbsoluteValue(),
    SingularValue(),
    SkewFeedback(),
    Vertices(),
    Sector(),
    DiagonalLinear(),
    InputGates(),
    RecurrentEquilibrium(),
)

# In metrics that come from a quadratic form: parts under feedback need one.
_PARTS = (*_DIRECT, Implicit(_DIRECT), EulerStep(_DIRECT))

# Two go back to the certificate of the flow that a map was made of. Sums and maxima come last: they
# combine with no feedback, so that another metric is better wherever the rates are alike.
THEOREMS: tuple[AbstractTheorem, ...] = (
    *_DIRECT,
    Implicit((*_DIRECT, Composition(_PARTS), Metzler())),
    EulerStep(_DIRECT),
    Composition(_PARTS),
    SmallGain((*_PARTS, Cascade(_DIRECT), Metzler())),
    Metzler(),
    Cascade((*_DIRECT, EulerStep(_DIRECT))),
    DeepBlock(),
)

# The classes that theorems speak of, systems and metrics: exactly these, no subclass.
_KNOWN = (
    DiagonalRecurrence,
    Stack,
    Relay,
    GatedRate,
    GatedAssembly,
    GatedMap,
    REN,
    RateNetwork,
    RateMap,
    Elman,
    Assembly,
    SemiImplicitMap,
    EulerAssemblyMap,
    ExponentialAssemblyMap,
    ImplicitMap,
    Composite,
    CompositeMap,
    ResidualBlock,
    GradientBlock,
    EquilibriumBlock,
    UntiedBlock,
    DenseOperator,
    Convolution,
    MeanPool,
    NegativeGram,
    DiagonalMetric,
    QuadraticMetric,
    SumMetric,
    MaximumMetric,
    GramMetric,
    BlockMetric,
    BlockMaximumMetric,
)


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
    _check(system, metric, input_bound)
    require_sound_arithmetic()
    for given, verb in ((system, "run"), (metric, "measure")):
        altered = _altered_class(given)
        if altered is not None:
            return Unknown(f"{altered} may {verb} something else than the class it derives from")
    system, metric = frozen((system, metric))
    best, tried = best_certificate(system, theorems, metric)
    if best is not None:
        gap = None if input_bound is None else float32_gap(best, input_bound)
        return replace(best, float32=gap, tried=tuple(tried))
    refuted = refute(system)
    if refuted is not None:
        return replace(refuted, tried=tuple(tried))
    if not tried:
        others = "GRUs, LSTM, CellStack and GatedNetwork"
        kinds = f"the networks of limitset.networks but {others}, and their maps"
        return Unknown(f"no theorem speaks about {type(system).__name__}; those here cover {kinds}")
    reason = "; ".join(f"{a.theorem}: {a.reason}" for a in tried)
    return Unknown(reason, tuple(tried), system, metric)


def _altered_class(given: AbstractFlow | AbstractMap | AbstractMetric | None) -> str | None:
    """The name of a subclass of a known class, inside or outside; theorems know the class only."""

    def altered(node: object) -> bool:
        return isinstance(node, _KNOWN) and type(node) not in _KNOWN

    nodes = filter(altered, jax.tree.leaves(given, is_leaf=altered))
    return next((type(node).__name__ for node in nodes), None)


def _check(
    system: AbstractFlow | AbstractMap, metric: AbstractMetric | None, input_bound: float | None
) -> None:
    if isinstance(system, DeepNetwork):
        raise InputProblem(
            "a DeepNetwork came, whose stages differ; use certify_network, or certify its blocks"
        )
    if not isinstance(system, AbstractFlow | AbstractMap):
        raise InputProblem(
            f"{type(system).__name__} came; certify needs a network, an assembly or a map"
        )
    if metric is not None and not isinstance(metric, AbstractMetric):
        raise InputProblem(
            f"metric is a {type(metric).__name__}; give a metric, such as DiagonalMetric(scale)"
        )
    if input_bound is not None and not 0 <= input_bound < math.inf:
        raise InputProblem(f"input_bound is {input_bound}; give a finite number, 0 or positive")
    leaves = jax.tree.leaves((system, metric))
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        raise InputProblem("the numbers are traced; call certify outside jit, grad and vmap")
    if any(np.iscomplexobj(leaf) for leaf in leaves):
        raise InputProblem("the numbers are complex; certify needs real weights and metrics")
    for node in jax.tree.leaves(system, is_leaf=lambda node: isinstance(node, RateNetwork)):
        if isinstance(node, RateNetwork) and not np.asarray(node.time_constant).all():
            raise InputProblem("a time constant is 0; give a positive one")
    for path, leaf in jax.tree_util.tree_leaves_with_path(system):
        values = np.asarray(leaf)
        if values.dtype == bool:  # Truth values say which parts are there.
            continue
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
