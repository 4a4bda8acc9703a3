"""Ensembles of discrete cells: the GRU in both placements of its reset gate, and the LSTM.

Every recurrent matrix has independent entries with variance `gain^2 / n`; inputs are absent. At a
fixed point the arguments of all gates are then normal with variance `gain^2 q`, `q = <h^2>`.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from limitset.meanfield._gate_law import GateLaw, resonance
from limitset.meanfield._gaussian import gaussian_rule
from limitset.meanfield._moments import moments
from limitset.meanfield._spectral_law import AbstractSpectralLaw, Segment, perron
from limitset.networks import TANH_LOGISTIC, GatedParameters

Scalar = Float[Array, ""]


def as_number(value: float | Scalar) -> Scalar:
    """A gain or a bias as an array."""
    return jnp.asarray(value, jnp.float64)


class AbstractCellEnsemble(eqx.Module):
    """Gains and biases of a cell whose weights are drawn at random."""

    @abc.abstractmethod
    def following(self, q: Scalar) -> Scalar:
        """`<h^2>` after a step, if it was `q` before; fixed points reproduce it."""

    @abc.abstractmethod
    def spectrum(self, q: Scalar) -> "AbstractCellSpectrum":
        """The law of the eigenvalues at a fixed point with `<h^2> = q`."""

    @abc.abstractmethod
    def keeping(self) -> tuple[Scalar, Scalar]:
        """Gain and bias of the gate that keeps the state."""

    @abc.abstractmethod
    def zero_edge(self) -> Scalar:
        """The largest modulus in the spectrum of the zero state."""

    @abc.abstractmethod
    def has_zero_state(self) -> bool:
        """Whether zero is a fixed point."""


class GRUEnsemble(AbstractCellEnsemble):
    """`h+ = z h + (1 - z) tanh(U_h (r h) + candidate_bias)`, the reset gate before the product.

    Its fixed points are those of a gated network with `gain=candidate_gain` and
    `output_gain=reset_gain`: the state's variance there is that of `U_h (r h) / candidate_gain`.

    **Arguments:** gains, the standard deviations of the entries of the recurrent weights times
    `sqrt(n)`, and biases; `z` near 1 keeps.

    **Reference:** arXiv 2002.00025.
    """

    candidate_gain: Scalar = eqx.field(converter=as_number, default=1.0)
    reset_gain: Scalar = eqx.field(converter=as_number, default=1.0)
    update_gain: Scalar = eqx.field(converter=as_number, default=1.0)
    candidate_bias: Scalar = eqx.field(converter=as_number, default=0.0)
    reset_bias: Scalar = eqx.field(converter=as_number, default=0.0)
    update_bias: Scalar = eqx.field(converter=as_number, default=0.0)

    def _parameters(self) -> GatedParameters:
        return GatedParameters(
            gain=self.candidate_gain,
            output_gain=self.reset_gain,
            state_bias=self.candidate_bias,
            output_bias=self.reset_bias,
        )

    def _drive(self, q: Scalar) -> Scalar:
        """The variance of `U_h (r h) / candidate_gain`."""
        nodes, weights = gaussian_rule()
        reset = jax.nn.sigmoid(self.reset_gain * jnp.sqrt(q) * nodes + self.reset_bias)
        return q * (weights @ reset**2)

    def following(self, q: Scalar) -> Scalar:
        """`<tanh^2>`."""
        return moments(self._parameters(), self._drive(q)).gate_variance

    def spectrum(self, q: Scalar) -> "AbstractCellSpectrum":
        """`K <(1 - z)^2 / |l - z|^2>`, `K = gain^2 <tanh'^2> (<r^2> + <h^2> <r'^2>)`."""
        found = moments(self._parameters(), self._drive(q))
        feedback = found.slope * found.gate_variance * found.output_slope
        renewing = _renewing(self.update_gain, self.update_bias, q)
        return GRUSpectrum(renewing, found.slope * found.output, feedback)

    def keeping(self) -> tuple[Scalar, Scalar]:
        """Those of `z`."""
        return self.update_gain, self.update_bias

    def zero_edge(self) -> Scalar:
        """`z + (1 - z) candidate_gain r`, gates at zero."""
        keep, reset = jax.nn.sigmoid(self.update_bias), jax.nn.sigmoid(self.reset_bias)
        return keep + (1 - keep) * self.candidate_gain * reset

    def has_zero_state(self) -> bool:
        """Without a bias of the candidate."""
        return float(self.candidate_bias) == 0


class ResetAfterGRUEnsemble(AbstractCellEnsemble):
    """`h+ = z h + (1 - z) tanh(candidate_bias + r (U_h h + inner_bias))`, as in PyTorch and cuDNN.

    The argument of `tanh` is a product of normal variables, and not normal: the fixed points are
    not those of the other placement.

    **Arguments:** as for `GRUEnsemble`; `inner_bias` is the one that the reset gate multiplies.
    """

    candidate_gain: Scalar = eqx.field(converter=as_number, default=1.0)
    reset_gain: Scalar = eqx.field(converter=as_number, default=1.0)
    update_gain: Scalar = eqx.field(converter=as_number, default=1.0)
    candidate_bias: Scalar = eqx.field(converter=as_number, default=0.0)
    inner_bias: Scalar = eqx.field(converter=as_number, default=0.0)
    reset_bias: Scalar = eqx.field(converter=as_number, default=0.0)
    update_bias: Scalar = eqx.field(converter=as_number, default=0.0)

    def _pairs(self, q: Scalar) -> tuple[Array, Array, Array, Array]:
        """Weights of pairs of nodes, what is reset, the reset gate and the argument of tanh."""
        nodes, weights = gaussian_rule()
        inner = self.candidate_gain * jnp.sqrt(q) * nodes[:, None] + self.inner_bias
        reset = jax.nn.sigmoid(self.reset_gain * jnp.sqrt(q) * nodes + self.reset_bias)
        return weights[:, None] * weights, inner, reset, reset * inner + self.candidate_bias

    def following(self, q: Scalar) -> Scalar:
        """`<tanh^2>`."""
        weights, _, _, argument = self._pairs(q)
        return (weights * jnp.tanh(argument) ** 2).sum()

    def spectrum(self, q: Scalar) -> "AbstractCellSpectrum":
        """`<tanh'^2 (gain^2 r^2 + u^2 r'^2)> <(1 - z)^2 / |l - z|^2>`, `u` what is reset."""
        weights, inner, reset, argument = self._pairs(q)
        slope = TANH_LOGISTIC.unit_slope(argument) ** 2
        through_reset = (self.reset_gain * reset * (1 - reset) * inner) ** 2
        number = (weights * slope * ((self.candidate_gain * reset) ** 2 + through_reset)).sum()
        renewing = _renewing(self.update_gain, self.update_bias, q)
        return GRUSpectrum(renewing, number, jnp.zeros(()))

    def keeping(self) -> tuple[Scalar, Scalar]:
        """Those of `z`."""
        return self.update_gain, self.update_bias

    def zero_edge(self) -> Scalar:
        """`z + (1 - z) candidate_gain r`, gates at zero."""
        keep, reset = jax.nn.sigmoid(self.update_bias), jax.nn.sigmoid(self.reset_bias)
        return keep + (1 - keep) * self.candidate_gain * reset

    def has_zero_state(self) -> bool:
        """Without biases of the candidate."""
        return float(self.candidate_bias) == 0 and float(self.inner_bias) == 0


class AbstractCellSpectrum(AbstractSpectralLaw):
    """The law at a fixed point of a cell."""

    @abc.abstractmethod
    def stability_number(self) -> Scalar:
        """`K`: the fixed point is stable if it is below 1."""


class GRUSpectrum(AbstractCellSpectrum):
    """At a fixed point of a GRU: the boundary is where `K <(1 - z)^2 / |l - z|^2> = 1`.

    **Arguments:** `renewing`, the law of `1 - z`; `direct` and `feedback`, the part of `K` that
    needs one matrix, and the one that needs two.
    """

    renewing: GateLaw
    direct: Scalar
    feedback: Scalar

    def radius(self, eigenvalue: Complex[Array, ""]) -> Scalar:
        """The largest eigenvalue of the averages of squares."""
        passed = resonance(self.renewing, eigenvalue - 1)
        return perron(passed * self.direct, self.feedback, passed, jnp.zeros(()))

    def stability_number(self) -> Scalar:
        """The sum of both parts."""
        return self.direct + self.feedback

    def segments(self) -> tuple[Segment, ...]:
        """What `z` can be."""
        least, largest = (float(end) for end in self.renewing.range())
        return ((1 - largest, 1 - least),)

    def isolated(self) -> tuple[float, ...]:
        """None."""
        return ()


def _renewing(gain: Scalar, bias: Scalar, q: Scalar) -> GateLaw:
    # 1 - sigma(y) = sigma(-y), without a difference of nearly equal numbers.
    return GateLaw(-gain * jnp.sqrt(q), -bias, TANH_LOGISTIC)
