"""How far an input moves a state, in the metric: what cascades and disturbances are bounded by."""

from dataclasses import dataclass

import numpy as np

from limitset._system import AbstractFlow, AbstractMap
from limitset.contraction._certificate import Certificate, Unknown, require_certificate
from limitset.contraction._layer import product_upper, sum_upper, whiten
from limitset.contraction._metric import AbstractMetric, DiagonalMetric, QuadraticMetric
from limitset.dynamics import EulerAssemblyMap, ExponentialAssemblyMap, RateMap, SemiImplicitMap
from limitset.networks import (
    Assembly,
    DiagonalRecurrence,
    Elman,
    Form,
    RateNetwork,
    Relay,
    Stack,
)
from limitset.proofs import (
    Ball,
    NotVerified,
    largest_eigenvalue_upper,
    two_norm_upper,
    verified_inverse,
)

_AssemblyMap = SemiImplicitMap | EulerAssemblyMap | ExponentialAssemblyMap


@dataclass(frozen=True)
class InputGain:
    """What inputs can do to a contracting system; both numbers are upper bounds.

    `gain` bounds `|f(x, u) - f(x, v)|_M / |u - v|_2`. So two trajectories whose inputs differ by
    at most `d` obey `|x_n - y_n|_M <= factor^n |x_0 - y_0|_M + spread d`, with `spread =
    gain / (1 - factor)`; for a flow, `exp(-rate t)` and `spread = gain / rate`.
    """

    gain: float
    spread: float


def input_gain(certificate: Certificate) -> InputGain | Unknown:
    """The incremental gain from inputs to states, in the metric of a certificate.

    With the slopes `D` of the activations and the input weights `B`, it is the norm of `B`, `D B`
    or what the map's matrices make of them, from the Euclidean norm into the metric. In a stack,
    what an input does to the lower layers reaches the upper ones through the relays:
    `c_k = beta_k (|embedding| + sum_(j<k) relay_j c_j)`, and the gain is `max_k weight_k c_k`.

    **Arguments:** `certificate`, of a flow or a map.

    **Returns:** an `InputGain`, verified, for all states and all inputs; or `Unknown` for systems
    and metrics without such a bound.

    **Raises:** `InputProblem` for anything but a certificate.

    **Example:**

    >>> import jax.numpy as jnp
    >>> from limitset.contraction import certify
    >>> half = DiagonalRecurrence(jnp.array([0.5]), jnp.zeros(1), jnp.array([[3.0], [4.0]]))
    >>> found = input_gain(certify(half))
    >>> round(found.gain, 6), round(found.spread, 6)
    (5.0, 10.0)

    **Reference:** incremental input-to-state stability, as in arXiv 2106.08928.
    """
    system = require_certificate(certificate).system
    stacked = type(system) is Stack
    gain = _stack_gain(certificate) if stacked else bound_entry(certificate).gain
    if not np.isfinite(gain):
        kinds = f"{type(system).__name__} in a {type(certificate.metric).__name__}"
        return Unknown(f"no bound is known of what inputs do to a {kinds}")
    if certificate.rate is not None:
        forgetting = Ball.exact(certificate.rate)
    else:
        forgetting = 1 - Ball.exact(certificate.factor or 0.0)
    return InputGain(gain, float((Ball.exact(gain) / forgetting).upper()))


@dataclass(frozen=True)
class Entry:
    """`|df/du| <= response drive`, from the Euclidean norm into a metric; infinite if unknown."""

    response: float
    drive: float

    @property
    def gain(self) -> float:
        """The product, rounded up."""
        return product_upper(self.response, self.drive)


@dataclass(frozen=True)
class Passage:
    """`|d relay / dx| <= write g read`, from a metric into the Euclidean norm."""

    write: float
    read: float
    steepest: float

    @property
    def gain(self) -> float:
        """The product, rounded up."""
        return product_upper(self.write, self.steepest, self.read)


def bound_entry(certificate: Certificate) -> Entry:
    """Bounds of what inputs do to a certified system, in its metric."""
    parts, metric = _parts_of(certificate.system), certificate.metric
    if parts is None:
        return Entry(1.0, float("inf"))
    if not parts.sloped:
        drive = parts.drive if parts.response is None else parts.response @ parts.drive
        return Entry(1.0, norm_into(metric, drive))
    if isinstance(metric, DiagonalMetric):
        # Slopes are diagonal, as the metric is: they commute.
        drive = norm_into(metric, parts.drive)
        if parts.response is None:
            return Entry(1.0, drive)
        scale = np.asarray(metric.scale, np.float64)
        return Entry(two_norm_upper(whiten(parts.response, scale)), drive)
    size = parts.drive.shape[0]
    response = Ball.exact(np.eye(size)) if parts.response is None else parts.response
    return Entry(norm_into(metric, response), two_norm_upper(parts.drive))


def bound_passage(relay: Relay, metric: AbstractMetric) -> Passage:
    """Bounds of what a relay passes on of a layer with this metric."""
    slopes = relay.activation.slope_interval
    steepest = max(map(abs, slopes)) if slopes is not None else float("inf")
    read = norm_out_of(metric, _exact(relay.read))
    return Passage(two_norm_upper(_exact(relay.write)), read, steepest)


def norm_into(metric: AbstractMetric, X: Ball) -> float:
    """An upper bound of `sup |X v|_M / |v|_2`; infinite for metrics of other kinds."""
    if isinstance(metric, DiagonalMetric):
        return two_norm_upper(_exact(metric.scale).reshape(-1, 1) * X)
    if not isinstance(metric, QuadraticMetric):
        return float("inf")
    return _root(largest_eigenvalue_upper(X.T @ (_exact(metric.matrix) @ X)))


def norm_out_of(metric: AbstractMetric, Y: Ball) -> float:
    """An upper bound of `sup |Y v|_2 / |v|_M`; infinite for metrics of other kinds."""
    if isinstance(metric, DiagonalMetric):
        return two_norm_upper(Y / _exact(metric.scale).reshape(1, -1))
    if not isinstance(metric, QuadraticMetric):
        return float("inf")
    try:
        inverse = verified_inverse(_exact(metric.matrix))
    except NotVerified:
        return float("inf")
    return _root(largest_eigenvalue_upper(Y @ (inverse @ Y.T)))


def _stack_gain(certificate: Certificate) -> float:
    stack = certificate.system
    weights = getattr(certificate.metric, "weights", None)
    if not isinstance(stack, Stack) or weights is None or not certificate.parts:
        return float("inf")
    embedding = two_norm_upper(_exact(stack.embedding))
    reached: list[float] = []
    relayed: list[float] = [embedding]
    for index, (part, weight) in enumerate(zip(certificate.parts, weights, strict=True)):
        moved = product_upper(bound_entry(part).gain, sum_upper(*relayed))
        reached.append(product_upper(moved, float(weight)))
        if index < len(stack.relays):
            passage = bound_passage(stack.relays[index], part.metric)
            relayed.append(product_upper(moved, passage.gain))
    return max(reached)


@dataclass(frozen=True)
class _Parts:
    """`df/du = response D drive`, with D diagonal and `|D| <= 1`: the identity if not `sloped`."""

    drive: Ball
    response: Ball | None
    sloped: bool


def _parts_of(system: AbstractFlow | AbstractMap) -> _Parts | None:
    # Exact types: a subclass may use its inputs in another way.
    if type(system) is DiagonalRecurrence:
        return _Parts(_exact(system.input_weight), None, False)
    modules = _modules(system)
    if modules is None:
        return None
    rows, sloped = [], False
    for module in modules:
        firing = isinstance(module, Elman) or module.form is Form.FIRING_RATE
        slopes = module.activation.slope_interval
        if slopes is None:
            return None
        weight = module.weight_ih if isinstance(module, Elman) else module.input_weight
        steepest = max(map(abs, slopes)) if firing else 1.0
        rows.append(_exact(weight) * steepest)
        sloped = sloped or firing
    drive = Ball.moved(lambda *parts: np.concatenate(parts), *rows)
    gain, response = _gain_and_response(system)
    return _Parts(gain.reshape(-1, 1) * drive, response, sloped)


def _modules(system: AbstractFlow | AbstractMap) -> list[RateNetwork | Elman] | None:
    if type(system) in (RateNetwork, Elman):
        return [system]  # pyright: ignore[reportReturnType]
    if type(system) is RateMap:
        return [system.network]
    if type(system) is Assembly:
        return list(system.modules)
    if type(system) in (SemiImplicitMap, EulerAssemblyMap, ExponentialAssemblyMap):
        return list(system.assembly.modules)  # pyright: ignore[reportAttributeAccessIssue]
    return None


def _gain_and_response(system: AbstractFlow | AbstractMap) -> tuple[Ball, Ball | None]:
    """What multiplies the drive: a number for every unit, then a matrix."""
    ones = Ball.exact(np.ones(system.state_size))
    if isinstance(system, RateNetwork):
        return ones / _exact(system.time_constant), None
    if isinstance(system, Assembly):
        constants = [np.full(m.state_size, float(m.time_constant)) for m in system.modules]
        return 1.0 / Ball.exact(np.concatenate(constants)), None
    if isinstance(system, RateMap):
        return ones * float(system.gain), None
    if isinstance(system, SemiImplicitMap):
        return _exact(system.gain), _exact(system.propagator)
    if isinstance(system, EulerAssemblyMap):
        return _exact(system.gain), None
    if isinstance(system, ExponentialAssemblyMap):
        return ones, _exact(system.response)
    return ones, None


def _exact(array: object) -> Ball:
    return Ball.exact(np.asarray(array, np.float64))


def _root(square: float) -> float:
    if not np.isfinite(square):
        return float("inf") if not square < 0 else 0.0
    return float(Ball.exact(max(square, 0.0)).sqrt().upper())
