"""The limit of an output gate without delay, where chaos is a matter of energy.

For `output_time -> 0` and a constant update gate the gate's correlation is that of the outputs,
`C_r = C_phi`, and the state's correlation `C` moves in a potential that depends on where it began:

    C'' = a^2 (C - F(C)),     F(C) = C_phi(C) C_sr(C_phi(C)) + input_variance

It starts at rest at `C(0)` and must end on a hill as high: `V(C(0)) = V(C(end))` with
`V' = F - C`. That is one equation for `C(0)`, and the rate `a` has no part in it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from limitset.meanfield._two_point import PairAverage, pair_average
from limitset.networks import TANH_LOGISTIC, GatedParameters, Nonlinearity

Scalar = Float[Array, ""]

_PANELS = 48
_GAUSS, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(4)


def _rule() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Panels of `rho` from 0 to 1, their nodes, and weights, dense near 1 where F may be steep."""
    edges = np.sin(np.pi / 2 * np.linspace(0.0, 1.0, _PANELS + 1))
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    nodes = middle[:, None] + half[:, None] * _GAUSS
    return edges, nodes.ravel(), half[:, None] * _GAUSS_WEIGHTS


_EDGES, _NODES, _WEIGHTS = _rule()


class SlavedForce(eqx.Module):
    """`F(C)` of the module's formula for one `C(0)`."""

    unit: PairAverage
    gate: PairAverage
    input_variance: Scalar

    def __call__(self, state: Float[Array, " k"]) -> Float[Array, " k"]:
        """The value at each correlation of the state."""
        output = self.unit(state)
        return output * self.gate(output) + self.input_variance

    def slope(self, state: Float[Array, " k"]) -> Float[Array, " k"]:
        """The derivative."""
        output, steepness = self.unit(state), self.unit.derivative(state)
        return steepness * (self.gate(output) + output * self.gate.derivative(output))


def slaved_force(
    parameters: GatedParameters, variance: Scalar, input_variance: Scalar
) -> SlavedForce:
    """The force when the state has this variance."""
    unit = pair_average(parameters.phi, parameters.phi_slope, variance)
    gate_variance = unit(variance[None])[0]
    gate = pair_average(parameters.output_gate, parameters.output_gate_slope, gate_variance)
    return SlavedForce(unit, gate, input_variance)


def _work(force: SlavedForce, variance: Scalar) -> Float[Array, " edges"]:
    """`(V(C(0)) - V(rho C(0))) / C(0)` at the panels' edges; half the squared speed there."""
    panels = jnp.sum(force(jnp.asarray(_NODES) * variance).reshape(_WEIGHTS.shape) * _WEIGHTS, 1)
    above = jnp.append(jnp.cumsum(panels[::-1])[::-1], 0.0)
    return above - variance * (1 - _EDGES**2) / 2


@eqx.filter_jit
def slaved_energy(
    parameters: GatedParameters, variance: float | Scalar, input_variance: float | Scalar = 0.0
) -> Scalar:
    """The smallest of `(V(C(0)) - V(C)) / C(0)^2` over `0 <= C < C(0)`.

    Positive where a correlation that starts at `C(0)` overshoots, negative where it turns round
    halfway; chaos is where it falls through zero as `C(0)` grows. Without biases of the state and
    without inputs the smallest value is that at `C = 0`.

    **Arguments:** `variance`, the correlation `C(0)` at lag 0, positive; `input_variance`, of an
    input to `h` that is constant in time.

    >>> from limitset.networks import GatedParameters
    >>> vanilla = GatedParameters(gain=2.0, open_update=True, open_output=True)
    >>> bool(abs(slaved_energy(vanilla, 0.481201)) < 1e-6)
    True
    """
    variance = jnp.asarray(variance, jnp.float64)
    force = slaved_force(parameters, variance, jnp.asarray(input_variance))
    return _lowest(_work(force, variance)) / variance


def _turning_edge(work: Float[Array, " edges"]) -> Int[Array, ""]:
    """Coming down from `rho = 1`, the first edge at which the correlation is slowest, or 0."""
    steps = jnp.diff(work)[::-1]
    has_slowed = jnp.cumsum(steps > 0) > 0
    turns = has_slowed & (steps < 0)
    return jnp.where(jnp.any(turns), work.shape[0] - 1 - jnp.argmax(turns), 0)


def _lowest(work: Float[Array, " edges"]) -> Scalar:
    """The value there, from a parabola through the three lowest where they surround it."""
    edge = _turning_edge(work)
    middle = jnp.clip(edge, 1, work.shape[0] - 2)
    left, here, right = work[middle - 1], work[middle], work[middle + 1]
    bend = left - 2 * here + right
    turn = here - (right - left) ** 2 / (8 * jnp.where(bend > 0, bend, jnp.inf))
    return jnp.where(edge == middle, turn, work[edge])


class SlavedState(eqx.Module):
    """The chaotic state of a network whose output gate has no delay, or what comes closest to it.

    - `variance`: the correlation of the state at lag 0; `final`: at infinite lag.
    - `energy`: of `slaved_energy` at this variance; 0 at a solution.
    - `is_chaotic`: whether there is one that moves. If not, `variance` is that of a stable fixed
      point, or, with a negative `energy`, where chaos is nearest.
    """

    variance: Scalar
    final: Scalar
    energy: Scalar
    is_chaotic: Bool[Array, ""]


_SCAN = np.geomspace(1e-7, 1.0, 61)
_ZOOM = np.linspace(0.0, 1.0, 13)
# Of the square of the gain times the variance, where chaos is looked for.
_LEAST, _MOST, _CANDIDATES = 1e-5, 1e4, 41


@eqx.filter_jit
def slaved_state(
    parameters: GatedParameters, input_variance: float | Scalar = 0.0, *, zooms: int = 6
) -> SlavedState:
    """The chaotic state for `output_time -> 0` and a constant update gate.

    All variances are looked at, not small ones only: a large state may be chaotic where the zero
    state is stable. Of several solutions the largest is the attractor.

    **Arguments:** `zooms`: each narrows the interval that holds the solution 12 times.

    **Returns:** a `SlavedState`. May be compiled, and mapped over parameters.

    >>> from limitset.networks import GatedParameters
    >>> found = slaved_state(GatedParameters(gain=2.0, open_update=True, open_output=True))
    >>> round(float(found.variance), 6), bool(found.is_chaotic)
    (0.481201, True)

    **Reference:** arXiv 2007.14823; without gates, Sompolinsky, Crisanti and Sommers, Phys. Rev.
    Lett. 61 (1988) 259.
    """
    inputs = jnp.asarray(input_variance, jnp.float64)
    energies = jax.vmap(lambda v: slaved_energy(parameters, v, inputs))
    # Both functions lie between -1 and 1: no variance is larger than this.
    variances = jnp.asarray(_SCAN) * (1 + inputs)
    found = energies(variances)
    falls = (found[:-1] > 0) & ~(found[1:] > 0)
    crosses = jnp.any(falls)
    last = variances.shape[0] - 2 - jnp.argmax(falls[::-1])
    peak = jnp.argmax(found)

    def narrow(_: Array, ends: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        fine = ends[0] + (ends[1] - ends[0]) * jnp.asarray(_ZOOM)
        above = energies(fine[1:-1]) > 0
        step = jnp.sum(jnp.cumprod(above))
        return fine[step], fine[step + 1]

    ends = (variances[last], variances[last + 1])
    low, high = jax.lax.fori_loop(0, zooms, narrow, ends)
    variance = jnp.where(crosses, (low + high) / 2, variances[peak])
    force = slaved_force(parameters, variance, inputs)
    work = _work(force, variance)
    final = variance * jnp.asarray(_EDGES)[_turning_edge(work)]
    pull = force(variance[None])[0] / variance - 1
    energy = _lowest(work) / variance
    return SlavedState(variance, final, energy, crosses & (pull > 1e-7))


class ChaosOnset(eqx.Module):
    """Where chaos begins as the gain of the state grows.

    - `gain`: the smallest with a chaotic state.
    - `variance`, `gate_variance`: of the state and of the gate there; 0 at a continuous transition.
    - `is_continuous`: chaos then starts at amplitude zero, where the zero state loses stability.
    """

    gain: Scalar
    variance: Scalar
    gate_variance: Scalar
    is_continuous: Bool[Array, ""]


@eqx.filter_jit
def slaved_gain(
    scaled_variance: float | Scalar,
    output_gain: float | Scalar,
    *,
    output_bias: float | Scalar = 0.0,
    open_output: bool = False,
    nonlinearity: Nonlinearity = TANH_LOGISTIC,
) -> Scalar:
    """The gain at which `gain^2 C(0)` of the chaotic state is `scaled_variance`.

    The force depends on gain and variance through `v = gain^2 C(0)` alone, so that the condition of
    `slaved_energy` is solved by `gain^2 = v / (2 int_0^1 F d rho)`: a curve without an equation.

    **Arguments:** `scaled_variance`, positive; the others as in `GatedParameters`.

    >>> round(float(slaved_gain(1e-6, 10.0)), 5)
    1.99999
    """
    v = jnp.asarray(scaled_variance, jnp.float64)
    parameters = _with_unit_gain(output_gain, output_bias, open_output, nonlinearity)
    force = slaved_force(parameters, v, jnp.zeros(()))
    return jnp.sqrt(v / (2 * jnp.sum(force(jnp.asarray(_NODES) * v) * _WEIGHTS.ravel())))


@eqx.filter_jit
def chaos_gain(
    output_gain: float | Scalar,
    *,
    output_bias: float | Scalar = 0.0,
    open_output: bool = False,
    nonlinearity: Nonlinearity = TANH_LOGISTIC,
) -> ChaosOnset:
    """The smallest gain with chaos, over all amplitudes, for `output_time -> 0`.

    The minimum of `slaved_gain` over all variances, and `1 / sigma_r(0)` in the limit of none. The
    update gate moves no solution if its gain is 0. Finite output times move the onset little:
    at `output_gain = 20` from 1.764 to 1.760 (time 1) and 1.7525 (time 2).

    **Returns:** a `ChaosOnset`. For `output_gain -> infinity` its gain falls to sqrt(8/3).

    >>> onset = chaos_gain(10.0)
    >>> round(float(onset.gain), 3), bool(onset.is_continuous)
    (1.859, False)
    >>> bool(chaos_gain(2.0).is_continuous)
    True

    **Reference:** arXiv 2007.14823.
    """

    def gain(log_v: Scalar) -> Scalar:
        return slaved_gain(
            jnp.exp(log_v),
            output_gain,
            output_bias=output_bias,
            open_output=open_output,
            nonlinearity=nonlinearity,
        )

    parameters = _with_unit_gain(output_gain, output_bias, open_output, nonlinearity)
    critical = 1 / (parameters.output_gate(jnp.zeros(())) * parameters.phi_slope(jnp.zeros(())))

    def narrow(_: Array, best: tuple[Scalar, Scalar, Scalar]) -> tuple[Scalar, Scalar, Scalar]:
        middle, width, _ = best
        grid = middle + width * jnp.linspace(-1.0, 1.0, _CANDIDATES)
        gains = jax.vmap(gain)(grid)
        least = jnp.argmin(gains)
        return grid[least], 2 * width / (_CANDIDATES - 1), gains[least]

    begin = (jnp.log(_LEAST * _MOST) / 2, jnp.log(_MOST / _LEAST) / 2, jnp.array(jnp.inf))
    log_v, _, least = jax.lax.fori_loop(0, 3, narrow, begin)
    v = jnp.exp(log_v)
    continuous = ~(least < critical)
    unit = pair_average(parameters.phi, parameters.phi_slope, v)
    return ChaosOnset(
        jnp.where(continuous, critical, least),
        jnp.where(continuous, 0.0, v / least**2),
        jnp.where(continuous, 0.0, unit(v[None])[0]),
        continuous,
    )


def _with_unit_gain(
    output_gain: float | Scalar,
    output_bias: float | Scalar,
    open_output: bool,
    nonlinearity: Nonlinearity,
) -> GatedParameters:
    return GatedParameters(
        gain=1.0,
        output_gain=output_gain,
        output_bias=output_bias,
        open_output=open_output,
        nonlinearity=nonlinearity,
    )
