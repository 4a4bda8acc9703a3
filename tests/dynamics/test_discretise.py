"""Schemes: their order, what they do exactly, large couplings, and what they refuse."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

from limitset._result import InputProblem
from limitset.dynamics import (
    SCHEMES,
    AbstractFlow,
    AbstractMap,
    AbstractScheme,
    BackwardEuler,
    Cayley,
    EulerAssemblyMap,
    EulerMap,
    ExplicitEuler,
    ExponentialAssemblyMap,
    ExponentialEuler,
    ImplicitMap,
    RateMap,
    Rotation,
    SemiImplicit,
    SemiImplicitMap,
    discretise,
    implicit_residual,
    native_assembly,
    simulate,
)
from limitset.networks import Assembly, RateNetwork, module_slices

ON_RATE = [ExplicitEuler, ExponentialEuler, BackwardEuler]
SPLIT = [SemiImplicit, Cayley, Rotation]
ON_ASSEMBLY = [ExplicitEuler, ExponentialEuler, *SPLIT, BackwardEuler]
U = np.array([0.4, -0.7])
SIZES = (2, 3, 1)

Scheme = type[AbstractScheme]


class Pendulum(AbstractFlow):
    """A flow of the user's own, pushed by time and by an input."""

    stiffness: float = 2.0

    @property
    def state_size(self) -> int:
        return 2

    @property
    def input_size(self) -> int:
        return 1

    def velocity(self, t, x, u):  # noqa: ANN001, ANN201
        return jnp.stack([x[1], -self.stiffness * jnp.sin(x[0]) + jnp.cos(t) + u[0]])


class Midpoint(AbstractScheme):
    """A scheme that `discretise` does not know."""

    step: float = 0.1

    @property
    def name(self) -> str:
        return "midpoint"


@pytest.fixture
def untyped():
    """Our own message is under test; the suite's type checks would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputProblem) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def network(size: int = 3, seed: int = 0, **options: object) -> RateNetwork:
    draw = np.random.default_rng(seed).normal
    given = {"leak": 1.3, "time_constant": 0.8, **options}
    return RateNetwork(
        jnp.asarray(draw(size=(size, size))),
        jnp.asarray(draw(size=(size, 2))),
        jnp.asarray(draw(size=size)),
        **given,  # pyright: ignore[reportArgumentType]
    )


def coupling() -> np.ndarray:
    block = np.repeat(np.arange(3), SIZES)
    full = np.random.default_rng(9).normal(size=(6, 6))
    return np.where(block[:, None] == block, 0.0, full)


def assembly() -> Assembly:
    """Three modules that differ in size, form, activation, leak and time constant."""
    modules = [
        network(2, 1, leak=0.5),
        network(3, 2, form="firing_rate", time_constant=2.0),
        network(1, 3, activation="sigmoid", leak=2.0, time_constant=0.5),
    ]
    return Assembly(modules, jnp.asarray(coupling()))


def linear_part(flow: Assembly) -> np.ndarray:
    leak = np.concatenate(
        [np.full(m.state_size, float(m.leak / m.time_constant)) for m in flow.modules]
    )
    return np.asarray(flow.coupling) - np.diag(leak)


def states(system: AbstractMap, steps: int, start: np.ndarray, u: np.ndarray = U) -> np.ndarray:
    inputs = jnp.broadcast_to(jnp.asarray(u), (steps, len(u)))
    return np.asarray(simulate(system, jnp.asarray(start), inputs).states)


def solution(flow: AbstractFlow, start: np.ndarray, u: np.ndarray = U) -> np.ndarray:
    """The state at time 1, to about 1e-11."""
    velocity = jax.jit(lambda t, x: flow.velocity(t, x, jnp.asarray(u)))
    return scipy.integrate.solve_ivp(
        velocity, (0.0, 1.0), start, method="DOP853", rtol=1e-12, atol=1e-12
    ).y[:, -1]


def order(flow: AbstractFlow, scheme: Scheme, start: np.ndarray, u: np.ndarray = U) -> float:
    """Slope of log error at time 1 against log step."""
    exact, counts = solution(flow, start, u), [40, 80, 160, 320]
    errors = [
        np.abs(states(discretise(flow, scheme(1 / n)), n, start, u)[-1] - exact).max()
        for n in counts
    ]
    return -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


# --- Order --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ON_RATE)
@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_order_on_rate_networks(scheme: Scheme, form: str):
    assert abs(order(network(form=form), scheme, np.array([0.5, -1.0, 2.0])) - 1) < 0.1


@pytest.mark.parametrize("scheme", ON_ASSEMBLY)
def test_order_on_assemblies(scheme: Scheme):
    start = np.array([0.5, -1.0, 2.0, 0.0, 0.3, -0.2])
    assert abs(order(assembly(), scheme, start) - 1) < 0.1


@pytest.mark.parametrize("scheme", [ExplicitEuler, BackwardEuler])
def test_order_on_a_flow_of_ones_own(scheme: Scheme):
    """The flow depends on time: explicit steps ask for its velocity before, implicit ones after."""
    start, u = np.array([1.0, 0.0]), np.array([0.3])
    assert abs(order(Pendulum(), scheme, start, u) - 1) < 0.1


# --- What a scheme does exactly -----------------------------------------------------------------


@pytest.mark.parametrize("step", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("leak", [0.0, 1e-9, 0.7])
def test_exponential_euler_is_exact_without_feedback(leak: float, step: float):
    """`x' = (c - leak x) / tau` has a closed form, for every step and without leak too."""
    net = RateNetwork(jnp.zeros((2, 2)), bias=jnp.array([1.5, -0.5]), leak=leak, time_constant=2.0)
    x = np.array([3.0, -4.0])
    following = discretise(net, ExponentialEuler(step)).advance(0, jnp.asarray(x), jnp.zeros(0))
    rate = leak / 2.0
    grown = step if leak == 0 else -np.expm1(-rate * step) / rate
    expected = np.exp(-rate * step) * x + grown * np.array([1.5, -0.5]) / 2.0
    np.testing.assert_allclose(following, expected, rtol=1e-13)


@pytest.mark.parametrize("step", [0.01, 1.0, 5.0])
@pytest.mark.parametrize("leak", [0.0, 0.7])
def test_exponential_euler_is_exact_for_coupled_linear_modules(leak: float, step: float):
    """Against the exponential of the augmented matrix. Without leak the linear part is singular."""
    modules = [
        RateNetwork(
            jnp.zeros((s, s)), bias=jnp.linspace(-1, 1, s), leak=leak, time_constant=1.0 + s
        )
        for s in SIZES
    ]
    skew = coupling() - coupling().T
    skew[:, -1] = skew[-1, :] = 0
    flow = Assembly(modules, jnp.asarray(skew))
    pushed = np.concatenate([np.linspace(-1, 1, s) / (1.0 + s) for s in SIZES])
    augmented = np.zeros((7, 7))
    augmented[:6, :6], augmented[:6, 6] = linear_part(flow), pushed
    x = np.array([0.5, -1.0, 2.0, 0.0, 0.3, -0.2])
    expected = (scipy.linalg.expm(step * augmented) @ np.append(x, 1.0))[:6]
    advance = discretise(flow, ExponentialEuler(step)).advance
    np.testing.assert_allclose(advance(0, jnp.asarray(x), jnp.zeros(0)), expected, atol=1e-12)
    # The same test finds explicit Euler's error.
    euler = discretise(flow, ExplicitEuler(step)).advance(0, jnp.asarray(x), jnp.zeros(0))
    assert np.abs(np.asarray(euler) - expected).max() > 1e-5


@pytest.mark.parametrize("make", [network, assembly])
def test_explicit_euler_is_its_formula(make: Callable[[], AbstractFlow], getkey: Callable):
    flow = make()
    x, u = jax.random.normal(getkey(), (flow.state_size,)), jnp.asarray(U)
    following = discretise(flow, ExplicitEuler(0.3)).advance(0, x, u)
    np.testing.assert_allclose(following, x + 0.3 * flow.velocity(0.0, x, u), atol=1e-14)


def test_semi_implicit_is_its_formula(getkey: Callable):
    """`(I - step L) x+ = x + step * modules(x, u)`."""
    flow, step = assembly(), 0.3
    x, u = jax.random.normal(getkey(), (6,)), jnp.asarray(U)
    alone = jnp.concatenate(
        [m.velocity(0.0, x[s], u) for m, s in zip(flow.modules, module_slices(flow), strict=True)]
    )
    expected = np.linalg.solve(np.eye(6) - step * coupling(), x + step * alone)
    following = discretise(flow, SemiImplicit(step)).advance(0, x, u)
    np.testing.assert_allclose(following, expected, atol=1e-13)


@pytest.mark.parametrize("scheme", SPLIT)
def test_schemes_agree_without_coupling(scheme: Scheme):
    """Then a split step is explicit Euler."""
    flow = Assembly(assembly().modules, jnp.zeros((6, 6)))
    start = np.linspace(-1, 1, 6)
    split, explicit = (
        states(discretise(flow, kind(0.1)), 20, start) for kind in (scheme, ExplicitEuler)
    )
    np.testing.assert_allclose(split, explicit, atol=1e-13)


def test_split_steps_are_their_formulas(getkey: Callable):
    """Modules first, then `(I - hL/2)^-1 (I + hL/2)` or `exp(hL)`."""
    flow, step = assembly(), 0.3
    x, u = jax.random.normal(getkey(), (6,)), jnp.asarray(U)
    alone = jnp.concatenate(
        [m.velocity(0.0, x[s], u) for m, s in zip(flow.modules, module_slices(flow), strict=True)]
    )
    local, moved = np.asarray(x + step * alone), step * coupling()
    cayley = np.linalg.solve(np.eye(6) - moved / 2, local + moved @ local / 2)
    following = discretise(flow, Cayley(step)).advance(0, x, u)
    np.testing.assert_allclose(following, cayley, atol=1e-13)
    following = discretise(flow, Rotation(step)).advance(0, x, u)
    np.testing.assert_allclose(following, scipy.linalg.expm(moved) @ local, atol=1e-13)


@pytest.mark.parametrize("step", [1e-3, 0.3, 30.0])
def test_rotations_keep_energy_at_every_step_size(step: float):
    """Two units without leak that turn with the speed 1. Only `Rotation` keeps the speed too."""
    still = RateNetwork(jnp.zeros((1, 1)), leak=0.0)
    flow = Assembly((still, still), jnp.array([[0.0, -1.0], [1.0, 0.0]]))
    angles = {Cayley: 2 * np.arctan(step / 2), Rotation: step}
    for scheme, angle in angles.items():
        x = states(discretise(flow, scheme(step)), 1, np.array([1.0, 0.0]), np.zeros(0))[0]
        np.testing.assert_allclose(x, [np.cos(angle), np.sin(angle)], atol=1e-12)


@pytest.mark.parametrize("scheme", [Cayley, Rotation])
def test_native_assemblies_turn_the_drive(scheme: type[Cayley] | type[Rotation], getkey: Callable):
    """Leaks and time constants play no part, and it is the scheme's map of step 1 without them."""
    flow, (x, u) = assembly(), (jax.random.normal(getkey(), (6,)), jnp.asarray(U))
    native = native_assembly(flow, scheme)
    assert not native.keep.any() and (native.gain == 1).all()
    turned = {
        Cayley: np.linalg.solve(np.eye(6) - coupling() / 2, np.eye(6) + coupling() / 2),
        Rotation: scipy.linalg.expm(coupling()),
    }[scheme]
    expected = turned @ np.asarray(flow.drive(x, u))
    np.testing.assert_allclose(native.advance(0, x, u), expected, atol=1e-13)
    again = discretise(native.assembly, scheme(1.0))
    for ours, other in zip(jax.tree.leaves(native), jax.tree.leaves(again), strict=True):
        assert np.array_equal(ours, other)


# --- Backward Euler -----------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("form", ["hopfield", "firing_rate"])
def test_backward_euler_solves_its_equation(activation: str, form: str):
    """Jumps of the slope and long steps too, from far away, many states at once."""
    net = network(4, 5, activation=activation, form=form, leak=6.0)
    x = jnp.asarray(np.random.default_rng(1).normal(0, 10, (20, 4)))
    u = jnp.asarray(U)

    @eqx.filter_jit
    def run(system: ImplicitMap) -> tuple[jax.Array, jax.Array]:
        following = jax.vmap(lambda x: system.advance(0, x, u))(x)
        judge = jax.vmap(lambda x, y: implicit_residual(system, 0, x, y, u))
        return following, judge(x, following)

    for step in (0.1, 3.0, 1e4):
        system = discretise(net, BackwardEuler(step))
        assert isinstance(system, ImplicitMap)
        following, residual = run(system)
        size = float(jnp.abs(x).max() + step * jnp.abs(following).max())
        assert float(jnp.abs(residual).max()) <= 1e-14 * size


@pytest.mark.parametrize(("form", "seed"), [("firing_rate", 14), ("hopfield", 17)])
def test_backward_euler_passes_jumps_of_the_slope(form: str, seed: int):
    """With the slopes of one side alone, a few of these steps stop beside a jump, unsolved."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((5, 5))
    weight *= 0.95 / np.linalg.norm(weight, 2)
    scale = np.exp(rng.standard_normal(5))
    weight, bias = (jnp.asarray(a) for a in (weight * scale / scale[:, None], rng.normal(size=5)))
    system = discretise(
        RateNetwork(weight, bias=bias, activation="relu", form=form), BackwardEuler(100.0)
    )
    assert isinstance(system, ImplicitMap)
    x, none = jnp.asarray(rng.normal(0, 30, (100, 5))), jnp.zeros(0)

    @jax.jit
    def run(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        following = jax.vmap(lambda x: system.advance(0, x, none))(x)
        judge = jax.vmap(lambda x, y: implicit_residual(system, 0, x, y, none))
        return following, judge(x, following)

    following, residual = run(x)
    size = np.abs(x).max() + 100 * np.abs(following).max()
    assert np.abs(residual).max() <= 1e-14 * size


def test_backward_euler_of_a_linear_flow_is_its_resolvent():
    weight = np.random.default_rng(3).normal(size=(3, 3))
    net = RateNetwork(jnp.asarray(weight), activation="identity", leak=4.0)
    following = discretise(net, BackwardEuler(0.5)).advance(0, jnp.ones(3), jnp.zeros(0))
    expected = np.linalg.solve(np.eye(3) - 0.5 * (weight - 4 * np.eye(3)), np.ones(3))
    np.testing.assert_allclose(following, expected, rtol=1e-13)


def test_backward_euler_in_float32_stops_at_its_precision():
    """No tolerance is set: the iteration ends where the residual no longer falls."""
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), network(4, 5, leak=6.0))
    system = discretise(single, BackwardEuler(0.5))
    assert isinstance(system, ImplicitMap) and system.step.dtype == jnp.float32
    x, u = jnp.linspace(-5, 5, 4, dtype=jnp.float32), jnp.asarray(U, jnp.float32)
    following = system.advance(0, x, u)
    assert following.dtype == jnp.float32
    assert float(jnp.abs(implicit_residual(system, 0, x, following, u)).max()) < 1e-5


def test_backward_euler_through_a_run_has_exact_gradients():
    """Against differences, through `simulate` and its batch."""
    flow = network(3, 6, leak=4.0)
    inputs = jnp.asarray(np.random.default_rng(2).normal(size=(5, 2)))

    def end(scale: jax.Array) -> jax.Array:
        moved = eqx.tree_at(lambda f: f.weight, flow, flow.weight * scale)
        return simulate(discretise(moved, BackwardEuler(0.4)), jnp.ones(3), inputs).final.sum()

    slope = jax.grad(end)(jnp.array(1.0))
    difference = (end(jnp.array(1 + 1e-5)) - end(jnp.array(1 - 1e-5))) / 2e-5
    assert float(slope) == pytest.approx(float(difference), rel=1e-8)


@pytest.mark.parametrize("scheme", ON_RATE)
def test_an_assembly_of_one_module_runs_like_the_module(scheme: Scheme):
    alone, start = network(), np.array([0.5, -1.0, 2.0])
    wrapped = Assembly((alone,), jnp.zeros((3, 3)))
    one, other = (states(discretise(f, scheme(0.2)), 30, start) for f in (alone, wrapped))
    np.testing.assert_allclose(one, other, atol=1e-12)


# --- Large couplings ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e1, 1e3, 1e6])
def test_large_skew_coupling(size: float):
    """`step * |L| >> 1`: the flow contracts, and so must a map that is to stand for it.

    With weights of norm 1/2 and leak 1, a module's Euler step shrinks norms by `1 - step / 2`.
    """
    turn = 0.5 * jnp.array([[0.0, -1.0], [1.0, 0.0]])
    half = np.triu(np.where(np.kron(np.eye(3), np.ones((2, 2))) == 1, 0.0, size))
    flow = Assembly([RateNetwork(turn)] * 3, jnp.asarray(half - half.T))
    start, step, none = np.linspace(-1, 1, 6), 0.1, np.zeros(0)

    def norms(scheme: Scheme) -> np.ndarray:
        path = states(discretise(flow, scheme(step)), 25, start, none)
        return np.linalg.norm(path, axis=1) / np.linalg.norm(start)

    count = np.arange(1, 26)
    assert (norms(SemiImplicit) <= (1 - step / 2) ** count * (1 + 1e-9)).all()
    for scheme in (Cayley, Rotation):
        assert (norms(scheme) <= (1 - step / 2) ** count * (1 + 1e-9)).all()
    assert (norms(BackwardEuler) <= (1 + step / 2) ** -count * (1 + 1e-9)).all()
    assert (norms(ExponentialEuler) <= (1 / 2 + np.exp(-step) / 2) ** count * (1 + 1e-9)).all()
    assert norms(ExplicitEuler)[-1] > 1e6


def test_explicit_euler_expands_rotations_at_every_step_size():
    """`|x+|^2 = (1 + (step size)^2) |x|^2` for a pure rotation; semi-implicit damps by the same."""
    still = RateNetwork(jnp.zeros((1, 1)), leak=0.0)
    flow = Assembly((still, still), jnp.array([[0.0, -1.0], [1.0, 0.0]]))
    for step in (1e-3, 0.1, 10.0):
        for scheme, power in ((ExplicitEuler, 0.5), (SemiImplicit, -0.5), (ExponentialEuler, 0)):
            x = states(discretise(flow, scheme(step)), 1, np.array([1.0, 0.0]), np.zeros(0))[0]
            assert np.linalg.norm(x) == pytest.approx((1 + step**2) ** power, rel=1e-12)


# --- Fields, types, precision -------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ON_ASSEMBLY)
def test_step_matters(scheme: Scheme):
    start = np.linspace(-1, 1, 6)
    short, long = (states(discretise(assembly(), scheme(h)), 1, start) for h in (0.1, 0.2))
    assert not np.allclose(short, long)


MAPS = [
    (network, ExplicitEuler, RateMap),
    (network, ExponentialEuler, RateMap),
    (assembly, ExplicitEuler, EulerAssemblyMap),
    (assembly, ExponentialEuler, ExponentialAssemblyMap),
    (assembly, SemiImplicit, SemiImplicitMap),
    (assembly, Cayley, SemiImplicitMap),
    (assembly, Rotation, SemiImplicitMap),
    (network, BackwardEuler, ImplicitMap),
    (assembly, BackwardEuler, ImplicitMap),
]


@pytest.mark.parametrize(("make", "scheme", "kind"), MAPS)
def test_maps_keep_their_flow_and_scheme(make: Callable, scheme: Scheme, kind: type):
    flow = make()
    system = discretise(flow, scheme(0.1))
    assert type(system) is kind
    assert (system.state_size, system.input_size) == (flow.state_size, flow.input_size)
    assert getattr(system, "scheme") == scheme(0.1)  # noqa: B009
    name = {RateMap: "network", ImplicitMap: "flow"}.get(kind, "assembly")
    assert getattr(system, name) is flow


@pytest.mark.parametrize(("make", "scheme", "kind"), MAPS)
def test_every_array_of_a_map_matters(make: Callable, scheme: Scheme, kind: type):
    """What is stored is what runs. Leaks, time constants and `L` are in the stored constants."""
    system, start = discretise(make(), scheme(0.1)), np.linspace(-1, 1, make().state_size)
    before = states(system, 1, start)
    constants = {RateMap: ["keep", "gain"], SemiImplicitMap: ["keep", "gain", "propagator"],
                 EulerAssemblyMap: ["gain", "transition"],
                 ExponentialAssemblyMap: ["transition", "response"],
                 ImplicitMap: ["step"]}[kind]  # fmt: skip
    for name in constants:
        changed = eqx.tree_at(
            lambda s, name=name: getattr(s, name), system, replace_fn=lambda c: 1.01 * c
        )
        assert not np.allclose(states(changed, 1, start), before), name


def test_own_flow_sizes_and_fields():
    system = discretise(Pendulum(), ExplicitEuler(0.1))
    assert isinstance(system, EulerMap)
    assert (system.state_size, system.input_size) == (2, 1)
    x, u = jnp.array([0.3, -0.4]), jnp.array([0.2])
    third = x + 0.1 * jnp.stack([x[1], -2.0 * jnp.sin(x[0]) + jnp.cos(0.3) + 0.2])
    np.testing.assert_allclose(system.advance(3, x, u), third, atol=1e-15)
    other = discretise(Pendulum(stiffness=3.0), ExplicitEuler(0.1))
    assert not np.allclose(other.advance(3, x, u), third)


@pytest.mark.parametrize(("make", "scheme", "kind"), MAPS)
def test_constants_are_rounded_once(make: Callable, scheme: Scheme, kind: type):
    """A float32 network's constants are those of float64, rounded to the nearest float32."""
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), make())
    again = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), single)
    rounded, exact = discretise(single, scheme(0.1)), discretise(again, scheme(0.1))
    assert type(rounded) is type(exact) is kind
    for ours, reference in zip(jax.tree.leaves(rounded), jax.tree.leaves(exact), strict=True):
        assert ours.dtype == jnp.float32
        assert np.array_equal(ours, reference.astype(jnp.float32))
    start = np.linspace(-1, 1, single.state_size).astype(np.float32)
    assert states(rounded, 3, start, U.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(("make", "scheme", "kind"), MAPS)
def test_gradient_through_discretise(make: Callable, scheme: Scheme, kind: type):
    """Along a random direction in all weights, leaks, time constants and couplings."""
    del kind
    flow = make()
    leaves, structure = jax.tree.flatten(flow)
    generator = np.random.default_rng(4)
    direction = [jnp.asarray(generator.normal(size=leaf.shape)) for leaf in leaves]
    x, u = jnp.linspace(-1, 1, flow.state_size), jnp.asarray(U)

    def response(s: jax.Array) -> jax.Array:
        moved = [leaf + s * d for leaf, d in zip(leaves, direction, strict=True)]
        system = discretise(jax.tree.unflatten(structure, moved), scheme(0.3))
        return jnp.sum(jnp.sin(system.advance(0, x, u)))

    response = jax.jit(response)
    difference = (response(jnp.array(1e-5)) - response(jnp.array(-1e-5))) / 2e-5
    slope = float(jax.jit(jax.grad(response))(jnp.array(0.0)))
    assert slope == pytest.approx(float(difference), rel=1e-8)
    assert abs(slope) > 1e-3


def test_scheme_names():
    assert {name: kind(0.5).name for name, kind in SCHEMES.items()} == {n: n for n in SCHEMES}
    assert list(SCHEMES.values()) == ON_ASSEMBLY
    assert all(kind(0.5) != kind(0.25) for kind in SCHEMES.values())


# --- Refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ON_ASSEMBLY)
@pytest.mark.parametrize("step", [0.0, -0.1, float("nan"), float("inf"), "0.1", None])
def test_step_is_tested(untyped: None, scheme: Scheme, step: object):
    message = refusal(lambda: scheme(step))  # pyright: ignore[reportArgumentType]
    assert f"step is {step!r}" in message and "positive" in message


def test_semi_implicit_needs_a_coupling():
    message = refusal(lambda: discretise(network(), SemiImplicit(0.1)))
    assert "SemiImplicit" in message and "ExplicitEuler" in message and "Assembly" in message


@pytest.mark.parametrize("scheme", [ExponentialEuler, *SPLIT])
def test_own_flows_run_under_the_general_schemes_only(scheme: Scheme):
    message = refusal(lambda: discretise(Pendulum(), scheme(0.1)))
    assert scheme.__name__ in message and "Pendulum" in message and "ExplicitEuler" in message


@pytest.mark.parametrize(
    "flow", [network(), assembly(), Pendulum()], ids=lambda f: type(f).__name__
)
def test_unknown_scheme(flow: AbstractFlow):
    assert "Midpoint" in refusal(lambda: discretise(flow, Midpoint()))


def test_maps_are_not_discretised(untyped: None):
    system = discretise(network(), ExplicitEuler(0.1))
    message = refusal(lambda: discretise(system, ExplicitEuler(0.1)))  # pyright: ignore[reportArgumentType]
    assert "RateMap" in message
