"""Proved equilibria during a search: which boxes they explain, and which of them are distinct."""

import numpy as np
from jaxtyping import Bool, Float

from limitset.proofs._ball import Ball
from limitset.proofs._equilibrium import Equilibrium

# Comparisons of boxes with equilibria at a time; bounds the memory.
_AT_A_TIME = 4_000_000


class KnownEquilibria:
    """A growing list of pairwise distinct equilibria of one vector field."""

    def __init__(self, size: int) -> None:
        self.found: list[Equilibrium] = []
        nothing = np.zeros((0, size))
        self._existence = (nothing, nothing)
        self._uniqueness = (nothing, nothing)

    def explain(self, states: Ball) -> Bool[np.ndarray, " boxes"]:
        """Boxes of shape `(boxes, n)` inside one in which a known equilibrium is the only one."""
        lo, hi = states.lower(), states.upper()
        explained = np.zeros(len(lo), dtype=bool)
        chunk = max(1, _AT_A_TIME // max(1, lo.size))
        for k in range(0, len(self.found), chunk):
            low, high = (bound[None, k : k + chunk] for bound in self._uniqueness)
            inside = (lo[:, None] >= low) & (hi[:, None] <= high)
            explained |= np.any(np.all(inside, axis=2), axis=1)
        return explained

    def add(self, new: Equilibrium) -> bool:
        """Take an equilibrium in, if it is certainly another one and the only one around."""
        box, center = new.box, Ball.exact(new.center)
        lo, hi = box.lower(), box.upper()
        low = (center - new.uniqueness_radius).upper()
        high = (center + new.uniqueness_radius).lower()
        apart = (hi < self._existence[0]) | (lo > self._existence[1])
        if not (apart.any(axis=1).all() and (lo >= low).all() and (hi <= high).all()):
            return False
        self.found.append(new)
        self._existence = _with_row(self._existence, lo, hi)
        self._uniqueness = _with_row(self._uniqueness, low, high)
        return True


def _with_row(
    bounds: tuple[Float[np.ndarray, "k n"], Float[np.ndarray, "k n"]],
    lo: Float[np.ndarray, " n"],
    hi: Float[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, "k+1 n"], Float[np.ndarray, "k+1 n"]]:
    return np.concatenate([bounds[0], lo[None]]), np.concatenate([bounds[1], hi[None]])
