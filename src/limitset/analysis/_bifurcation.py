"""Candidates of Hopf points and folds; float64, nothing is proved."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from limitset.analysis._continuation import Branch, continue_equilibria
from limitset.analysis._newton import newton, state_jacobian
from limitset.dynamics import Field, hopf_system

Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class HopfCandidate:
    """Where a complex pair seems to cross the axis: `J vector = i frequency vector` at `state`."""

    parameter: float
    frequency: float
    state: Vector
    vector: Complex[np.ndarray, " n"]


def find_hopf_points(
    field: Field,
    guesses: list[Vector],
    interval: tuple[float, float],
    *,
    step: float = 0.05,
) -> tuple[HopfCandidate, ...]:
    """Candidates of Hopf points on the branches through the given guesses, sorted by parameter.

    Every branch is followed through the interval. Where the number of unstable complex pairs
    changes, Newton's method on the augmented system polishes the pair nearest to the axis.

    **Arguments:** `field`, `step` as in `continue_equilibria`; `guesses`: states near equilibria at
    the low end of the interval.

    **Example:** the Hopf point of `W = [[a, -1], [1, a]]` at gain 1.

    >>> import jax.numpy as jnp, numpy as np
    >>> from limitset.networks import RateNetwork, shift_family
    >>> family = shift_family(RateNetwork(jnp.array([[0.0, -1.0], [1.0, 0.0]])))
    >>> found = find_hopf_points(family, [np.zeros(2)], (0.0, 2.0))
    >>> [round(candidate.parameter, 6) for candidate in found]
    [1.0]
    """
    found: list[HopfCandidate] = []
    for guess in guesses:
        branch = continue_equilibria(field, guess, interval, step=step)
        for candidate in hopf_points_of(field, branch):
            inside = interval[0] <= candidate.parameter <= interval[1]
            if inside and not any(_same(candidate, other) for other in found):
                found.append(candidate)
    return tuple(sorted(found, key=lambda c: (c.parameter, c.frequency)))


def hopf_points_of(field: Field, branch: Branch) -> tuple[HopfCandidate, ...]:
    """Candidates on one branch, one for every change of the number of unstable complex pairs."""
    values = branch.eigenvalues
    unstable = ((np.real(values) > 0) & (np.imag(values) > 0)).sum(1)
    found = []
    for k in np.flatnonzero(np.diff(unstable)):
        # Both ends are tried: Newton's method may leave one of them for another pair.
        for end in (k, k + 1):
            candidate = _polished(field, branch, int(end))
            if candidate is not None and not any(_same(candidate, c) for c in found):
                found.append(candidate)
    return tuple(found)


def polish_hopf_point(field: Field, candidate: HopfCandidate) -> HopfCandidate | None:
    """Newton's method on the augmented system, or `None` where it does not converge."""
    phi = _fixing_vector(candidate.vector)
    vector = candidate.vector * (1j / (phi @ candidate.vector))
    unknown = np.concatenate(
        [
            [candidate.parameter, candidate.frequency],
            candidate.state,
            np.real(vector),
            np.imag(vector),
        ]
    )
    fixing = jnp.asarray(phi)
    found = newton(lambda z: _augmented(field, fixing, z), unknown)
    return None if found is None else _candidate(found)


@eqx.filter_jit
def _augmented(
    field: Any, phi: Float[Array, " n"], unknown: Float[Array, " k"]
) -> tuple[Array, Array]:
    def value(z: Float[Array, " k"]) -> Float[Array, " k"]:
        return hopf_system(field, phi, z)

    return value(unknown), jax.jacfwd(value)(unknown)


def _polished(field: Field, branch: Branch, index: int) -> HopfCandidate | None:
    state, parameter = branch.states[index], branch.parameters[index]
    jacobian = np.asarray(state_jacobian(field, jnp.asarray(state), jnp.asarray(parameter)))
    values, vectors = np.linalg.eig(jacobian)
    upper = np.flatnonzero(np.imag(values) > 1e-9)
    if not len(upper):
        return None
    nearest = upper[np.abs(np.real(values[upper])).argmin()]
    guess = HopfCandidate(
        float(parameter),
        float(np.imag(values[nearest])),
        state,
        vectors[:, nearest].astype(complex),
    )
    polished = polish_hopf_point(field, guess)
    # Newton's method may run far away, or onto the axis of real eigenvalues.
    if polished is None or polished.frequency <= 1e-8:
        return None
    return polished if abs(polished.parameter - parameter) < 1 + abs(parameter) else None


def _fixing_vector(vector: Complex[np.ndarray, " n"]) -> Vector:
    """A real unit vector that is far from orthogonal to `v`: its larger part."""
    real, imaginary = np.real(vector), np.imag(vector)
    part = real if np.linalg.norm(real) >= np.linalg.norm(imaginary) else imaginary
    return part / np.linalg.norm(part)


def _candidate(unknown: Vector) -> HopfCandidate:
    state, real, imaginary = np.split(unknown[2:], 3)
    if unknown[1] < 0:
        # The conjugate vector belongs to the negative frequency.
        imaginary = -imaginary
    return HopfCandidate(float(unknown[0]), abs(float(unknown[1])), state, real + 1j * imaginary)


def _same(one: HopfCandidate, other: HopfCandidate) -> bool:
    """By parameter, frequency and state: two pairs may cross at one parameter."""
    gap = max(
        abs(one.parameter - other.parameter),
        abs(one.frequency - other.frequency),
        float(np.abs(one.state - other.state).max()),
    )
    return gap < 1e-7 * (1 + abs(one.parameter) + abs(one.frequency))
