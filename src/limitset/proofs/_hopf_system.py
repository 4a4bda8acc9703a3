"""The augmented system of Hopf points on balls, put together from derivatives of the field."""

import numpy as np
from jaxtyping import Float

from limitset.proofs._ball import Ball
from limitset.proofs._parametric import ParametricField


class HopfSystem:
    """`(phi.v1, phi.v2 - 1, f(x, a), J v1 + omega v2, J v2 - omega v1)` for `z = (a, omega, x, v)`.

    The Jacobian of `J v` in `(x, a)` is one matrix of second derivatives for each of `v1`, `v2`;
    all other blocks are copies. Differentiating the system as a whole takes four times as long.

    **Reference:** arXiv 2202.05073; see `limitset.dynamics.hopf_system`.
    """

    def __init__(self, field: ParametricField, phi: Float[np.ndarray, " n"]) -> None:
        self.field = field
        self.phi = phi

    def value(self, z: Ball) -> Ball:
        """The system at every `z` of a ball of shape (3 n + 2,)."""
        y, omega, v1, v2 = self._parts(z)
        along = self.field.slopes(y, _states([v1, v2], len(y)))
        scale = [v1 @ self.phi, v2 @ self.phi - 1.0]
        rotated = [along[0] + omega * v2, along[1] - omega * v1]
        return _stacked([*scale, self.field.velocity(y), *rotated])

    def jacobian(self, z: Ball) -> Ball:
        """Its Jacobian, of shape (3 n + 2, 3 n + 2)."""
        y, omega, v1, v2 = self._parts(z)
        n = len(v1)
        derivative = self.field.jacobian(y)
        bends = self.field.bends(y, _states([v1, v2], len(y)))
        mid, rad = np.zeros((len(z), len(z))), np.zeros((len(z), len(z)))
        a, frequency, x = 0, 1, np.s_[2 : n + 2]
        first, second = np.s_[n + 2 : 2 * n + 2], np.s_[2 * n + 2 :]
        mid[0, first] = mid[1, second] = self.phi

        def put(rows: slice, columns: slice | int, block: Ball) -> None:
            mid[rows, columns], rad[rows, columns] = block.mid, block.rad

        turn = omega * np.eye(n)
        J = derivative[:, :-1]
        for rows, part in ((x, derivative), (first, bends[0]), (second, bends[1])):
            put(rows, a, part[:, -1])
            put(rows, x, part[:, :-1])
        put(first, frequency, v2)
        put(second, frequency, -v1)
        put(first, first, J)
        put(second, second, J)
        put(first, second, turn)
        put(second, first, -turn)
        return Ball(mid, rad, derivative.guaranteed and bends.guaranteed)

    def _parts(self, z: Ball) -> tuple[Ball, Ball, Ball, Ball]:
        """`(x, a)`, the frequency, and both parts of the critical vector."""
        n = len(self.phi)
        y = _stacked([z[2 : n + 2], z[0]])
        return y, z[1], z[n + 2 : 2 * n + 2], z[2 * n + 2 :]


def _states(vectors: list[Ball], size: int) -> Ball:
    """Directions of states, one a row, with parameter 0."""
    mid, rad = np.zeros((len(vectors), size)), np.zeros((len(vectors), size))
    for row, vector in enumerate(vectors):
        mid[row, :-1], rad[row, :-1] = vector.mid, vector.rad
    return Ball(mid, rad)


def _stacked(parts: list[Ball]) -> Ball:
    return Ball(
        np.concatenate([np.atleast_1d(p.mid) for p in parts]),
        np.concatenate([np.atleast_1d(p.rad) for p in parts]),
        all(p.guaranteed for p in parts),
    )
