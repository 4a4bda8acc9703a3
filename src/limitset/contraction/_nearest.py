"""From a trained network to the nearest certified one, and to free parameters to train on from."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg as sla
from jaxtyping import Float

from limitset._result import InputProblem
from limitset.contraction._block_metric import BlockMetric
from limitset.contraction._feedback_couplings import SkewCoupling
from limitset.contraction._layer import Vector
from limitset.contraction._metric import DiagonalMetric, QuadraticMetric
from limitset.contraction._nearest_module import nearest_module, nearest_module_in
from limitset.contraction._search import acts_mutually, mutual_scale
from limitset.contraction._stable_assembly import StableAssembly
from limitset.contraction._weights import (
    AbstractWeightParametrisation,
    WeightAndFactor,
    WeightAndScale,
)
from limitset.networks import Assembly, Elman, Form, RateNetwork, module_slices

Square = Float[np.ndarray, "n n"]

_DIAGONAL = ("absolute_value", "singular_value")
_THEOREMS = (*_DIAGONAL, "self_damped", "triangular", "symmetric", "sector")
# Weights that come back this near are those that came, but for rounding.
_SAME = 1e-10
# Scales further apart than this cost the coupling its digits, and no certificate follows.
_WIDEST = 1e6


@dataclass(frozen=True)
class NearestCertified:
    """A certified network near another one, and the free parameters that give it.

    `system` is of the kind that came. `weights` has one parametrisation per module, in float64;
    `weights[i].explicit(limits[i], form)` gives module i's weights. `coupling` gives the coupling
    of an assembly, else `None`. `distance` is `|W' - W|_F / |W|_F` over all recurrent weights and
    the coupling; 0 if the network was certified already, and then `system` is the network itself.
    """

    system: RateNetwork | Elman | Assembly
    metric: DiagonalMetric | QuadraticMetric | BlockMetric
    distance: float
    weights: tuple[AbstractWeightParametrisation, ...]
    limits: tuple[float, ...]
    coupling: SkewCoupling | None
    margin: float


def nearest_certified(
    network: RateNetwork | Elman | Assembly,
    *,
    theorem: str = "singular_value",
    margin: float = 0.9,
) -> NearestCertified:
    """The nearest network that a theorem certifies, found by descent: near, not proved nearest.

    Input weights, biases, leaks and time constants stay. The metric is sought together with the
    weights. Scaling all weights down until a theorem holds changes what a network does far more.

    **Arguments:**

    - `network`: a rate network with positive leak, an Elman cell, or an assembly of rate networks.
    - `theorem`: `"singular_value"` or `"absolute_value"` for all kinds; for rate networks and
      assemblies also `"self_damped"` (absolute values, negative self-weights exempted),
      `"triangular"` (what is above the diagonal goes), `"symmetric"`, and `"sector"`, which
      contains all others and takes longest.
    - `margin`: in (0, 1); the bound of each module is at most `margin` times what contraction
      allows.

    **Returns:** a `NearestCertified`; give its `metric` to `certify`.

    **Raises:** `InputProblem` for other networks and theorems, without leak or slope bound.

    **Example:**

    >>> import jax.numpy as jnp
    >>> near = nearest_certified(RateNetwork(jnp.array([[2.0, 0.0], [0.0, 0.5]])), margin=0.5)
    >>> near.system.weight.round(3).tolist(), round(near.distance, 3)
    ([[0.5, 0.0], [0.0, 0.5]], 0.728)
    """
    _check(network, theorem, margin)
    if isinstance(network, Assembly):
        return _nearest_assembly(network, theorem, margin)
    limit = _limit(network, margin)
    before = _weight(network)
    weights = nearest_module(before, limit, theorem, _form(network))
    after = weights.explicit(limit, _form(network))
    change = np.linalg.norm(np.asarray(after.weight) - before)
    distance = float(change / max(np.linalg.norm(before), 1e-300))
    metric = _metric(after)
    if distance <= _SAME:
        return NearestCertified(network, metric, 0.0, (weights,), (limit,), None, margin)
    if isinstance(network, RateNetwork):
        system = _with_weight(network, np.asarray(after.weight))
    else:
        weight = after.weight.astype(network.weight_hh.dtype)
        system = eqx.tree_at(lambda cell: cell.weight_hh, network, weight)
    return NearestCertified(system, metric, distance, (weights,), (limit,), None, margin)


def resume(nearest: NearestCertified) -> StableAssembly:
    """The free parameters as a `StableAssembly`, to train on from.

    **Raises:** `InputProblem` if the modules differ in activation or form, have a leak other than
    1, or the network is an Elman cell, none of which a `StableAssembly` can hold.

    >>> import jax.numpy as jnp
    >>> near = nearest_certified(RateNetwork(jnp.array([[2.0, 0.0], [0.0, 0.5]])), margin=0.5)
    >>> resume(near).explicit().modules[0].weight.round(3).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    system = nearest.system
    if isinstance(system, Elman):
        raise InputProblem("an Elman cell is no flow; train its weights, `weights[0]`, themselves")
    modules = system.modules if isinstance(system, Assembly) else (system,)
    kinds = {(m.activation.name, m.form.value, float(m.leak)) for m in modules}
    if len(kinds) > 1 or float(modules[0].leak) != 1:
        raise InputProblem(
            f"modules have activations, forms and leaks {sorted(kinds)}; a StableAssembly needs "
            "one of each, and the leak 1: train `weights` and `coupling` yourself"
        )
    dtype = modules[0].weight.dtype
    size = sum(m.state_size for m in modules)
    coupling = nearest.coupling
    if coupling is None:
        coupling = SkewCoupling(jnp.zeros((size, size)), tuple(m.state_size for m in modules))
    free = StableAssembly(
        weights=nearest.weights,
        coupling=coupling,
        input_weight=jnp.concatenate([m.input_weight for m in modules]),
        bias=jnp.concatenate([m.bias for m in modules]),
        activation=modules[0].activation,
        form=modules[0].form,
        time_constants=tuple(float(m.time_constant) for m in modules),
        margin=nearest.margin,
    )
    return jax.tree.map(lambda leaf: leaf.astype(dtype), free)


def _nearest_assembly(assembly: Assembly, theorem: str, margin: float) -> NearestCertified:
    coupling = np.asarray(assembly.coupling, np.float64)
    found = [_assembled(assembly, theorem, margin, None)]
    if theorem in (*_DIAGONAL, "sector") and acts_mutually(coupling):
        scale = mutual_scale(coupling)
        if scale.max() < _WIDEST * scale.min():
            found.append(_assembled(assembly, theorem, margin, scale))
    return min(found, key=lambda n: n.distance)


def _assembled(
    assembly: Assembly, theorem: str, margin: float, scale: Vector | None
) -> NearestCertified:
    """All modules in metrics of their own, or in the parts of a given one; then the coupling."""
    limits, weights, after = [], [], []
    parts = module_slices(assembly)
    for index, (module, part) in enumerate(zip(assembly.modules, parts, strict=True)):
        limit, weight = _limit(module, margin, f"module {index}: "), _weight(module)
        if scale is None:
            free = nearest_module(weight, limit, theorem, module.form)
        else:
            free = nearest_module_in(weight, limit, theorem, module.form, scale[part])
        limits.append(limit)
        weights.append(free)
        after.append(free.explicit(limit, module.form))
    coupling, matrix = _nearest_coupling(assembly, after)
    system, distance = _replaced(assembly, [np.asarray(a.weight) for a in after], matrix)
    metric = _assembly_metric(assembly, after, coupling)
    return NearestCertified(
        system, metric, distance, tuple(weights), tuple(limits), coupling, margin
    )


def _replaced(
    assembly: Assembly, weights: list[Square], coupling: Square
) -> tuple[Assembly, float]:
    """The assembly with these weights, and how far it is; the assembly itself if it is the same."""
    before = [*map(_weight, assembly.modules), np.asarray(assembly.coupling, np.float64)]
    change = sum(np.sum((n - o) ** 2) for n, o in zip([*weights, coupling], before, strict=True))
    distance = float(change**0.5 / max(sum(np.sum(o**2) for o in before) ** 0.5, 1e-300))
    if distance <= _SAME:
        return assembly, 0.0
    modules = [_with_weight(m, w) for m, w in zip(assembly.modules, weights, strict=True)]
    return Assembly(modules, jnp.asarray(coupling, assembly.coupling.dtype)), distance


def _nearest_coupling(
    assembly: Assembly, after: list[WeightAndScale | WeightAndFactor]
) -> tuple[SkewCoupling, Square]:
    """The skew coupling next to the assembly's, with each module's metric balanced for it."""
    roots = [_root(a) for a in after]
    R = np.asarray(sla.block_diag(*(r for r, _ in roots)))
    inverse = np.asarray(sla.block_diag(*(i for _, i in roots)))
    whitened = R @ np.asarray(assembly.coupling, np.float64) @ inverse
    parts = module_slices(assembly)
    norms = np.array([[np.linalg.norm(whitened[a, b]) for b in parts] for a in parts])
    balance = 2 * np.log(mutual_scale(norms))
    owner = np.repeat(np.arange(len(parts)), assembly.sizes)
    unit = np.exp(balance[owner] / 2)
    balanced = whitened * unit[:, None] / unit
    skew = _skew_part(balanced, inverse, R, unit)
    free = SkewCoupling(
        jnp.asarray(np.tril(skew)), assembly.sizes, log_balance=jnp.asarray(balance)
    )
    return free, np.asarray(inverse @ (skew / unit[:, None] * unit) @ R)


def _skew_part(balanced: Square, inverse: Square, R: Square, unit: Vector) -> Square:
    """The skew matrix whose coupling is nearest; for diagonal metrics, pair by pair, exactly."""
    if not np.array_equal(R, np.diag(np.diag(R))):
        return (balanced - balanced.T) / 2
    # Entry (i, j) of the coupling is that of `balanced` times this ratio.
    scale = np.diag(R) * unit
    weight = (scale / scale[:, None]) ** 2
    return (weight * balanced - (weight * balanced).T) / (weight + weight.T)


def _root(after: WeightAndScale | WeightAndFactor) -> tuple[Square, Square]:
    if isinstance(after, WeightAndScale):
        scale = np.asarray(after.scale)
        return np.diag(scale), np.diag(1 / scale)
    return np.asarray(after.factor), np.asarray(after.inverse)


def _metric(after: WeightAndScale | WeightAndFactor) -> DiagonalMetric | QuadraticMetric:
    if isinstance(after, WeightAndScale):
        return DiagonalMetric(after.scale)
    square = after.factor.T @ after.factor
    return QuadraticMetric((square + square.T) / 2)


def _assembly_metric(
    assembly: Assembly, after: list[WeightAndScale | WeightAndFactor], coupling: SkewCoupling
) -> DiagonalMetric | BlockMetric:
    """The modules' metrics, balanced; one diagonal metric where all of them are diagonal."""
    balance = np.asarray(coupling.log_balance, np.float64)
    scales = [a.scale for a in after if isinstance(a, WeightAndScale)]
    if len(scales) < len(after):
        return BlockMetric([_metric(a) for a in after], assembly.sizes, jnp.exp(balance))
    return DiagonalMetric(jnp.concatenate(scales) * np.exp(np.repeat(balance, assembly.sizes) / 2))


def _check(network: object, theorem: str, margin: float) -> None:
    if not isinstance(network, RateNetwork | Elman | Assembly):
        raise InputProblem(
            f"{type(network).__name__} came; give a RateNetwork, an Elman cell or an Assembly"
        )
    known = _DIAGONAL if isinstance(network, Elman) else _THEOREMS
    if theorem not in known:
        raise InputProblem(
            f"theorem {theorem!r} has no projection for {type(network).__name__}; use one of "
            f"{', '.join(known)}"
        )
    if not 0 < margin < 1:
        raise InputProblem(f"margin is {margin}; give a number between 0 and 1")


def _limit(network: RateNetwork | Elman, margin: float, where: str = "") -> float:
    """What the bound of the weights may be: leak over the largest slope, times the margin."""
    slopes = network.activation.slope_interval
    if slopes is None:
        raise InputProblem(
            f"{where}activation {network.activation.name!r} has no proved slope bound; use tanh, "
            "relu, sigmoid, softplus or identity"
        )
    leak = float(network.leak) if isinstance(network, RateNetwork) else 1.0
    if not leak > 0:
        raise InputProblem(f"{where}the leak is {leak}; contraction needs a positive one")
    return margin * leak / max(abs(s) for s in slopes)


def _form(network: RateNetwork | Elman) -> Form:
    return network.form if isinstance(network, RateNetwork) else Form.FIRING_RATE


def _weight(network: RateNetwork | Elman) -> Square:
    weight = network.weight if isinstance(network, RateNetwork) else network.weight_hh
    values = np.asarray(weight, np.float64)
    if not np.isfinite(values).all():
        raise InputProblem("the weights hold NaN or infinity; nothing is near to them")
    return values


def _with_weight(module: RateNetwork, weight: Square) -> RateNetwork:
    return eqx.tree_at(lambda m: m.weight, module, jnp.asarray(weight, module.weight.dtype))
