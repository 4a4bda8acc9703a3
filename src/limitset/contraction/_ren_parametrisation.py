"""Free parameters -> a recurrent equilibrium network that contracts with a factor of choice."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from limitset._result import InputProblem
from limitset.contraction._metric import QuadraticMetric
from limitset.contraction._parametrisation import AbstractParametrisation
from limitset.contraction._recurrent_equilibrium import equilibrium_of
from limitset.contraction._ren_search import best_factor, find_ren_candidate
from limitset.networks import REN, Activation, find_activation

# What is added to the free square matrix, so that the inequality is strict.
_RIDGE = 1e-4


class StableREN(AbstractParametrisation):
    """Free parameters of a `REN` that contracts with `factor` at most, for every value.

    `H = X^T X + ridge I`, in blocks of n, k and n rows, gives

        E = (H11 + H33 / factor^2 + Y - Y^T) / 2     F = H31     B = H32
        Lambda = diag(H22) / 2     D = -(H22 below its diagonal)     C = -H21

    and with them `A = E^-1 F`, `B1 = E^-1 B / g`, `C1 = Lambda^-1 C`, `D11 = Lambda^-1 D / g` for
    slopes in `[0, g]`. The metric is `E^T H33^-1 E`.

    Why: `factor^2 E^T H33^-1 E >= E + E^T - H33 / factor^2 = H11`, and `H > 0` is the inequality of
    `RecurrentEquilibrium` with H11 in that place. The factor enters twice, in `E` and in the
    inequality; where it is forgotten in `E`, the network forgets slower than promised.

    **Arguments:** `free` is X, shape (2n + k, 2n + k); `turn` is Y, shape (n, n); `input_weight`
    is B2, (n, m); `bias` (n,); `unit_input_weight` is D12, (k, m); `unit_bias` (k,). Any values.
    `factor` in (0, 1].

    **Reference:** arXiv 2104.05942.
    """

    free: Float[Array, "s s"]
    turn: Float[Array, "n n"]
    input_weight: Float[Array, "n m"]
    bias: Float[Array, " n"]
    unit_input_weight: Float[Array, "k m"]
    unit_bias: Float[Array, " k"]
    activation: Activation = eqx.field(static=True, converter=find_activation)
    factor: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        interval = self.activation.slope_interval
        if interval is None or not 0 <= interval[0] <= interval[1]:
            raise InputProblem(
                f"activation {self.activation.name!r} has no proved slope bound; a stable REN "
                "needs tanh, relu, sigmoid, softplus or identity"
            )
        if not 0 < self.factor <= 1:
            raise InputProblem(f"factor is {self.factor}; give a number above 0, at most 1")
        size = 2 * self.bias.size + self.unit_bias.size
        if self.free.shape != (size, size):
            raise InputProblem(
                f"free has shape {self.free.shape}; {self.bias.size} states and "
                f"{self.unit_bias.size} units need ({size}, {size})"
            )

    def explicit(self) -> REN:
        """The network that runs. Compute it once per update, outside any loop over time."""
        E, H = self._solve()
        n, k = self.bias.size, self.unit_bias.size
        steepest = (self.activation.slope_interval or (0.0, 1.0))[1]
        state = jnp.linalg.solve(E, H[n + k :, : n + k])
        own = jnp.diagonal(H)[n : n + k, None] / 2
        heard = -jnp.tril(H[n : n + k, n : n + k], -1) / (own * steepest)
        matrices = (state[:, :n], state[:, n:] / steepest, -H[n : n + k, :n] / own, heard)
        A, B1, C1, D11 = (m.astype(self.free.dtype) for m in matrices)
        return REN(
            A,
            B1,
            self.input_weight,
            self.bias,
            C1,
            D11,
            self.unit_input_weight,
            self.unit_bias,
            activation=self.activation,
        )

    def metric(self) -> QuadraticMetric:
        """The metric that certifies `explicit()`; a proposal that `certify` still verifies."""
        E, H = self._solve()
        start = self.bias.size + self.unit_bias.size
        form = E.T @ jnp.linalg.solve(H[start:, start:], E)
        return QuadraticMetric((form + form.T) / 2)

    def idle(self) -> int:
        """Rotations of X from the left, and the symmetric part of Y."""
        s, n = self.free.shape[0], self.bias.size
        return s * (s - 1) // 2 + n * (n + 1) // 2

    def _solve(self) -> tuple[Float[Array, "n n"], Float[Array, "s s"]]:
        """`E` and `H`, in float64: they are rounded once, when they have become weights."""
        free, turn = self.free.astype(jnp.float64), self.turn.astype(jnp.float64)
        H = free.T @ free + _RIDGE * jnp.eye(len(free))
        n, start = self.bias.size, self.bias.size + self.unit_bias.size
        return (H[:n, :n] + H[start:, start:] / self.factor**2 + turn - turn.T) / 2, H


def random_stable_ren(
    key: Key[Array, ""],
    *,
    states: int,
    units: int,
    inputs: int,
    factor: float = 0.99,
    activation: str | Activation = "tanh",
) -> StableREN:
    """Random free parameters (float32) of a contracting REN.

    **Arguments:** `states` n, `units` k, `inputs` m; `factor`, which no step exceeds;
    `activation`.

    **Raises:** `InputProblem` for sizes or a factor that do not fit.

    >>> import jax
    >>> core = random_stable_ren(jax.random.key(0), states=4, units=8, inputs=1)
    >>> core.explicit().unit_count
    8
    """
    if states < 1 or units < 0 or inputs < 0:
        raise InputProblem(
            f"states {states}, units {units}, inputs {inputs}; give at least 1, 0 and 0"
        )
    size = 2 * states + units
    keys = jax.random.split(key, 4)
    return StableREN(
        free=_normal(keys[0], (size, size)) / size**0.5,
        turn=_normal(keys[1], (states, states)) / states**0.5,
        input_weight=_normal(keys[2], (states, inputs)),
        bias=jnp.zeros(states, jnp.float32),
        unit_input_weight=_normal(keys[3], (units, inputs)),
        unit_bias=jnp.zeros(units, jnp.float32),
        activation=find_activation(activation),
        factor=factor,
    )


def stable_ren_from(ren: REN, *, factor: float = 1.0) -> StableREN:
    """Free parameters whose `explicit()` is the given network, up to rounding.

    So training can start from a stable linear system, or from weights that something else found: a
    linear system `x+ = A x + B u` is a `REN` with `k = 0` units or with small `B1` and `C1`.

    **Arguments:** `ren`, of at most 32 states; `factor`, below which training will keep it, at
    most 1.

    **Returns:** a `StableREN` in the network's dtype.

    **Raises:** `InputProblem` if no metric is found in which the network contracts with less than
    `factor`.

    >>> import jax.numpy as jnp
    >>> turn, no = jnp.array([[0.6, -0.6], [0.6, 0.6]]), jnp.zeros((0, 2))
    >>> linear = REN(turn, no.T, jnp.eye(2), jnp.zeros(2), no, no @ no.T, no, jnp.zeros(0))
    >>> stable_ren_from(linear, factor=0.9).explicit().A.round(6).tolist()
    [[0.6, -0.6], [0.6, 0.6]]
    """
    inside = equilibrium_of(ren)
    found = None if inside is None else find_ren_candidate(inside, None)
    if inside is None or found is None or not best_factor(inside, *found) < factor:
        raise InputProblem(
            f"no metric was found in which the network contracts with a factor below {factor}; "
            "take a larger factor, or shrink A, B1 and C1"
        )
    P, q = found
    B, D, Q = inside.gain * inside.B, inside.gain * inside.D, inside.gain**2 * np.diag(q)
    E = factor**2 * P
    own = Q @ D
    H = np.block(
        [
            [E, -(Q @ inside.C).T, (E @ inside.A).T],
            [-Q @ inside.C, 2 * Q - own - own.T, (E @ B).T],
            [E @ inside.A, E @ B, factor**2 * E],
        ]
    )
    # The inequality holds at every scale of metric and multipliers: one that leaves room.
    H *= max(1.0, 2 * _RIDGE / np.linalg.eigvalsh(H)[0])
    free = np.linalg.cholesky(H - _RIDGE * np.eye(len(H))).T
    dtype = ren.A.dtype
    return StableREN(
        jnp.asarray(free, dtype),
        jnp.zeros_like(ren.A),
        ren.B2,
        ren.bx,
        ren.D12,
        ren.bv,
        activation=ren.activation,
        factor=factor,
    )


def _normal(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    return jax.random.normal(key, shape, jnp.float32)
