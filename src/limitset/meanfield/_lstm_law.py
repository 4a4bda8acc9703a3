"""The LSTM: its cell state `i g / (1 - f)` has a law with a heavy tail, integrated to its end."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from limitset.meanfield._cell_laws import AbstractCellEnsemble, AbstractCellSpectrum, as_number
from limitset.meanfield._gate_law import GateLaw
from limitset.meanfield._gaussian import gaussian_rule
from limitset.meanfield._moments import steep_part
from limitset.meanfield._spectral_law import Segment
from limitset.networks import TANH_LOGISTIC

Scalar = Float[Array, ""]

# Standard normal nodes. Uniform, where functions are steep in one argument at places that depend on
# the others; the candidate's crowd around its zero, where units that keep much are steep.
_FORGET = np.linspace(-12, 12, 241)
_INPUT = np.linspace(-8, 8, 49)
_CANDIDATE_SCALE, _CANDIDATE_HALF = 1e-8, 96


def _weights(nodes: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    return np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi) * (nodes[1] - nodes[0])


class LSTMEnsemble(AbstractCellEnsemble):
    """`c+ = f c + i tanh(U_g h + candidate_bias)`, `h = o tanh(c)`.

    **Arguments:** gains, the standard deviations of the entries of the recurrent weights times
    `sqrt(n)`, and biases. Averages are trustworthy for gains up to about 5.

    **Reference:** arXiv 2002.00025.
    """

    candidate_gain: Scalar = eqx.field(converter=as_number, default=1.0)
    input_gain: Scalar = eqx.field(converter=as_number, default=1.0)
    forget_gain: Scalar = eqx.field(converter=as_number, default=1.0)
    output_gain: Scalar = eqx.field(converter=as_number, default=1.0)
    candidate_bias: Scalar = eqx.field(converter=as_number, default=0.0)
    input_bias: Scalar = eqx.field(converter=as_number, default=0.0)
    forget_bias: Scalar = eqx.field(converter=as_number, default=0.0)
    output_bias: Scalar = eqx.field(converter=as_number, default=0.0)

    def _cells(self, q: Scalar) -> tuple[Array, Array, Array, Array, Array]:
        """Forget gate, input gate, candidate, its slope and cell state.

        The axes are those of the forget gate's, the input gate's and the candidate's nodes.
        """
        root = jnp.sqrt(q)
        forget = self.forget_gain * root * _FORGET[:, None, None] + self.forget_bias
        let_in = jax.nn.sigmoid(self.input_gain * root * _INPUT[:, None] + self.input_bias)
        argument = self.candidate_gain * root * self._candidate_rule(q)[0] + self.candidate_bias
        candidate = jnp.tanh(argument)
        # 1 / (1 - sigma(y)) = 1 + exp(y); the tail of the cell state is that of exp(y).
        cell = let_in * candidate * (1 + jnp.exp(forget))
        slope = TANH_LOGISTIC.unit_slope(argument)
        return jax.nn.sigmoid(forget), let_in, candidate, slope, cell

    def _candidate_rule(self, q: Scalar) -> tuple[Array, Array]:
        center, _ = steep_part(self.candidate_gain, self.candidate_bias, q)
        return gaussian_rule(center, _CANDIDATE_SCALE, half=_CANDIDATE_HALF)

    def _output(self, q: Scalar) -> tuple[Scalar, Scalar]:
        """`<o^2>` and `<o'^2>`, gain included."""
        nodes, weights = jnp.asarray(_FORGET), jnp.asarray(_weights(_FORGET))
        gate = jax.nn.sigmoid(self.output_gain * jnp.sqrt(q) * nodes + self.output_bias)
        return weights @ gate**2, self.output_gain**2 * (weights @ (gate * (1 - gate)) ** 2)

    def following(self, q: Scalar) -> Scalar:
        """`<o^2> <tanh^2(c)>`."""
        squares = (jnp.tanh(self._cells(q)[-1]) ** 2) @ self._candidate_rule(q)[1]
        squares = squares @ _weights(_INPUT)
        return self._output(q)[0] * (squares @ _weights(_FORGET))

    def spectrum(self, q: Scalar) -> AbstractCellSpectrum:
        """See `LSTMSpectrum`."""
        forget, let_in, candidate, slope, cell = self._cells(q)
        over_candidate, over_input = self._candidate_rule(q)[1], _weights(_INPUT)
        through = (
            (self.forget_gain * cell * forget * (1 - forget)) ** 2
            + (self.input_gain * candidate * let_in * (1 - let_in)) ** 2
            + (self.candidate_gain * let_in * slope) ** 2
        )
        passed = TANH_LOGISTIC.unit_slope(cell) ** 2 * through
        output, output_slope = self._output(q)
        said = (jnp.tanh(cell) ** 2) @ over_candidate @ over_input @ _weights(_FORGET)
        return LSTMSpectrum(
            GateLaw(-self.forget_gain * jnp.sqrt(q), -self.forget_bias, TANH_LOGISTIC),
            output * (passed @ over_candidate @ over_input),
            output_slope * said,
        )

    def keeping(self) -> tuple[Scalar, Scalar]:
        """Those of the forget gate, which keeps."""
        return self.forget_gain, self.forget_bias

    def zero_edge(self) -> Scalar:
        """`f + i o candidate_gain`, gates at zero."""
        let_in, keep, output = (
            jax.nn.sigmoid(bias) for bias in (self.input_bias, self.forget_bias, self.output_bias)
        )
        return keep + let_in * output * self.candidate_gain

    def has_zero_state(self) -> bool:
        """Without a bias of the candidate."""
        return float(self.candidate_bias) == 0


class LSTMSpectrum(AbstractCellSpectrum):
    """At a fixed point of an LSTM, with primes that include gains,

        <tanh^2(c) o'^2> / |l|^2
            + <o^2> <tanh'(c)^2 (c^2 f'^2 + g^2 i'^2 + i^2 g'^2) / |l - f|^2>

    **Arguments:** `losing`, the law of `1 - f`; `memory`, the average in the second line over all
    but `f` at equidistant arguments of `f`, without its denominator; `output`, the first line's
    numerator.
    """

    losing: GateLaw
    memory: Float[Array, " nodes"]
    output: Scalar

    def radius(self, eigenvalue: Complex[Array, ""]) -> Scalar:
        """The expression above."""
        x, y = eigenvalue.real - 1, eigenvalue.imag

        def share(nodes: Float[Array, " k"], s: Float[Array, " k"]) -> Float[Array, " k"]:
            # The law of 1 - f has the gain with the other sign: same nodes, x is still f's.
            distance = jnp.hypot(x + s, y)
            return _cubic(self.memory, nodes) / jnp.where(distance == 0, 1.0, distance) ** 2

        through_memory = self.losing.average_near(share, 1 - eigenvalue)
        least, largest = self.losing.range()
        inside = ((least < -x) & (-x < largest)) | ((least == largest) & (-x == least))
        at_zero = eigenvalue == 0
        squared = jnp.where(at_zero, 1.0, jnp.abs(eigenvalue) ** 2)
        hit = (y == 0) & (inside | (at_zero & (self.output > 0)))
        return jnp.where(hit, jnp.inf, through_memory + self.output / squared)

    def stability_number(self) -> Scalar:
        """The radius at the eigenvalue 1."""
        return self.radius(jnp.asarray(1 + 0j))

    def segments(self) -> tuple[Segment, ...]:
        """What `f` can be, and 0 where the output gate is alive."""
        least, largest = (float(end) for end in self.losing.range())
        return ((1 - largest, 1 - least), *([(0.0, 0.0)] if float(self.output) > 0 else []))

    def isolated(self) -> tuple[float, ...]:
        """0, where units of the hidden state are functions of the cell state."""
        return (0.0,)


def _cubic(values: Float[Array, " nodes"], x: Float[Array, " k"]) -> Float[Array, " k"]:
    """Cubic interpolation on the nodes of the forget gate."""
    step = _FORGET[1] - _FORGET[0]
    at = jnp.clip((x - _FORGET[0]) / step, 1.0, _FORGET.size - 2.001)
    k = jnp.floor(at).astype(int)
    t = at - k
    return (
        values[k - 1] * (-t * (t - 1) * (t - 2) / 6)
        + values[k] * ((t + 1) * (t - 1) * (t - 2) / 2)
        + values[k + 1] * (-(t + 1) * t * (t - 2) / 2)
        + values[k + 2] * ((t + 1) * t * (t - 1) / 6)
    )
