"""Couplings between modules, of any size, that take nothing from the modules' rates."""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from limitset._result import InputProblem
from limitset.contraction._spectral_weights import divided_by_norm

Pairs = tuple[tuple[int, int], ...]


class AbstractCoupling(eqx.Module):
    """Free parameters of `L` in `x_i' = f_i(x_i, u) + sum_j L_ij x_j`.

    For every value of them the modules keep their rates. The matrix is formed in whitened
    coordinates `R x`, with `M = R^T R` the modules' metrics: `L = R^-1 K R`. Forming
    `B - M^-1 B^T M` instead loses the skew property to rounding when M is ill-conditioned.
    """

    @abc.abstractmethod
    def whitened(self) -> Float[Array, "n n"]:
        """`K = R L R^-1`."""

    @abc.abstractmethod
    def log_weights(self) -> Float[Array, " p"] | None:
        """Logarithms of the factors by which modules' metrics are multiplied; `None` for all 0."""

    @abc.abstractmethod
    def idle(self) -> int:
        """How many of the stored numbers have no effect."""

    @property
    @abc.abstractmethod
    def damping(self) -> float:
        """What every unit's leak gains, per unit time, to pay for the coupling."""


class SkewCoupling(AbstractCoupling):
    """Linear negative feedback of any size: `L = R^-1 (K - K^T) R`, so that `M L` is skew.

    **Arguments:** `lower` (n, n), of which only the blocks strictly below the diagonal blocks
    count; `sizes`, units per module; `pairs` (i, j) of the modules that talk, all if omitted;
    `log_balance` (p,), any values: module i's metric is multiplied by `exp(log_balance_i)`, which
    makes what it hears weaker and what it says stronger. Not multiplied if omitted.

    **Reference:** arXiv 2106.08928, equation 3.
    """

    lower: Float[Array, "n n"]
    sizes: tuple[int, ...] = eqx.field(static=True)
    pairs: Pairs | None = eqx.field(static=True, default=None)
    log_balance: Float[Array, " p"] | None = None

    def __check_init__(self) -> None:
        _check_blocks("lower", self.lower, self.sizes)
        _check_pairs(self.pairs, self.sizes)
        if self.log_balance is not None and self.log_balance.shape != (len(self.sizes),):
            raise InputProblem(
                f"log_balance has shape {self.log_balance.shape}; give one number for each of "
                f"{len(self.sizes)} modules"
            )

    def whitened(self) -> Float[Array, "n n"]:
        """The skew matrix `K - K^T` of the blocks that count, balanced."""
        lower = jnp.where(_below(self.sizes, self.pairs), self.lower, 0.0)
        skew = lower - lower.T
        if self.log_balance is None:
            return skew
        balance = jnp.exp(self.log_balance / 2)[_owner(self.sizes)]
        return skew * (balance[None, :] / balance[:, None])

    def explicit(self, scale: Float[Array, " n"]) -> Float[Array, "n n"]:
        """The coupling for the metric `diag(scale^2)`."""
        return self.whitened() * (scale[None, :] / scale[:, None])

    def log_weights(self) -> Float[Array, " p"] | None:
        """`log_balance`."""
        return self.log_balance

    def idle(self) -> int:
        """All blocks but those that count."""
        return self.lower.size - int(_below(self.sizes, self.pairs).sum())

    @property
    def damping(self) -> float:
        """0."""
        return 0.0


class TreeCoupling(AbstractCoupling):
    """Negative feedback along a tree, with a gain of its own for each edge.

    For module i and its parent j, `L_ij = B` and `L_ji = -gain_i M_j^-1 B^T M_i`. Metrics may be
    multiplied module by module, and on a tree the multiples that make every edge skew always
    exist: `weight_i = gain_i weight_j`. A star is the global workspace. Around a cycle the gains
    would have to multiply to 1, hence no cycles here.

    **Arguments:** `lower` (n, n), of which block (i, parent of i) counts, for B whitened;
    `log_gain` (p,), any values; `sizes`, units per module; `parents`, one per module, -1 for a
    root: `(-1, 0, 0)` is a star around module 0.

    **Reference:** arXiv 2106.08928 (scaling of metrics); 2310.01571 (the workspace).
    """

    lower: Float[Array, "n n"]
    log_gain: Float[Array, " p"]
    sizes: tuple[int, ...] = eqx.field(static=True)
    parents: tuple[int, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_blocks("lower", self.lower, self.sizes)
        if self.log_gain.shape != (len(self.sizes),) or len(self.parents) != len(self.sizes):
            raise InputProblem(
                f"{len(self.parents)} parents and log_gain of shape {self.log_gain.shape} came for "
                f"{len(self.sizes)} modules; give one of each per module"
            )
        _paths(self.parents)

    def whitened(self) -> Float[Array, "n n"]:
        """Blocks `K` at (child, parent) and `-gain K^T` at (parent, child)."""
        owner = _owner(self.sizes)
        parent_of_row = np.asarray(self.parents)[owner]
        edges = jnp.where(parent_of_row[:, None] == owner[None, :], self.lower, 0.0)
        return edges - (jnp.exp(self.log_gain)[owner][:, None] * edges).T

    def log_weights(self) -> Float[Array, " p"]:
        """Sums of the log-gains from the root to each module."""
        return jnp.asarray(_paths(self.parents), self.log_gain.dtype) @ self.log_gain

    def idle(self) -> int:
        """All blocks that are not edges, and the gains of roots."""
        edges = [(i, j) for i, j in enumerate(self.parents) if j >= 0]
        used = sum(self.sizes[i] * self.sizes[j] for i, j in edges)
        return self.lower.size - used + self.log_gain.size - len(edges)

    @property
    def damping(self) -> float:
        """0."""
        return 0.0


class DissipativeCoupling(AbstractCoupling):
    """Negative feedback and diffusion: `L - strength I = M^-1 (J - Z Z^T)` with J skew.

    Whitened, `L` is `K - K^T + N` with N symmetric, no blocks on the diagonal, and
    `|N|_2 <= strength`. Every unit's leak gains `strength` (times the module's time constant),
    which makes `L` and that leak together dissipative: modules may excite one another, or pull one
    another together, within what the leak pays for, and keep their rates.

    **Arguments:** `lower` (n, n), K, and `symmetric` (n, n), of both of which only the blocks
    strictly below the diagonal blocks count; `sizes`, units per module; `strength` per unit time,
    positive; `pairs` (i, j) of the modules that talk, all if omitted.

    **Reference:** arXiv 2106.08928; port-Hamiltonian systems.
    """

    lower: Float[Array, "n n"]
    symmetric: Float[Array, "n n"]
    sizes: tuple[int, ...] = eqx.field(static=True)
    strength: float = eqx.field(static=True)
    pairs: Pairs | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        _check_blocks("lower", self.lower, self.sizes)
        _check_blocks("symmetric", self.symmetric, self.sizes)
        _check_pairs(self.pairs, self.sizes)
        if not 0 < self.strength < float("inf"):
            raise InputProblem(f"strength is {self.strength}; give a positive, finite number")

    def whitened(self) -> Float[Array, "n n"]:
        """`K - K^T + N`."""
        below = _below(self.sizes, self.pairs)
        lower = jnp.where(below, self.lower, 0.0)
        half = jnp.where(below, self.symmetric, 0.0)
        return lower - lower.T + self.strength * divided_by_norm(half + half.T)

    def log_weights(self) -> None:
        """None: the modules' metrics stand."""
        return None

    def idle(self) -> int:
        """All blocks but those that count, of both matrices."""
        return 2 * (self.lower.size - int(_below(self.sizes, self.pairs).sum()))

    @property
    def damping(self) -> float:
        """`strength`."""
        return self.strength


Coupling = SkewCoupling | TreeCoupling | DissipativeCoupling


def star(modules: int, centre: int = 0) -> tuple[int, ...]:
    """The parents of a star: every module talks to the one in the centre, the workspace.

    >>> star(4)
    (-1, 0, 0, 0)
    """
    return tuple(-1 if i == centre else centre for i in range(modules))


def _owner(sizes: tuple[int, ...]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


def _below(sizes: tuple[int, ...], pairs: Pairs | None) -> Bool[np.ndarray, "n n"]:
    """Where the blocks are that count: strictly below the diagonal, of modules that talk."""
    owner = _owner(sizes)
    talking = np.tri(len(sizes), k=-1, dtype=bool)
    if pairs is not None:
        chosen = np.zeros_like(talking)
        for i, j in pairs:
            chosen[max(i, j), min(i, j)] = True
        talking &= chosen
    return talking[owner[:, None], owner[None, :]]


def _check_blocks(name: str, matrix: Float[Array, "n n"], sizes: tuple[int, ...]) -> None:
    if matrix.shape != (sum(sizes),) * 2:
        raise InputProblem(
            f"{name} has shape {matrix.shape}; modules of sizes {sizes} need "
            f"({sum(sizes)}, {sum(sizes)})"
        )


def _check_pairs(pairs: Pairs | None, sizes: tuple[int, ...]) -> None:
    for pair in pairs or ():
        if len(pair) != 2 or pair[0] == pair[1] or not all(0 <= i < len(sizes) for i in pair):
            raise InputProblem(
                f"pair {pair} does not name two of {len(sizes)} modules; give their numbers, from 0"
            )


def _paths(parents: tuple[int, ...]) -> Float[np.ndarray, "p p"]:
    """Row i has ones at the edges between module i and its root; edges are named by the child."""
    paths = np.zeros((len(parents),) * 2)
    for module in range(len(parents)):
        node = module
        while parents[node] != -1:
            if not 0 <= parents[node] < len(parents) or paths[module, node]:
                raise InputProblem(
                    f"parents {parents} make no tree; give each module the number of its parent, "
                    "-1 for a root, without cycles"
                )
            paths[module, node] = 1.0
            node = parents[node]
    return paths
