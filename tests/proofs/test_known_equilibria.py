"""What a list of proved equilibria explains, and what may join it."""

import dataclasses

import numpy as np

from limitset.proofs._ball import Ball
from limitset.proofs._equilibrium import Equilibrium, Stability
from limitset.proofs._known_equilibria import KnownEquilibria


def equilibrium(center: list[float], radius: float = 1e-12, unique: float = 0.5) -> Equilibrium:
    point = np.array(center)
    return Equilibrium(point, np.full(2, radius), unique, Stability.UNDECIDED, None, None, None)


def box(low: list[float], high: list[float]) -> Ball:
    return Ball.from_bounds(np.array([low]), np.array([high]))


def test_boxes_inside_the_uniqueness_box_are_explained_and_no_others():
    known = KnownEquilibria(2)
    assert not known.explain(box([0, 0], [1, 1])).any()
    assert known.add(equilibrium([1.0, -1.0])) and known.add(equilibrium([3.0, 3.0], unique=1.0))
    for low, high in (([0.6, -1.4], [1.4, -0.6]), ([2.1, 2.1], [3.9, 3.9])):
        assert known.explain(box(low, high)).all()
        for side in (0, 1):
            for wider in (-1.0, 1.0):
                lo, hi = np.array([low]), np.array([high])
                (lo if wider < 0 else hi)[0, side] += 0.2 * wider
                assert not known.explain(Ball.from_bounds(lo, hi)).any()
    # Inside the union of two uniqueness boxes is not inside one of them.
    assert known.add(equilibrium([5.0, 3.0], unique=1.0))
    assert not known.explain(box([2.5, 2.9], [5.5, 3.1])).any()
    assert not known.explain(box([2.5, 2.5], [np.nextafter(4.0, 5.0), 3.0])).any()


def test_only_equilibria_that_are_certainly_new_join():
    known = KnownEquilibria(2)
    first = equilibrium([0.0, 0.0], radius=1e-3)
    assert known.add(first)
    assert not known.add(first)
    assert not known.add(equilibrium([1e-3, 1e-3], radius=1e-3))
    assert known.add(equilibrium([0.0, 3e-3], radius=1e-3))
    # Nothing is known beyond the existence box: a box around it cannot be explained.
    assert not known.add(dataclasses.replace(equilibrium([5.0, 5.0]), uniqueness_radius=0.0))
    assert len(known.found) == 2
