"""Assemblies against their modules, run one by one, and what they refuse."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.networks import (
    Assembly,
    RateNetwork,
    module_slices,
    per_unit_constants,
    random_rate_network,
)

Keys = Callable[[], jax.Array]


@pytest.fixture
def untyped():
    """Our own message is under test; the suite's shape checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputProblem) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def module(key: jax.Array, size: int, inputs: int = 2, **options: object) -> RateNetwork:
    drawn = random_rate_network(key, size, inputs)
    bias = jnp.linspace(-1.0, 1.0, size)
    return RateNetwork(drawn.weight, drawn.input_weight, bias, **options)  # pyright: ignore[reportArgumentType]


def off_block(sizes: list[int]) -> np.ndarray:
    """A coupling with zero diagonal blocks."""
    block = np.repeat(np.arange(len(sizes)), sizes)
    coupling = np.random.default_rng(5).normal(size=(sum(sizes), sum(sizes)))
    return np.where(block[:, None] == block, 0.0, coupling)


def equal(key: Keys) -> list[RateNetwork]:
    return [module(key(), 3, leak=0.5 + i, time_constant=1.0 + i / 2) for i in range(4)]


def heterogeneous(key: Keys) -> list[RateNetwork]:
    """Sizes, forms, activations, leaks and time constants differ; some neighbours are alike."""
    return [
        module(key(), 2, activation="tanh", leak=0.5),
        module(key(), 2, activation="tanh", leak=2.0),
        module(key(), 2, activation="relu"),
        module(key(), 4, form="firing_rate", time_constant=3.0),
        module(key(), 4, time_constant=0.5),
        module(key(), 1, activation="sigmoid", leak=0.0),
        module(key(), 2, activation="tanh", leak=7.0),
    ]


def by_hand(modules: list[RateNetwork], coupling: np.ndarray, x: jax.Array, u: jax.Array):
    """`dx/dt`, one module after the other."""
    pieces, start = [], 0
    for part in modules:
        pieces.append(part.velocity(0.0, x[start : start + part.state_size], u))
        start += part.state_size
    return np.concatenate(pieces) + coupling @ np.asarray(x)


@pytest.mark.parametrize("make", [equal, heterogeneous])
def test_velocity_is_that_of_the_modules_and_the_coupling(getkey: Keys, make: Callable):
    modules = make(getkey)
    sizes = [m.state_size for m in modules]
    coupling = off_block(sizes)
    assembly = Assembly(modules, jnp.asarray(coupling))
    x, u = jax.random.normal(getkey(), (sum(sizes),)), jax.random.normal(getkey(), (2,))
    np.testing.assert_allclose(
        assembly.velocity(0.0, x, u), by_hand(modules, coupling, x, u), rtol=0, atol=1e-13
    )
    drives = [m.drive(x[s], u) for m, s in zip(modules, module_slices(assembly), strict=True)]
    np.testing.assert_allclose(assembly.drive(x, u), np.concatenate(drives), rtol=0, atol=1e-13)


def test_one_module_without_coupling_is_that_module(getkey: Keys):
    alone = module(getkey(), 3, leak=0.3, time_constant=2.0)
    x, u = jnp.array([0.2, -1.0, 3.0]), jnp.array([1.0, -2.0])
    np.testing.assert_allclose(
        Assembly((alone,), jnp.zeros((3, 3))).velocity(0.0, x, u),
        alone.velocity(0.0, x, u),
        rtol=0,
        atol=1e-15,
    )


def test_coupling_acts_outside_activation_and_time_constant():
    """Two resting units: `dx/dt = L x`, whatever the time constant."""
    still = RateNetwork(jnp.zeros((1, 1)), leak=0.0, time_constant=100.0)
    rotation = jnp.array([[0.0, -3.0], [3.0, 0.0]])
    velocity = Assembly((still, still), rotation).velocity(0.0, jnp.array([5.0, 7.0]), jnp.zeros(0))
    assert velocity.tolist() == [-21.0, 15.0]


def test_skew_coupling_does_no_work(getkey: Keys):
    """`x . L x = 0`: the coupling adds nothing to the change of the norm."""
    modules = equal(getkey)
    half = off_block([3] * 4)
    x, u = jax.random.normal(getkey(), (12,)), jnp.zeros(2)
    coupled = Assembly(modules, jnp.asarray(half - half.T)).velocity(0.0, x, u)
    alone = Assembly(modules, jnp.zeros((12, 12))).velocity(0.0, x, u)
    assert float(x @ (coupled - alone)) == pytest.approx(0, abs=1e-13)
    assert not np.allclose(coupled, alone)


def test_neighbours_of_one_kind_are_stacked(getkey: Keys):
    assembly = Assembly(equal(getkey), jnp.zeros((12, 12)))
    assert [group.weight.shape for group in assembly.groups] == [(4, 3, 3)]
    mixed = Assembly(heterogeneous(getkey), jnp.zeros((17, 17)))
    assert [group.weight.shape for group in mixed.groups] == [
        (2, 2, 2), (1, 2, 2), (1, 4, 4), (1, 4, 4), (1, 1, 1), (1, 2, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("make", [equal, heterogeneous])
def test_modules_come_back_in_order(getkey: Keys, make: Callable):
    modules = make(getkey)
    sizes = [m.state_size for m in modules]
    assembly = Assembly(modules, jnp.zeros((sum(sizes), sum(sizes))))
    assert assembly.sizes == tuple(sizes)
    assert (assembly.state_size, assembly.input_size) == (sum(sizes), 2)
    for before, after in zip(modules, assembly.modules, strict=True):
        assert (before.form, before.activation) == (after.form, after.activation)
        for one, two in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
            assert one.shape == two.shape and np.array_equal(one, two)


def test_slices_and_constants(getkey: Keys):
    modules = heterogeneous(getkey)
    assembly = Assembly(modules, jnp.zeros((17, 17)))
    starts = np.cumsum([0, *assembly.sizes])
    assert module_slices(assembly) == tuple(
        slice(int(a), int(b)) for a, b in zip(starts, starts[1:], strict=False)
    )
    leak, time_constant = per_unit_constants(assembly)
    for part, where in zip(modules, module_slices(assembly), strict=True):
        assert set(leak[where].tolist()) == {float(part.leak)}
        assert set(time_constant[where].tolist()) == {float(part.time_constant)}


def test_modules_may_come_as_list_or_tuple(getkey: Keys):
    modules = equal(getkey)
    one, two = (Assembly(form(modules), jnp.zeros((12, 12))) for form in (list, tuple))
    assert jax.tree.structure(one) == jax.tree.structure(two)


def test_assembly_compiles_and_differentiates(getkey: Keys):
    assembly = Assembly(heterogeneous(getkey), jnp.asarray(off_block([2, 2, 2, 4, 4, 1, 2])))
    x, u = jax.random.normal(getkey(), (17,)), jax.random.normal(getkey(), (2,))
    jacobian = jax.jit(jax.jacobian(lambda s: assembly.velocity(0.0, s, u)))(x)
    h = 1e-6
    for k in (0, 5, 16):
        step = h * jnp.eye(17)[k]
        ahead, behind = (assembly.velocity(0.0, s, u) for s in (x + step, x - step))
        np.testing.assert_allclose(jacobian[:, k], (ahead - behind) / (2 * h), atol=1e-8)


def test_no_modules():
    assert "at least one" in refusal(lambda: Assembly((), jnp.zeros((0, 0))))


def test_modules_must_share_their_inputs(getkey: Keys):
    modules = [module(getkey(), 2, 1), module(getkey(), 2, 3)]
    message = refusal(lambda: Assembly(modules, jnp.zeros((4, 4))))
    assert "[1, 3] inputs" in message and "same number of columns" in message


@pytest.mark.parametrize("shape", [(3, 3), (5, 5), (4, 3), (4,), (2, 4, 4)])
def test_coupling_must_fit(getkey: Keys, untyped: None, shape: tuple[int, ...]):
    modules = [module(getkey(), 2), module(getkey(), 2)]
    message = refusal(lambda: Assembly(modules, jnp.zeros(shape)))
    assert str(shape) in message and "4 units" in message and "(4, 4)" in message
