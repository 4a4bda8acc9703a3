"""Where the eigenvalues of the Jacobian lie: the spectral radius of a small matrix of averages.

Let `v = (v_h, v_z, v_r)` be an eigenvector. The products of the independent random matrices with it
are normal, with variances that are averages over units; these variances must reproduce themselves.
So they are a positive eigenvector of a matrix `S(eigenvalue)` of averages. The bulk of the spectrum
is where its spectral radius is at least 1.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from limitset._result import InputProblem, require_arrays
from limitset.meanfield._checks import require_parameters, require_variance
from limitset.meanfield._fixed_points import MeanFieldPoint
from limitset.meanfield._gate_law import GateLaw, resonance
from limitset.meanfield._moments import moments
from limitset.networks import GatedParameters

Scalar = Float[Array, ""]
Segment = tuple[float, float]


class AbstractSpectralLaw(eqx.Module):
    """A state, or a law of states, from which follows where the eigenvalues lie.

    The radius falls with the distance from the real axis. On the axis it is infinite on finitely
    many segments, and log-convex between them.
    """

    @abc.abstractmethod
    def radius(self, eigenvalue: Complex[Array, ""]) -> Scalar:
        """The spectral radius of `S`; at least 1 in the bulk; inf on the segments, never NaN."""

    @abc.abstractmethod
    def segments(self) -> tuple[Segment, ...]:
        """Parts of the real axis that belong to the bulk whatever the couplings are."""

    @abc.abstractmethod
    def isolated(self) -> tuple[float, ...]:
        """Values that many eigenvalues may have exactly, beside the bulk."""


class FixedPointSpectrum(AbstractSpectralLaw):
    """At a mean-field fixed point: `h`, `z` and `r` normal and independent; n -> infinity.

        <phi'^2> <sz^2 / |l + sz|^2> (<sr^2> + <phi^2> <sr'^2> / |1 + output_time l|^2)

    with `sz` and `sr` the gates, is 1 on the boundary. At `l = 0` this is `K`. The two terms are
    the entry `a` and the product `b c` in `S = [[a, b], [c, 0]]`.

    **Arguments:** `parameters`; `state_variance`, of `h`.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> law = FixedPointSpectrum(GatedParameters(gain=2.0), 0.0)
    >>> float(law.radius(jnp.zeros((), complex)))
    1.0

    **Reference:** arXiv 2007.14823.
    """

    parameters: GatedParameters
    update: GateLaw
    direct: Scalar
    feedback: Scalar

    def __init__(self, parameters: GatedParameters, state_variance: float | Scalar) -> None:
        require_variance(parameters, state_variance)
        found = moments(parameters, state_variance)
        self.parameters = parameters
        self.update = update_gate_law(parameters, found.gate_variance)
        self.direct = found.slope * found.output
        self.feedback = found.slope * found.gate_variance * found.output_slope

    def radius(self, eigenvalue: Complex[Array, ""]) -> Scalar:
        """The largest eigenvalue of `S`."""
        delay = jnp.abs(1 + self.parameters.output_time * eigenvalue)
        feedback = _over(self.feedback, delay**2)
        passed = resonance(self.update, eigenvalue)
        return perron(passed * self.direct, feedback, passed, jnp.zeros(()))

    def segments(self) -> tuple[Segment, ...]:
        """What the update gate can be, and the pole of the output gate where that is alive."""
        least, largest = (float(end) for end in self.update.range())
        pole = -1 / float(self.parameters.output_time)
        return ((-largest, -least), *([(pole, pole)] if float(self.feedback) > 0 else []))

    def isolated(self) -> tuple[float, ...]:
        """The rates of the gates' inputs, `-1 / update_time` and `-1 / output_time`."""
        return _gate_rates(self.parameters)


class SampledSpectrum(AbstractSpectralLaw):
    """At any state of one network, averages being taken over its units.

    With `c = sz'(z) (drive - h)`, `t_z = 1 + update_time l`, `t_r = 1 + output_time l`, `S` has
    the averages of the squares of

        phi' sr sz / (l + sz)    phi' sr c / ((l + sz) t_z)    phi sr' / t_r
        phi' sz / (l + sz)       phi' c / ((l + sz) t_z)       0

    with the second row twice; columns and rows belong to the matrices into h, z and r. The state is
    taken to be independent of the couplings. Those that a network visits are not, and yet hardly
    an eigenvalue lies outside. Errors are of order `1 / sqrt(n)`.

    **Arguments:** `parameters`; `h`, `z`, `r`, shape (n,); `drive`, what `h` relaxes to,
    `J_h (phi(h) sigma_r(r)) + I`, shape (n,), which is `h` at a fixed point.

    **Example:**

    >>> from limitset.networks import GatedParameters
    >>> zero = jnp.zeros(3)
    >>> law = SampledSpectrum(GatedParameters(gain=2.0), h=zero, z=zero, r=zero, drive=zero)
    >>> float(law.radius(jnp.zeros((), complex)))
    1.0

    **Reference:** arXiv 2007.14823 for fixed points.
    """

    parameters: GatedParameters
    h: Float[Array, " n"]
    z: Float[Array, " n"]
    r: Float[Array, " n"]
    drive: Float[Array, " n"]

    def __init__(
        self,
        parameters: GatedParameters,
        *,
        h: Float[Array, "..."],
        z: Float[Array, "..."],
        r: Float[Array, "..."],
        drive: Float[Array, "..."],
    ) -> None:
        require_parameters(parameters)
        given = {"h": h, "z": z, "r": r, "drive": drive}
        require_arrays(**given)
        for name, part in given.items():
            if part.shape != h.shape or h.ndim != 1 or h.size == 0:
                raise InputProblem(
                    f"{name} has shape {part.shape} and h {h.shape}; give one number for each unit"
                )
            if not bool(jnp.isfinite(part).all()):
                raise InputProblem(f"{name} has entries that are not finite; give a finite state")
        self.parameters = parameters
        self.h, self.z, self.r, self.drive = h, z, r, drive

    def radius(self, eigenvalue: Complex[Array, ""]) -> Scalar:
        """The spectral radius of the averages of squares."""
        p = self.parameters
        sz, sr = p.update_gate(self.z), p.output_gate(self.r)
        velocity = p.update_gate_slope(self.z) * (self.drive - self.h)
        slope, feedback = p.phi_slope(self.h), p.phi(self.h) * p.output_gate_slope(self.r)
        distance = jnp.abs(eigenvalue + sz)
        by_update = jnp.abs(1 + p.update_time * eigenvalue)
        by_output = jnp.abs(1 + p.output_time * eigenvalue)
        hh = (_over(slope * sr * sz, distance) ** 2).mean()
        zh = (_over(slope * sz, distance) ** 2).mean()
        hz = (_over(_over(slope * sr * velocity, distance), by_update) ** 2).mean()
        zz = (_over(_over(slope * velocity, distance), by_update) ** 2).mean()
        hr = (_over(feedback, by_output) ** 2).mean()
        radius = perron(hh, hz + hr, zh, zz)
        on_axis = (eigenvalue.imag == 0) & (-eigenvalue.real >= sz.min())
        return jnp.where(on_axis & (-eigenvalue.real <= sz.max()), jnp.inf, radius)

    def segments(self) -> tuple[Segment, ...]:
        """From the slowest to the fastest unit, and the poles of the gates where they are alive."""
        p = self.parameters
        sz = p.update_gate(self.z)
        moving = p.update_gate_slope(self.z) * (self.drive - self.h)
        fed = p.phi(self.h) * p.output_gate_slope(self.r)
        poles = [
            -1 / float(time)
            for time, part in ((p.update_time, moving), (p.output_time, fed))
            if bool((part != 0).any())
        ]
        return ((-float(sz.max()), -float(sz.min())), *((pole, pole) for pole in poles))

    def isolated(self) -> tuple[float, ...]:
        """The rates of the gates' inputs, `-1 / update_time` and `-1 / output_time`."""
        return _gate_rates(self.parameters)


def spectrum_at(point: MeanFieldPoint) -> FixedPointSpectrum:
    """The law of the spectrum at one of the `fixed_points`."""
    return FixedPointSpectrum(point.parameters, point.state_variance)


def update_gate_law(parameters: GatedParameters, gate_variance: Scalar) -> GateLaw:
    """The update gate where its input has that variance."""
    return GateLaw(
        parameters.update_gain * jnp.sqrt(gate_variance),
        parameters.update_bias,
        parameters.nonlinearity,
        parameters.open_update,
    )


def _gate_rates(parameters: GatedParameters) -> tuple[float, ...]:
    return (-1 / float(parameters.update_time), -1 / float(parameters.output_time))


def _over(numerator: Float[Array, "..."], denominator: Float[Array, "..."]) -> Float[Array, "..."]:
    # What is not there has no pole: 0/0 is 0.
    gone = numerator == 0
    return jnp.where(gone, 0.0, numerator / jnp.where(gone, 1.0, denominator))


def perron(a: Scalar, b: Scalar, c: Scalar, d: Scalar) -> Scalar:
    """The spectral radius of `[[a, b], [c, d]]`, entries not negative."""
    # Without a way back the other coupling is of no use, were it infinite.
    b, c = jnp.where(c == 0, 0.0, b), jnp.where(b == 0, 0.0, c)
    finite = jnp.isfinite(a) & jnp.isfinite(b) & jnp.isfinite(c) & jnp.isfinite(d)
    a, b, c, d = (jnp.where(finite, entry, 0.0) for entry in (a, b, c, d))
    return jnp.where(finite, (a + d + jnp.sqrt((a - d) ** 2 + 4 * b * c)) / 2, jnp.inf)
