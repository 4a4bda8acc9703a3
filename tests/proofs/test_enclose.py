"""Enclosures of networks and of their derivatives hold references computed without JAX."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.networks import Assembly, RateNetwork, random_elman, random_gru, random_lstm
from limitset.proofs._arithmetic import ArbArithmetic
from limitset.proofs._ball import Ball
from limitset.proofs._derivative import (
    directional,
    jacobian,
    second_directional,
    third_directional,
)
from limitset.proofs._enclose import enclose
from limitset.proofs._value import Undecided, UnsupportedPrimitive

# --- References: directional parts over the subsets of three directions, in Arb at 200 bits ---

Jet = dict[frozenset[int], np.ndarray]
SUBSETS = [frozenset(s) for k in range(4) for s in itertools.combinations(range(3), k)]


@pytest.fixture(autouse=True)
def high_precision():
    with flint.ctx.workprec(200):
        yield


def arb_array(x: Any) -> np.ndarray:
    return np.asarray(np.frompyfunc(flint.arb, 1, 1)(np.asarray(x, dtype=float)), dtype=object)


def start(x: np.ndarray, directions: list[np.ndarray]) -> Jet:
    zero = arb_array(np.zeros(len(x)))
    parts = {s: zero for s in SUBSETS}
    parts |= {frozenset([k]): arb_array(d) for k, d in enumerate(directions)}
    return parts | {frozenset(): x}


def linear(matrix: np.ndarray, x: Jet, bias: np.ndarray | float = 0.0) -> Jet:
    y = {s: arb_array(matrix).dot(part) for s, part in x.items()}
    return y | {frozenset(): y[frozenset()] + arb_array(bias)}


def total(x: Jet, y: Jet) -> Jet:
    return {s: x[s] + y[s] for s in SUBSETS}


def product(x: Jet, y: Jet) -> Jet:
    parts = {s: [x[t] * y[s - t] for t in SUBSETS if t <= s] for s in SUBSETS}
    return {s: np.sum(np.stack(part), axis=0) for s, part in parts.items()}


def scaled(factor: float, x: Jet) -> Jet:
    return {s: flint.arb(factor) * part for s, part in x.items()}


def composed(derivatives: Callable[[Any], tuple], y: Jet) -> Jet:
    """Section 2.7: h^p = d1 y^p; h^pq = d2 y^p y^q + d1 y^pq; and so on."""
    d0, d1, d2, d3 = derivatives(y[frozenset()])
    h = {frozenset(): d0}
    for s in SUBSETS[1:]:
        value = d1 * y[s]
        if len(s) == 2:
            p, q = (frozenset([k]) for k in s)
            value = value + d2 * y[p] * y[q]
        if len(s) == 3:
            singles = [frozenset([k]) for k in s]
            p, q, r = singles
            value = value + d2 * (y[s - p] * y[p] + y[s - q] * y[q] + y[s - r] * y[r])
            value = value + d3 * y[singles[0]] * y[singles[1]] * y[singles[2]]
        h[s] = value
    return h


def tanh_derivatives(y: Any) -> tuple:
    t = np.frompyfunc(lambda v: v.tanh(), 1, 1)(y)
    return t, 1 - t * t, -2 * t * (1 - t * t), (1 - t * t) * (6 * t * t - 2)


def logistic_derivatives(y: Any) -> tuple:
    s = np.frompyfunc(lambda v: 1 / (1 + (-v).exp()), 1, 1)(y)
    d1 = s * (1 - s)
    return s, d1, d1 * (1 - 2 * s), d1 * (1 - 6 * s + 6 * s * s)


# --- Random networks: a JAX function and its reference ---


def layers(rng: np.random.Generator, n: int, depth: int, leak: float) -> tuple[Any, Any]:
    W = [rng.standard_normal((n, n)) for _ in range(depth)]
    b = [rng.standard_normal(n) for _ in range(depth)]

    def f(x: Any) -> Any:
        h = x
        for weight, bias in zip(W, b, strict=True):
            h = jnp.tanh(weight @ h + bias)
        return h - leak * x

    def reference(x: Jet) -> Jet:
        h = x
        for weight, bias in zip(W, b, strict=True):
            h = composed(tanh_derivatives, linear(weight, h, bias))
        return total(h, scaled(-leak, x))

    return f, reference


def rate_network(rng: np.random.Generator, n: int, form: str) -> tuple[Any, Any]:
    W, b = rng.standard_normal((n, n)), rng.standard_normal(n)
    network = RateNetwork(jnp.asarray(W), bias=jnp.asarray(b), form=form, leak=1.5)

    def reference(x: Jet) -> Jet:
        if form == "hopfield":
            return total(linear(W, composed(tanh_derivatives, x), b), scaled(-1.5, x))
        return total(composed(tanh_derivatives, linear(W, x, b)), scaled(-1.5, x))

    return lambda x: network.velocity(0.0, x, jnp.zeros(0)), reference


def gated(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    W, Z = rng.standard_normal((2, n, n))
    b, c = rng.standard_normal((2, n))

    def f(x: Any) -> Any:
        return jax.nn.sigmoid(Z @ x + c) * (jnp.tanh(W @ x + b) - x)

    def reference(x: Jet) -> Jet:
        gate = composed(logistic_derivatives, linear(Z, x, c))
        return product(gate, total(composed(tanh_derivatives, linear(W, x, b)), scaled(-1.0, x)))

    return f, reference


KINDS: dict[str, Callable[[np.random.Generator, int], tuple[Any, Any]]] = {
    "layer": lambda rng, n: layers(rng, n, 1, 0.0),
    "multilayer": lambda rng, n: layers(rng, n, 3, 0.0),
    "leaky": lambda rng, n: layers(rng, n, 1, 1.0),
    "hopfield": lambda rng, n: rate_network(rng, n, "hopfield"),
    "firing_rate": lambda rng, n: rate_network(rng, n, "firing_rate"),
    "gated": gated,
}


def holds(enclosure: Any, value: np.ndarray) -> bool:
    if isinstance(enclosure, Ball):
        entries = zip(enclosure.mid.flat, enclosure.rad.flat, value.flat, strict=True)
        return all(bool(abs(v - flint.arb(m)) <= flint.arb(r)) for m, r, v in entries)
    return all(e.overlaps(v) for e, v in zip(enclosure.flat, value.flat, strict=True))


def derivatives_of(f: Any) -> list[Any]:
    return [f, directional(f), second_directional(f), third_directional(f)]


@pytest.mark.parametrize("kind", KINDS)
def test_T26_networks_and_three_derivatives_hold_the_references(kind: str):
    for seed in range(9):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 6))
        f, reference = KINDS[kind](rng, n)
        x = Ball(rng.standard_normal(n), 10.0 ** rng.uniform(-16, -1, n) * (seed > 2))
        directions = list(rng.standard_normal((3, n)))
        verbs = [enclose(g) for g in derivatives_of(f)]
        enclosures = [verb(x, *directions[:k]) for k, verb in enumerate(verbs)]
        jacobian_ball = enclose(jacobian(f))(x)
        for weight in (-1.0, 0.0, 1.0, rng.uniform(-1, 1, n)):
            point = arb_array(x.mid) + arb_array(x.rad) * arb_array(np.broadcast_to(weight, n))
            jet = reference(start(point, directions))
            for k, enclosure in enumerate(enclosures):
                assert holds(enclosure, jet[frozenset(range(k))]), (seed, k)
            columns = [reference(start(point, [e] * 3))[frozenset([0])] for e in np.eye(n)]
            assert holds(jacobian_ball, np.stack(columns, axis=1))
        if seed <= 2:
            assert max(e.rad.max() / (1 + abs(e.mid).max()) for e in enclosures) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_T26_arb_gives_the_references_to_fifty_digits(kind: str):
    rng = np.random.default_rng(77)
    f, reference = KINDS[kind](rng, 4)
    x, directions = rng.standard_normal(4), list(rng.standard_normal((3, 4)))
    jet = reference(start(arb_array(x), directions))
    for k, g in enumerate(derivatives_of(f)):
        result = enclose(g, ArbArithmetic(200))(x, *directions[:k])
        assert holds(result, jet[frozenset(range(k))])
        assert all(bool(v.rad() < flint.arb(10) ** -50) for v in result.flat)


# --- The cubic formula of a network of layers ---


def cubic(f: Any, n: int, q: Any) -> np.ndarray:
    """`C(q, q, conj q)` from real directions."""
    a, b, C = q.real, q.imag, enclose(third_directional(f))
    x = np.zeros(n)
    real = C(x, a, a, a).mid + C(x, a, b, b).mid
    return real + 1j * (C(x, a, a, b).mid + C(x, b, b, b).mid)


def test_T24_multilayer_cubic_formula_agrees_with_nested_tangents():
    for seed, depth in itertools.product(range(3), (1, 2, 3)):
        rng, n = np.random.default_rng(seed), 5
        W = [rng.standard_normal((n, n)) / n**0.5 for _ in range(depth)]
        q = rng.standard_normal(n) + 1j * rng.standard_normal(n)

        def f(x: Any, W: list[np.ndarray] = W) -> Any:
            for weight in W:
                x = jnp.tanh(weight @ x)
            return x

        expected, u = np.zeros(n, complex), q
        for layer in range(depth):
            u = W[layer] @ u
            term = u**2 * u.conj()
            for weight in W[layer + 1 :]:
                term = weight @ term
            expected += -2 * term
        assert abs(cubic(f, n, q) - expected).max() < 1e-13 * max(1.0, abs(expected).max())
        second = enclose(second_directional(f))(np.zeros(n), q.real, q.imag)
        assert (second.mignitude() == 0).all() and second.rad.max() < 1e-12


def test_T24_equal_layers_have_the_closed_form_and_cross_at_thirty_ninety_and_150_degrees():
    rng, n = np.random.default_rng(80), 6
    R = rng.standard_normal((n, n))
    W0 = R - R.T + 0.1 * rng.standard_normal((n, n))
    for angle in (30, 90, 150):
        values, vectors = (np.asarray(part, dtype=complex) for part in np.linalg.eig(W0))
        k = int(np.argmax(np.imag(values)))
        a = values[k].imag / np.tan(np.radians(angle)) - values[k].real
        W = W0 + a * np.eye(n)

        def f(x: Any, W: np.ndarray = W) -> Any:
            return jnp.tanh(W @ jnp.tanh(W @ jnp.tanh(W @ x)))

        J = enclose(jacobian(f))(np.zeros(n))
        exact = arb_array(W).dot(arb_array(W)).dot(arb_array(W))
        assert holds(J, exact)
        crossing = np.linalg.eigvals(J.mid)
        size = abs(crossing).max()
        assert min(abs(crossing.real)) < 1e-12 * size
        z, q = values[k] + a, vectors[:, k]
        cube = q**2 * q.conj()
        expected = np.zeros(n, complex)
        for m in (1, 2, 3):
            expected -= 2 * np.linalg.matrix_power(W, 3 - m) @ cube * z**m * abs(z) ** (2 * m)
        assert abs(cubic(f, n, q) - expected).max() < 1e-12 * abs(expected).max()


# --- Our own networks, and JAX's constructions ---


def in_float64(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), tree)


def assembly() -> Assembly:
    rng = np.random.default_rng(0)
    modules = [
        RateNetwork(jnp.asarray(0.3 * rng.standard_normal((3, 3))), form=form, activation=phi)
        for form, phi in (("hopfield", "tanh"), ("hopfield", "tanh"), ("firing_rate", "sigmoid"))
    ]
    owner = np.arange(9) // 3
    coupling = rng.standard_normal((9, 9)) * (owner[:, None] != owner)
    return Assembly(modules, jnp.asarray(coupling))


def flows_and_maps() -> dict[str, tuple[int, Callable[[Any], Any]]]:
    key, u = jax.random.key(1), jnp.array([0.5, -1.0])
    W = jnp.asarray(np.random.default_rng(1).standard_normal((4, 4)))
    cases = {
        f"{form}-{phi}": RateNetwork(W, jnp.ones((4, 2)), form=form, activation=phi)
        for form in ("hopfield", "firing_rate")
        for phi in ("tanh", "sigmoid", "softplus", "silu", "gelu", "identity")
    }
    flows: dict[str, tuple[int, Any]] = {
        k: (4, lambda x, n=n: n.velocity(0.0, x, u)) for k, n in cases.items()
    }
    whole = assembly()
    flows["assembly"] = (9, lambda x: whole.velocity(0.0, x, jnp.zeros(0)))
    cells = {"elman": random_elman(key, 4, 2), "gru": random_gru(key, 4, 2)}
    cells["lstm"] = random_lstm(key, 2, 2)
    maps = {k: in_float64(cell) for k, cell in cells.items()}
    return flows | {k: (4, lambda x, c=c: c.advance(0, x, u)) for k, c in maps.items()}


@pytest.mark.parametrize("name", flows_and_maps())
def test_own_networks_are_enclosed_with_their_derivatives(name: str):
    n, f = flows_and_maps()[name]
    rng = np.random.default_rng(5)
    x, directions = (
        Ball(rng.standard_normal(n), np.full(n, 0.01)),
        list(rng.standard_normal((3, n))),
    )
    point = jnp.asarray(x.mid + 0.01 * rng.uniform(-1, 1, n))
    for k, g in enumerate([*derivatives_of(f), jacobian(f)]):
        along = directions[:k] if k < 4 else []
        enclosure, value = enclose(g)(x, *along), np.asarray(g(point, *along))
        slack = 1e-12 * (1 + abs(value).max())
        assert enclosure.guaranteed
        assert (abs(value - enclosure.mid) <= enclosure.rad + slack).all(), (k, name)
        assert enclosure.rad.max() < 2.0 * (1 + abs(value).max())
        in_arb = enclose(g, ArbArithmetic(120))(np.asarray(point), *along)
        assert holds(enclosure, in_arb)


def test_float32_weights_are_widened_exactly():
    rng = np.random.default_rng(2)
    W = rng.standard_normal((3, 3)).astype(np.float32)
    network = RateNetwork(jnp.asarray(W), form="firing_rate")
    x = rng.standard_normal(3)
    ball = enclose(lambda x: network.velocity(0.0, x, jnp.zeros(0, jnp.float64)))(x)
    y = composed(tanh_derivatives, linear(W.astype(float), start(arb_array(x), [x] * 3)))
    assert holds(ball, y[frozenset()] - arb_array(x)) and ball.rad.max() < 1e-14


def test_a_network_whose_weights_are_balls():
    network = RateNetwork(jnp.asarray(np.random.default_rng(3).normal(size=(3, 3))))
    rng = np.random.default_rng(4)
    W = Ball(np.asarray(network.weight), np.full((3, 3), 1e-3))
    x = rng.standard_normal(3)
    whole = eqx.tree_at(lambda n: n.weight, network, W)
    ball = enclose(lambda network, x: network.velocity(0.0, x, jnp.zeros(0)))(whole, x)
    for _ in range(20):
        member = eqx.tree_at(
            lambda n: n.weight, network, jnp.asarray(W.mid + rng.uniform(-1, 1, (3, 3)) * 1e-3)
        )
        value = np.asarray(member.velocity(0.0, jnp.asarray(x), jnp.zeros(0)))
        assert (abs(value - ball.mid) <= ball.rad).all()
    assert ball.rad.max() < 4e-3


def loop(x: Any) -> Any:
    return jax.lax.fori_loop(0, 3, lambda i, c: jnp.tanh(c * x[i]), x[0])[None]


def backwards(x: Any) -> Any:
    def step(carry: Any, entry: Any) -> Any:
        return carry + jnp.tanh(entry), carry * entry

    final, products = jax.lax.scan(step, x[0], x, reverse=True)
    return jnp.append(products, final)


@jax.custom_vjp
def with_reverse_rule(x: Any) -> Any:
    return jnp.sin(x) * x


with_reverse_rule.defvjp(lambda x: (with_reverse_rule(x), x), lambda x, g: (7.0 * g,))


@jax.custom_jvp
def with_wrong_rule(x: Any) -> Any:
    return x * x


with_wrong_rule.defjvp(lambda primals, tangents: (primals[0] ** 2, 7.0 * tangents[0]))


@pytest.mark.parametrize(
    "f",
    [
        loop,
        backwards,
        jax.jit(lambda x: jnp.tanh(x) * x),
        jax.checkpoint(lambda x: jnp.tanh(x) * x),
        lambda x: jax.vmap(lambda a: jnp.outer(x, x) @ (a * x))(x).ravel(),
        lambda x: jnp.linalg.norm(x)[None],
    ],
)
def test_loops_and_calls_are_opened(f: Callable[[Any], Any]):
    x, rng = Ball(np.array([0.7, -1.2, 0.4]), np.full(3, 1e-3)), np.random.default_rng(6)
    for g in (f, jacobian(f)):
        ball = enclose(g)(x)
        for _ in range(10):
            value = np.asarray(g(jnp.asarray(x.mid + 1e-3 * rng.uniform(-1, 1, 3))))
            assert (abs(value - ball.mid) <= ball.rad + 1e-14).all()
        assert ball.rad.max() < 0.1


def test_derivatives_are_of_the_function_and_not_of_promises():
    x = np.array([0.7, -1.2])
    assert holds(enclose(jacobian(with_wrong_rule))(x), arb_array(np.diag(2 * x)))
    hidden = enclose(jacobian(lambda x: jax.lax.stop_gradient(x) * x))(x)
    assert holds(hidden, arb_array(np.diag(2 * x)))
    ball = enclose(jacobian(with_reverse_rule))(x)
    assert (abs(np.diag(ball.mid) - (np.sin(x) + x * np.cos(x))) < 1e-14).all()
    # JAX's rule for erf holds a rounded 2/sqrt(pi).
    with pytest.raises(UnsupportedPrimitive, match="'erf' has no exact derivative"):
        enclose(jacobian(jax.lax.erf))(x)
    for f in (jnp.max, lambda x: x[0] == x):
        with pytest.raises(UnsupportedPrimitive, match="has no exact derivative"):
            enclose(jacobian(lambda x, f=f: f(x) * x))(x)


def test_slopes_of_tanh_are_tight_on_wide_balls_and_in_saturation():
    wide = enclose(jacobian(jnp.tanh))(Ball(np.zeros(1), np.full(1, 2.0)))
    assert 0.07 < wide.lower()[0, 0] < 0.0707 and wide.upper()[0, 0] < 1 + 1e-14
    saturated = enclose(jacobian(jnp.tanh))(np.array([50.0]))
    assert saturated.rad[0, 0] < 1e-12 * saturated.mid[0, 0]
    gate = enclose(jacobian(jax.nn.sigmoid))(Ball(np.zeros(1), np.full(1, 100.0)))
    assert gate.lower()[0, 0] >= -1e-15 and gate.upper()[0, 0] < 0.25 + 1e-15
    softplus = enclose(jacobian(jax.nn.softplus))(Ball(np.zeros(1), np.ones(1)))
    assert 0.268 < softplus.lower()[0, 0] and softplus.upper()[0, 0] < 0.732


def test_parameters_are_passed_on_and_pytrees_returned():
    def f(x: Any, a: Any) -> Any:
        return jnp.tanh(a["gain"] * x)

    a = {"gain": Ball(np.array(2.0), np.array(0.1))}
    x, u = np.array([0.3, 0.2]), np.ones(2)
    assert enclose(jacobian(f))(x, a).shape == (2, 2)
    answer = enclose(lambda x, u, a: {"second": second_directional(f)(x, u, u, a), "size": 2})(
        x, u, a
    )
    assert answer["second"].shape == (2,) and int(answer["size"]) == 2
    mixed = enclose(lambda a, x: jacobian(lambda b: f(x, {"gain": b[0]}))(a))
    slope = mixed(Ball(np.array([2.0]), np.array([0.1])), x)
    assert slope.shape == (2, 1) and (slope.lower() > 0).all()


def test_programs_are_traced_once_per_shapes():
    traced = []

    def f(x: Any) -> Any:
        traced.append(x.shape)
        return jnp.tanh(x)

    enclosed = enclose(f)
    for n in (2, 3, 2, 3, 2):
        enclosed(np.ones(n))
    assert traced == [(2,), (3,)]


@pytest.mark.parametrize("arithmetic", [None, ArbArithmetic()])
def test_unusable_arguments_are_refused(arithmetic: Any):
    enclosed = enclose(lambda x: 2 * x, arithmetic)
    for bad in (np.nan, np.inf, -np.inf, 1j, "x", True):
        with pytest.raises(InputProblem):
            enclosed(bad)
    for bad in (np.nan, np.inf, 1j, "x", None):
        with pytest.raises(InputProblem):
            enclosed(np.array([1.0, bad]))


def test_arb_arrays_come_and_go_and_the_precision_is_restored():
    tanh = enclose(jnp.tanh, ArbArithmetic(300))
    x = np.array([flint.arb("0.1"), flint.arb(2)], dtype=object)
    y = tanh(x)
    assert holds(y, np.array([v.tanh() for v in x], dtype=object))
    assert enclose(lambda x: x.sum(), ArbArithmetic(50))(x).shape == ()
    flint.ctx.prec = 71
    tanh(x)
    with pytest.raises(Undecided):
        enclose(lambda x: 1 / (x - x), ArbArithmetic(300))(x)
    assert flint.ctx.prec == 71
    with pytest.raises(InputProblem, match="NaN"):
        tanh(np.array([flint.arb("nan")], dtype=object))
    with pytest.raises(InputProblem, match="guarantee"):
        tanh(Ball.unverified(np.ones(2)))
    with pytest.raises(InputProblem, match="precision"):
        ArbArithmetic(0)


def test_what_follows_from_unverified_numbers_is_not_guaranteed():
    f = enclose(lambda x, y: (jnp.tanh(x) + 0 * y, x))
    first, second = f(Ball.exact(np.ones(2)), Ball.unverified(np.ones(2)))
    assert not first.guaranteed and second.guaranteed


def test_overheads_are_small():
    rng, n = np.random.default_rng(8), 100
    W, b = rng.standard_normal((n, n)) / 10, rng.standard_normal(n)
    enclosed = enclose(jacobian(lambda x: jnp.tanh(W @ x + b) - x))
    x, seconds = Ball(rng.standard_normal(n), np.full(n, 1e-8)), []
    for _ in range(6):
        begin = time.perf_counter()
        enclosed(x)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.05


def test_one_ball_given_twice_stands_for_two_variables():
    b = Ball(np.array([0.0]), np.array([1.0]))
    for program in (
        lambda x, y: jnp.where(x == y, 0.0, 1.0),
        lambda x, y: jnp.where(x < y, 1.0, 0.0),
    ):
        with pytest.raises(Undecided):
            enclose(program)(b, b)


def test_static_fields_that_compare_equal_are_told_apart():
    class Scaled(eqx.Module):
        kind: object = eqx.field(static=True)

    program = enclose(lambda x, k: x * (2.0 if isinstance(k.kind, bool) else 3.0))
    one = Ball.exact(1.0)
    assert program(one, Scaled(1)).mid == 3 and program(one, Scaled(True)).mid == 2


def test_sums_of_integers_wrap_around_as_in_jax():
    hundreds = jnp.array([100, 100], jnp.int8)
    program = lambda x: x * jnp.sum(hundreds, dtype=jnp.int8)  # noqa: E731
    assert enclose(program)(Ball.exact(1.0)).mid == float(program(1.0)) == -56
