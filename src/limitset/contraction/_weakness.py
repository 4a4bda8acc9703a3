"""Where the inequality of a theorem is tightest, or violated: a diagnosis in floats, no bound."""

import warnings
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg as sla
from jaxtyping import Float

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._block_metric import quadratic_root
from limitset.contraction._layer import Layer, Vector, layer_of
from limitset.contraction._lure import lure_of
from limitset.contraction._metric import AbstractMetric, DiagonalMetric
from limitset.contraction._metzler import column_majorants, rate_unit, suited_norm
from limitset.contraction._polyhedral_metric import MaximumMetric, SumMetric
from limitset.contraction._search import absolute_metric, column_scale, singular_metric
from limitset.contraction._skew_feedback import suggested_scale
from limitset.dynamics import RateMap
from limitset.networks import Assembly, Elman, RateNetwork, module_slices

Square = Float[np.ndarray, "n n"]

# Eigenvectors of larger matrices take too long for a remark.
_LARGEST = 1024
_STARTS, _TURNS = 8, 30


@dataclass(frozen=True)
class Weakness:
    """Where an inequality is tightest, or most violated. Floats for the eye: never a bound.

    The theorem needs `bound < limit`. `direction` (n,) is the difference of states, of length 1 in
    the metric, along which `bound` is attained; `shares` (n,) are the units' shares of it, each
    measured by its own length in the metric (for maxima, of the row's sum), and add up to 1.
    `modules` are the shares of the modules of an assembly, and `pair` the two whose coupling
    expands most, where it is the coupling that does.
    """

    theorem: str
    bound: float
    limit: float
    direction: Float[np.ndarray, " n"]
    shares: Float[np.ndarray, " n"]
    modules: tuple[float, ...] = ()
    pair: tuple[int, int] | None = None

    @property
    def slack(self) -> float:
        """`limit - bound`: negative where the inequality is violated."""
        return self.limit - self.bound

    def largest(self, count: int = 3) -> tuple[int, ...]:
        """The units with the largest shares, the largest first."""
        return tuple(np.argsort(-self.shares, kind="stable")[:count].tolist())


@dataclass(frozen=True)
class _Found:
    """What a diagnosis returns: numbers, a direction of any length, and its metric."""

    bound: float
    limit: float
    direction: Vector
    metric: AbstractMetric
    pair: tuple[int, int] | None = None
    shares: Vector | None = None


def find_weakness(
    theorem: str, system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
) -> Weakness | None:
    """The weakness of one theorem about a system, in `metric` or one as the theorem takes it."""
    diagnose = {
        "absolute_value": _absolute_value,
        "singular_value": _singular_value,
        "skew_feedback": _skew_feedback,
        "metzler": _metzler,
    }.get(theorem, _worst_slopes)
    if system.state_size > _LARGEST and diagnose is not _metzler:
        return None
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", sla.LinAlgWarning)
            found = diagnose(system, metric)
    except (np.linalg.LinAlgError, ValueError):
        return None  # numbers that overflow
    if found is None or not np.isfinite([found.bound, *found.direction]).all():
        return None
    return _weighed(theorem, system, found)


def _weighed(theorem: str, system: AbstractFlow | AbstractMap, found: _Found) -> Weakness | None:
    direction = found.direction / float(found.metric.norm(jnp.asarray(found.direction)))
    parts = (direction * _unit_lengths(found.metric, len(direction))) ** 2
    parts = parts if found.shares is None else found.shares
    if not parts.sum() > 0:
        return None
    shares = parts / parts.sum()
    assembly = _assembly_of(system)
    places = () if assembly is None else module_slices(assembly)
    modules = tuple(float(shares[place].sum()) for place in places)
    return Weakness(theorem, found.bound, found.limit, direction, shares, modules, found.pair)


def _unit_lengths(metric: AbstractMetric, size: int) -> Vector:
    """`|e_i|_M`."""
    if isinstance(metric, DiagonalMetric | SumMetric | MaximumMetric):
        return np.asarray(metric.scale, np.float64)
    return np.asarray(jax.vmap(metric.norm)(jnp.eye(size)))


def _assembly_of(system: AbstractFlow | AbstractMap) -> Assembly | None:
    inner = system if isinstance(system, Assembly) else getattr(system, "assembly", None)
    return inner if isinstance(inner, Assembly) else None


def _network_of(system: AbstractFlow | AbstractMap) -> RateNetwork | Elman | None:
    inner = system.network if isinstance(system, RateMap) else system
    return inner if isinstance(inner, RateNetwork | Elman) else None


def _step_of(system: AbstractFlow | AbstractMap) -> tuple[float, float]:
    """Keep and gain of a map of one layer."""
    if isinstance(system, RateMap):
        return float(system.keep), float(system.gain)
    return 0.0, 1.0


def _scale_of(metric: AbstractMetric | None, own: Vector | None) -> Vector | None:
    if metric is None:
        return own
    return np.asarray(metric.scale, np.float64) if isinstance(metric, DiagonalMetric) else None


def _absolute_value(
    system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
) -> _Found | None:
    network = _network_of(system)
    layer = None if network is None else layer_of(network)
    if network is None or layer is None:
        return None
    scale = _scale_of(metric, absolute_metric(layer) if metric is None else None)
    if scale is None:
        return None
    used = DiagonalMetric(jnp.asarray(scale))
    if isinstance(system, RateNetwork):
        bound, vector = _top(_majorant(layer, scale))
        return _Found(bound, float(system.leak), vector / scale, used)
    keep, gain = _step_of(system)
    majorant = abs(gain) * _majorant(layer, scale)
    ends = [keep + gain * np.diag(layer.weight) * end for end in (layer.lowest, layer.highest)]
    np.fill_diagonal(majorant, np.abs(ends).max(0))
    bound, vector = _strongest(majorant)
    return _Found(bound, 1.0, vector / scale, used)


def _singular_value(
    system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
) -> _Found | None:
    network = _network_of(system)
    layer = None if network is None else layer_of(network)
    if network is None or layer is None:
        return None
    scale = _scale_of(metric, singular_metric(layer) if metric is None else None)
    if scale is None:
        return None
    norm, vector = _strongest(scale[:, None] * layer.weight / scale)
    used = DiagonalMetric(jnp.asarray(scale))
    if isinstance(system, RateNetwork):
        return _Found(layer.steepest * norm, float(system.leak), vector / scale, used)
    keep, gain = _step_of(system)
    return _Found(abs(keep) + abs(gain) * layer.steepest * norm, 1.0, vector / scale, used)


def _skew_feedback(
    system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
) -> _Found | None:
    """The defect of the coupling against the slowest module's rate; of maps, the worst slopes."""
    assembly = _assembly_of(system)
    layers = [] if assembly is None else [layer_of(module) for module in assembly.modules]
    known = [layer for layer in layers if layer is not None]
    if assembly is None or len(known) < len(layers):
        return None
    scale = _scale_of(metric, suggested_scale(assembly, known) if metric is None else None)
    if scale is None:
        return None
    used, places = DiagonalMetric(jnp.asarray(scale)), module_slices(assembly)
    coupling = np.asarray(assembly.coupling, np.float64)
    whitened = scale[:, None] * coupling / scale
    defect, vector = _top(whitened)
    pair = _expanding_pair(whitened, vector, places)
    if not isinstance(system, AbstractFlow):
        worst = _worst_slopes(system, used)
        if worst is None:
            return None
        skew = not defect > 1e-9 * np.abs(whitened).max(initial=0.0)
        return _Found(worst.bound, 1.0, worst.direction, used, None if skew else pair)
    modules = list(zip(assembly.modules, known, places, strict=True))
    growths = [_module_growth(m, layer, scale[place]) for m, layer, place in modules]
    slowest = int(np.argmax([growth for growth, _ in growths]))
    growth, own = growths[slowest]
    if growth < 0 and defect > 1e-6 * -growth:
        return _Found(defect, -growth, vector / scale, used, pair)
    direction = np.zeros(len(scale))
    direction[places[slowest]] = own / scale[places[slowest]]
    return _Found(growth, 0.0, direction, used)


def _module_growth(module: RateNetwork, layer: Layer, scale: Vector) -> tuple[float, Vector]:
    """Minus the better of two rates of a module, and the whitened direction that has it."""
    norm, vector = _strongest(scale[:, None] * layer.weight / scale)
    options = [_top(_majorant(layer, scale)), (layer.steepest * norm, vector)]
    bound, direction = min(options, key=lambda option: option[0])
    return (bound - float(module.leak)) / float(module.time_constant), direction


def _expanding_pair(
    whitened: Square, vector: Vector, places: tuple[slice, ...]
) -> tuple[int, int] | None:
    """The two modules between which the quadratic form of the coupling is largest."""
    form = vector[:, None] * (whitened + whitened.T) / 2 * vector
    sums = np.array([[form[a, b].sum() for b in places] for a in places])
    np.fill_diagonal(sums, -np.inf)
    if len(places) < 2:
        return None
    first, second = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return min(int(first), int(second)), max(int(first), int(second))


def _metzler(system: AbstractFlow | AbstractMap, metric: AbstractMetric | None) -> _Found | None:
    """The worst column (one unit by itself), or row (all units with the signs that it adds)."""
    lure = lure_of(system)
    if isinstance(lure, str) or not isinstance(metric, SumMetric | MaximumMetric | None):
        return None
    kind = suited_norm(lure) if metric is None else type(metric)
    continuous, transposed = isinstance(system, AbstractFlow), kind is MaximumMetric
    majorants = column_majorants(lure, continuous, transposed)
    if majorants is None:
        return None
    if metric is None:
        weights = column_scale(majorants, rate_unit(lure, continuous))
    else:
        given = np.asarray(metric.scale, np.float64)
        weights = 1 / given if transposed else given
    sums = np.stack([weights @ M for M in majorants]) / weights
    end, worst = (int(i) for i in np.unravel_index(int(np.argmax(sums)), sums.shape))
    used = kind(jnp.asarray(1 / weights if transposed else weights))
    limit = 0.0 if continuous else 1.0
    if not transposed:
        return _Found(float(sums[end, worst]), limit, np.eye(len(weights))[worst], used)
    # All units at once, with the signs that the row of one of them adds up.
    slopes = lure.span * (end if len(majorants) > 1 else 0.5)
    row = lure.A.mid[worst] + (lure.B.mid[worst] * slopes) @ lure.C.mid
    signs = np.where(row < 0, -1.0, 1.0)
    signs[worst] = 1.0
    terms = np.abs(majorants[end][:, worst]) * weights
    return _Found(float(sums[end, worst]), limit, signs * weights, used, shares=terms)


def _worst_slopes(
    system: AbstractFlow | AbstractMap, metric: AbstractMetric | None
) -> _Found | None:
    """Slopes and direction with the largest growth or gain that a search finds in the metric."""
    lure = lure_of(system)
    root = None if metric is None or isinstance(lure, str) else quadratic_root(metric)
    if metric is None or isinstance(lure, str) or root is None:
        return None
    S = np.asarray(root, np.float64)
    continuous = isinstance(system, AbstractFlow)
    best, vector = -np.inf, np.zeros(len(S))
    A, B = S @ lure.A.mid @ sla.inv(S), S @ lure.B.mid
    C = sla.solve_triangular(S, lure.C.mid.T, trans=1).T
    rng = np.random.default_rng(0)
    for start in range(_STARTS):
        share = {0: 1.0, 1: 0.0}.get(start)
        slopes = lure.span * (rng.random(len(lure.span)) if share is None else share)
        for _ in range(_TURNS):
            J = A + B * slopes @ C
            growth, v = _top(J) if continuous else _strongest(J)
            if growth > best:
                best, vector = growth, v
            entering = (v if continuous else J @ v) @ B
            turned = lure.span * (entering * (C @ v) > 0)
            if (turned == slopes).all():
                break
            slopes = turned
    limit = 0.0 if continuous else 1.0
    return _Found(float(best), limit, sla.solve_triangular(S, vector), metric)


def _majorant(layer: Layer, scale: Vector) -> Square:
    """Magnitudes off the diagonal, the worst signed self-weights on it."""
    majorant = layer.steepest * np.abs(scale[:, None] * layer.weight / scale)
    own = np.diag(layer.weight)
    np.fill_diagonal(majorant, np.maximum(layer.lowest * own, layer.highest * own))
    return majorant


def _top(matrix: Square) -> tuple[float, Vector]:
    """The largest eigenvalue of the symmetric part, with its eigenvector."""
    values, vectors = np.linalg.eigh(_finite((matrix + matrix.T) / 2))
    return float(values[-1]), vectors[:, -1]


def _strongest(matrix: Square) -> tuple[float, Vector]:
    """The largest singular value, with its right vector."""
    _, values, right = np.linalg.svd(_finite(matrix))
    return float(values[0]), right[0]


def _finite(matrix: Square) -> Square:
    """The same; LAPACK may not return from infinite numbers."""
    if not np.isfinite(matrix).all():
        raise np.linalg.LinAlgError("the matrix holds NaN or infinity")
    return matrix
