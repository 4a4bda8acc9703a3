"""Assemblies: contracting modules under linear feedback that is skew in their metric."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Certificate, Unknown
from limitset.contraction._layer import (
    Layer,
    Vector,
    gain_bound,
    layer_of,
    product_upper,
    sum_upper,
    whiten,
    whitened_norm,
)
from limitset.contraction._metric import AbstractMetric, DiagonalMetric
from limitset.contraction._search import acts_mutually, mutual_scale, singular_metric
from limitset.contraction._single_layer import Bound, flow_bound, step_bound
from limitset.contraction._theorem import AbstractTheorem, diagonal_scale
from limitset.dynamics import EulerAssemblyMap, ExponentialAssemblyMap, SemiImplicitMap
from limitset.networks import Assembly, module_slices
from limitset.proofs import Ball, inf_norm_upper, largest_eigenvalue_upper

_AssemblyMap = SemiImplicitMap | EulerAssemblyMap | ExponentialAssemblyMap


class SkewFeedback(AbstractTheorem):
    """Contraction of assemblies, in a diagonal metric `M = S^2` over all modules.

    Hypotheses for an assembly `x_i' = f_i(x_i, u) + sum_j L_ij x_j`:

    1. The slopes of every module's activation lie in a known interval.
    2. Every module contracts in its part of the metric, by absolute values or singular values.
    3. The defect `lambda_max(sym(S L S^-1))` is below the modules' smallest rate. It is zero for
       exact negative feedback `M L + L^T M = 0`; rounding, or a coupling that is not skew in this
       metric, makes it positive, and it is subtracted: `rate = min_i rate_i - defect`.

    For the maps, the matrices that run are bounded in the metric instead:

    - a split step (semi-implicit, Cayley, rotation): `factor = |propagator|_M max_i factor_i`;
    - explicit Euler: `|transition|_M + max_i gain_i g_i |V_i|_2`;
    - exponential Euler: `|transition|_M + |response|_M max_i g_i |V_i|_2`.

    **Reference:** arXiv 2106.08928, equation 3.
    """

    @property
    def name(self) -> str:
        """`"skew_feedback"`."""
        return "skew_feedback"

    def applies_to(self, system: AbstractFlow | AbstractMap) -> bool:
        """Assemblies and their maps."""
        return isinstance(system, Assembly | _AssemblyMap)

    def apply(
        self, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
    ) -> Certificate | Unknown:
        """Prove contraction in `metric`, or in the metric that the coupling itself suggests."""
        assembly = system if isinstance(system, Assembly) else getattr(system, "assembly", None)
        if not isinstance(assembly, Assembly):
            return Unknown("skew_feedback speaks of assemblies only")
        layers = _layers(assembly)
        if isinstance(layers, Unknown):
            return layers
        if metric is None:
            scale: Vector | None = suggested_scale(assembly, layers)
        else:
            scale = diagonal_scale(metric, assembly.state_size)
        if scale is None:
            return Unknown("skew_feedback needs a diagonal metric")
        if isinstance(system, Assembly):
            return _certify_flow(system, layers, scale)
        if isinstance(system, _AssemblyMap):
            return _certify_map(system, layers, scale)
        return Unknown(f"skew_feedback does not know {type(system).__name__}")


def _layers(assembly: Assembly) -> list[Layer] | Unknown:
    layers = []
    for index, module in enumerate(assembly.modules):
        layer = layer_of(module)
        if layer is None:
            return Unknown(
                f"module {index}: the slopes of {module.activation.name!r} have no proved bound"
            )
        layers.append(layer)
    return layers


def suggested_scale(assembly: Assembly, layers: list[Layer]) -> Vector:
    """A metric in which the coupling is skew if there is one, else the modules' own metrics."""
    coupling = np.asarray(assembly.coupling, np.float64)
    if not acts_mutually(coupling):
        return np.concatenate([singular_metric(layer) for layer in layers])
    return mutual_scale(coupling)


def _certify_flow(assembly: Assembly, layers: list[Layer], scale: Vector) -> Certificate | Unknown:
    bounds = []
    for module, layer, part in zip(assembly.modules, layers, module_slices(assembly), strict=True):
        options = [flow_bound(t, module, layer, scale[part]) for t in _MODULE_THEOREMS]
        bounds.append(max(options, key=lambda b: b.value))
    slowest = int(np.argmin([b.value for b in bounds]))
    if not bounds[slowest].value > 0:
        return Unknown(
            f"module {slowest} does not contract in this metric: bound "
            f"{bounds[slowest].bound:.6g}, rate {bounds[slowest].value:.6g}"
        )
    whitened = whiten(Ball.exact(np.asarray(assembly.coupling, np.float64)), scale)
    symmetric = (whitened + whitened.T) * 0.5
    # Exact skewness leaves rounding only, which the row sums bound tightly and for nothing.
    defect = inf_norm_upper(symmetric)
    if not defect < 1e-6 * bounds[slowest].value:
        defect = min(defect, max(largest_eigenvalue_upper(symmetric), 0.0))
    rate = -sum_upper(-bounds[slowest].value, defect)
    if not rate > 0:
        return Unknown(
            f"the coupling is not skew in the modules' metric: defect {defect:.6g} exceeds the "
            f"modules' rate {bounds[slowest].value:.6g}"
        )
    return _certificate(assembly, scale, bounds, (defect,), rate=rate)


def _certify_map(system: _AssemblyMap, layers: list[Layer], scale: Vector) -> Certificate | Unknown:
    parts = module_slices(system.assembly)
    bounds: list[Bound] = []
    if isinstance(system, SemiImplicitMap):
        keep, gain = (np.asarray(c, np.float64) for c in (system.keep, system.gain))
        for layer, part in zip(layers, parts, strict=True):
            options = [
                step_bound(t, layer, scale[part], keep[part], gain[part]) for t in _MODULE_THEOREMS
            ]
            bounds.append(min(options, key=lambda b: b.value))
        coupling = (_norm_of(system.propagator, scale),)
        slowest = max(b.value for b in bounds)
        factor = product_upper(coupling[0], slowest)
    else:
        driven = []
        for layer, part in zip(layers, parts, strict=True):
            bound = gain_bound(layer, scale[part])
            bounds.append(Bound("singular_value", bound, bound))
            largest = 1.0
            if isinstance(system, EulerAssemblyMap):
                largest = float(np.abs(np.asarray(system.gain, np.float64)[part]).max())
            driven.append(product_upper(bound, largest))
        coupling = (_norm_of(system.transition, scale),)
        amplified = max(driven)
        if isinstance(system, ExponentialAssemblyMap):
            coupling = (*coupling, _norm_of(system.response, scale))
            amplified = product_upper(amplified, coupling[1])
        factor = sum_upper(coupling[0], amplified)
    if not factor < 1:
        return Unknown(
            f"the factor per step is bounded by {factor:.6g}, not below 1 (coupling matrices "
            f"{', '.join(f'{c:.6g}' for c in coupling)}, worst module "
            f"{max(b.value for b in bounds):.6g}){_euler_limit(system, scale)}"
        )
    return _certificate(system, scale, bounds, coupling, factor=factor)


def _euler_limit(system: _AssemblyMap, scale: Vector) -> str:
    """What explicit Euler stands: `keep^2 + h^2 l^2 < 1` for a skew coupling of norm `l`."""
    if not isinstance(system, EulerAssemblyMap):
        return ""
    transition, step = np.asarray(system.transition, np.float64), system.scheme.step
    keep = np.abs(np.diagonal(transition))
    if not np.ptp(keep) <= 1e-6 * keep.max() < 1:
        return ""
    with np.errstate(all="ignore"):
        coupling = (transition - np.diag(np.diagonal(transition))) / step
        whitened = scale[:, None] * coupling / scale
    # LAPACK may not return from infinite numbers.
    norm = np.linalg.norm(whitened, 2) if np.isfinite(whitened).all() else np.inf
    limit = np.sqrt(max(1 - keep.max() ** 2, 0.0)) / step
    return (
        f"; at step {step:g} explicit Euler stands a skew coupling of norm {limit:.3g} at most, "
        f"{norm:.3g} came: use SemiImplicit, Cayley or Rotation, which stand any"
    )


_MODULE_THEOREMS = ("absolute_value", "singular_value")


def _norm_of(matrix: Float[Array | np.ndarray, "n n"], scale: Vector) -> float:
    return whitened_norm(np.asarray(matrix, np.float64), scale)


def _certificate(
    system: AbstractFlow | AbstractMap,
    scale: Vector,
    bounds: list[Bound],
    coupling: tuple[float, ...],
    *,
    rate: float | None = None,
    factor: float | None = None,
) -> Certificate:
    return Certificate(
        system,
        "skew_feedback",
        DiagonalMetric(jnp.asarray(scale)),
        rate,
        factor,
        tuple(b.theorem for b in bounds),
        tuple(b.bound for b in bounds),
        coupling,
    )
