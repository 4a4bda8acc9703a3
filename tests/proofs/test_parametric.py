"""Which enclosed programs are kept, and that no two different families ever share one."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset.dynamics import (
    AbstractScheme,
    BiasFamily,
    ExplicitEuler,
    ExponentialEuler,
    MapFamily,
    RateMap,
    gain_map_family,
)
from limitset.networks import Activation, Elman, RateFamily, RateNetwork, gain_family
from limitset.proofs import Ball
from limitset.proofs._parametric import ParametricField

RNG = np.random.default_rng(0)
W, D = (jnp.asarray(matrix) for matrix in RNG.normal(size=(2, 2, 2)))
B, L = (jnp.asarray(vector) for vector in RNG.normal(size=(2, 2)))
Y = np.array([0.3, -0.7, 0.6])


def network(form: str = "hopfield", activation: Any = "tanh", **options: Any) -> RateNetwork:
    return RateNetwork(W, bias=B, form=form, activation=activation, leak=0.5, **options)


def rate_map(net: RateNetwork, scheme: AbstractScheme | None = None) -> RateMap:
    chosen = ExplicitEuler(0.5) if scheme is None else scheme
    return RateMap(net, jnp.asarray(0.75), jnp.asarray(0.5), chosen)


def elman(activation: Any = "tanh") -> Elman:
    return Elman(jnp.zeros((2, 0)), W, B, B, activation)


def families() -> list[Any]:
    """Of every kind, form and activation, all of the same arrays."""
    found: list[Any] = []
    for activation in ("tanh", "sigmoid"):
        cell = elman(activation)
        found += [BiasFamily(cell, L), MapFamily(cell, D)]
        for form in ("hopfield", "firing_rate"):
            net = network(form, activation)
            step = rate_map(net)
            found += [RateFamily(net, D), BiasFamily(net, L), BiasFamily(step, L)]
            found.append(MapFamily(step, D))
    return found


def is_kept(field: Any) -> bool:
    """Whether two objects of the same family have the same programs."""
    first, again = ParametricField(field), ParametricField(field)
    return first._programs is again._programs  # pyright: ignore[reportPrivateUsage]


def test_programs_of_library_families_are_kept():
    assert all(map(is_kept, families()))
    other = jax.tree.map(lambda leaf: 2 * leaf, families()[0])
    mine, twice = ParametricField(families()[0]), ParametricField(other)
    assert mine._programs is twice._programs  # pyright: ignore[reportPrivateUsage]


def test_different_families_never_share_programs():
    fields = [ParametricField(family) for family in families()]
    for first, second in itertools.combinations(fields, 2):
        assert first._programs is not second._programs  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("backwards", [False, True])
def test_kept_programs_enclose_their_own_family(backwards: bool):
    """In any order of use; members have other arrays than those that were traced."""
    for k, family in enumerate(families()[:: -1 if backwards else 1]):
        member = jax.tree.map(lambda leaf, k=k: leaf * (1 + 0.1 * k), family)
        found = ParametricField(member)
        expected = member(jnp.asarray(Y[:-1]), Y[-1])
        value = found.velocity(Ball.exact(Y))
        assert (np.abs(value.mid - expected) <= value.rad + 1e-14).all()
        slopes = jax.jacfwd(lambda y, member=member: member(y[:-1], y[-1]))(jnp.asarray(Y))
        enclosed = found.jacobian(Ball.exact(Y))
        assert (np.abs(enclosed.mid - slopes) <= enclosed.rad + 1e-14).all()


class Halved(MapFamily):
    """Another field of the same arrays."""

    def __call__(self, x: Any, parameter: Any) -> Any:
        return super().__call__(x, parameter) / 2


class LeakyMap(RateMap):
    """Another map of the same arrays."""

    def advance(self, n: Any, x: Any, u: Any) -> Any:
        return super().advance(n, x, u) - x


class Counting(AbstractScheme):
    """A scheme of a user, with a list that may grow."""

    step: float = eqx.field(static=True, default=0.5)
    steps: list[int] = eqx.field(static=True, default_factory=list)

    @property
    def name(self) -> str:
        return "counting"


def test_what_a_user_may_change_is_traced_anew():
    own = Activation("tanh", lambda x: x / 2)
    others: list[Any] = [
        Halved(rate_map(network()), D),
        MapFamily(LeakyMap(network(), jnp.asarray(0.75), jnp.asarray(0.5), ExplicitEuler(0.5)), D),
        MapFamily(rate_map(network(activation=own)), D),
        MapFamily(elman(own), D),
        MapFamily(rate_map(network(), Counting()), D),
        BiasFamily(network(activation=own), L),
        RateFamily(network(activation=own), D),
        lambda x, a: a * x,
    ]
    assert not any(map(is_kept, others))


def test_schemes_are_not_read():
    """The map is its stored numbers: other schemes with the same ones are the same field."""
    maps = [rate_map(network(), scheme) for scheme in (ExplicitEuler(0.5), ExponentialEuler(2.0))]
    first, second = (
        ParametricField(gain_map_family(step)).velocity(Ball.exact(Y)) for step in maps
    )
    assert (first.mid == second.mid).all() and (first.rad == second.rad).all()


def test_other_stored_numbers_are_arguments():
    """`keep`, `gain` and `leak` are no constants of the programs."""
    step = rate_map(network())
    for keep in (0.75, 0.25):
        changed = eqx.tree_at(lambda m: m.keep, step, jnp.asarray(keep))
        family = gain_map_family(changed)
        value = ParametricField(family).velocity(Ball.exact(Y))
        assert (np.abs(value.mid - family(jnp.asarray(Y[:-1]), Y[-1])) <= 1e-14).all()
    slow = gain_family(network(time_constant=3.0))
    value = ParametricField(slow).velocity(Ball.exact(Y))
    assert (np.abs(value.mid - slow(jnp.asarray(Y[:-1]), Y[-1])) <= 1e-14).all()
