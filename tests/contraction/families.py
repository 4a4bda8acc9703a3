"""Families of random networks, drawn in stacks: every kind that a contraction theorem speaks of."""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from limitset.dynamics import (
    AbstractFlow,
    AbstractMap,
    AbstractScheme,
    Cayley,
    ExplicitEuler,
    ExponentialEuler,
    Rotation,
    SemiImplicit,
    discretise,
)
from limitset.networks import ACTIVATIONS, Assembly, Elman, RateNetwork

System = AbstractFlow | AbstractMap
CERTIFIABLE = tuple(a.name for a in ACTIVATIONS.values() if a.slope_interval is not None)
INPUTS = 2


@dataclass(frozen=True)
class Stack:
    """Networks of one structure, stacked along the first axis of every leaf, and a metric each."""

    systems: System
    scales: np.ndarray

    def __len__(self) -> int:
        return len(self.scales)

    def member(self, index: int) -> System:
        """One network, its leaves NumPy arrays."""
        return jax.tree.map(lambda leaf: np.asarray(leaf)[index], self.systems)


@dataclass(frozen=True)
class Family:
    """Stacks of networks of one kind, one for each structure (activations, forms, sizes)."""

    name: str
    stacks: tuple[Callable[[np.random.Generator, int], Stack], ...]

    def draw(self, seed: int, count: int) -> list[Stack]:
        """About `count` networks, spread evenly over the structures; the same ones every time."""
        rng = np.random.default_rng(seed)
        return [stack(rng, -(-count // len(self.stacks))) for stack in self.stacks]


def majorant(weight: np.ndarray, activation: str, exempt: bool) -> np.ndarray:
    """Slope-weighted `|W|`; flows may count a self-weight with its worst sign only."""
    lowest, highest = ACTIVATIONS[activation].slope_interval or (np.nan, np.nan)
    bound = highest * np.abs(weight)
    if exempt:
        i = np.arange(weight.shape[-1])
        bound[..., i, i] = np.maximum(lowest * weight[..., i, i], highest * weight[..., i, i])
    return bound


def perron_scale(bound: np.ndarray, slack: float = 1e-3) -> np.ndarray:
    """`sqrt(l / d)` with `d = (t - A)^-1 1`, `l = (t - A)^-T 1`, t a little above the abscissa."""
    size = bound.shape[-1]
    spread = np.maximum(np.abs(bound).max((-1, -2)), 1e-9)
    level = np.linalg.eigvals(bound).real.max(-1) + slack * spread
    matrix = level[:, None, None] * np.eye(size) - bound
    ones = np.ones((len(bound), size, 1))
    right, left = (np.linalg.solve(m, ones)[..., 0] for m in (matrix, matrix.swapaxes(1, 2)))
    return np.sqrt(np.abs(left / right))


def draw_weights(
    rng: np.random.Generator, shape: tuple[int, int], activation: str, *, exempt: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Weights whose bound is a random share of 1, and a metric in which they have it.

    In turn: dense with self-weights of both signs, sparse, triangular (reducible), orthogonal in a
    random metric, and nonnegative, where the theorems are tight.
    """
    count, n = shape
    share = rng.uniform(0.3, 0.98, (count, 1, 1))
    highest = (ACTIVATIONS[activation].slope_interval or (np.nan, np.nan))[1]
    weight = rng.standard_normal((count, n, n))
    pattern = np.arange(count) % 5
    sparse, triangular, orthogonal = (pattern[:, None, None] == k for k in (1, 2, 3))
    weight = np.where(sparse & (rng.random((count, n, n)) < 0.6), 0.0, weight)
    weight = np.where(triangular, np.tril(weight), weight)
    weight = np.where(pattern[:, None, None] == 4, np.abs(weight), weight)
    radius = np.linalg.eigvals(majorant(weight, activation, exempt)).real.max(-1)
    radius = np.where(radius > 1e-3, radius, 1.0)[:, None, None]
    weight = weight / radius * share
    scale = perron_scale(majorant(weight, activation, exempt))
    turned = np.linalg.qr(rng.standard_normal((count, n, n)))[0] / highest * share
    drawn = np.exp(rng.standard_normal((count, n)))
    turned = turned * drawn[:, None, :] / drawn[:, :, None]
    return np.where(orthogonal, turned, weight), np.where(orthogonal[..., 0], drawn, scale)


def _stacked(build: Callable[..., System]) -> Callable[..., System]:
    """One system per entry of the leading axes; compiled as a whole, which is the quickest way."""
    return eqx.filter_jit(eqx.filter_vmap(build))


def rate_stack(
    form: str, activation: str, scheme: AbstractScheme | None
) -> Callable[[np.random.Generator, int], Stack]:
    """Rate networks with leaks and time constants other than 1, as flows or as maps."""

    def draw(rng: np.random.Generator, count: int) -> Stack:
        n = 5
        weight, scale = draw_weights(rng, (count, n), activation, exempt=scheme is None)
        leak, time_constant = rng.uniform(0.4, 2.5, (2, count))

        def build(w: jax.Array, b: jax.Array, c: jax.Array, a: jax.Array, tau: jax.Array) -> System:
            network = RateNetwork(
                w * a, b, c, activation=activation, form=form, leak=a, time_constant=tau
            )
            return network if scheme is None else discretise(network, scheme)

        inputs, bias = rng.standard_normal((count, n, INPUTS)), rng.standard_normal((count, n))
        arrays = (jnp.asarray(a) for a in (weight, inputs, bias, leak, time_constant))
        return Stack(_stacked(build)(*arrays), scale)

    return draw


def elman_stack(activation: str) -> Callable[[np.random.Generator, int], Stack]:
    """Elman cells."""

    def draw(rng: np.random.Generator, count: int) -> Stack:
        n = 5
        weight, scale = draw_weights(rng, (count, n), activation, exempt=False)

        def build(w: jax.Array, b: jax.Array, c: jax.Array, d: jax.Array) -> System:
            return Elman(b, w, c, d, activation=activation)

        shapes = ((count, n, INPUTS), (count, n), (count, n))
        rest = (rng.standard_normal(s) for s in shapes)
        return Stack(_stacked(build)(*(jnp.asarray(a) for a in (weight, *rest))), scale)

    return draw


Part = tuple[int, str, str]


def assembly_stack(
    parts: tuple[Part, ...], scheme: AbstractScheme | None, coupling_gain: float, alike: bool
) -> Callable[[np.random.Generator, int], Stack]:
    """Modules (size, form, activation) under feedback that is skew in their metric.

    Modules that are `alike` share leak and time constant, which explicit maps are certified with.
    """

    def draw(rng: np.random.Generator, count: int) -> Stack:
        pairs = [draw_weights(rng, (count, n), a, exempt=scheme is None) for n, _, a in parts]
        # A metric may be scaled module by module; geometric means of 1 keep the coupling moderate.
        scales = [s / np.exp(np.log(s).mean(-1, keepdims=True)) for _, s in pairs]
        scale = np.concatenate(scales, -1)
        total = scale.shape[-1]
        owner = np.repeat(np.arange(len(parts)), [n for n, _, _ in parts])
        lower = rng.standard_normal((count, total, total)) * (owner[:, None] > owner)
        lower *= coupling_gain * np.exp(rng.uniform(-2, 0, (count, 1, 1)))
        coupling = (lower - lower.swapaxes(1, 2)) * scale[:, None, :] / scale[:, :, None]
        leak, time_constant = rng.uniform(0.5, 2.0, (2, count, len(parts)))
        if alike:
            leak, time_constant = (
                np.broadcast_to(c[:, :1], c.shape) for c in (leak, time_constant)
            )
        inputs = rng.standard_normal((count, total, INPUTS))
        bias = rng.standard_normal((count, total))

        def build(
            weights: list[jax.Array], L: jax.Array, b: jax.Array, c: jax.Array, constants: jax.Array
        ) -> System:
            modules = [
                RateNetwork(
                    weights[k] * constants[0, k],
                    b[owner == k],
                    c[owner == k],
                    activation=activation,
                    form=form,
                    leak=constants[0, k],
                    time_constant=constants[1, k],
                )
                for k, (_, form, activation) in enumerate(parts)
            ]
            assembly = Assembly(modules, L)
            return assembly if scheme is None else discretise(assembly, scheme)

        constants = jnp.asarray(np.stack([leak, time_constant], 1))
        weights = [jnp.asarray(w) for w, _ in pairs]
        arrays = (jnp.asarray(a) for a in (coupling, inputs, bias))
        return Stack(_stacked(build)(weights, *arrays, constants), scale)

    return draw


_STRUCTURES: tuple[tuple[Part, ...], ...] = (
    ((2, "hopfield", "tanh"), (2, "hopfield", "tanh")),
    ((3, "firing_rate", "relu"), (2, "hopfield", "sigmoid")),
    ((2, "hopfield", "identity"), (2, "hopfield", "relu"), (1, "firing_rate", "softplus")),
)


def _rates(form: str, scheme: AbstractScheme | None) -> tuple[Callable[..., Stack], ...]:
    return tuple(rate_stack(form, activation, scheme) for activation in CERTIFIABLE)


def _assemblies(scheme: AbstractScheme | None, gain: float) -> tuple[Callable[..., Stack], ...]:
    # The triangle inequality over explicit steps needs modules of one speed.
    alike = isinstance(scheme, ExplicitEuler | ExponentialEuler)
    return tuple(assembly_stack(parts, scheme, gain, alike) for parts in _STRUCTURES)


FAMILIES = tuple(
    [
        Family(f"{form}_{label}", _rates(form, scheme))
        for form in ("hopfield", "firing_rate")
        for label, scheme in (
            ("flow", None),
            ("explicit_euler", ExplicitEuler(0.15)),
            ("exponential_euler", ExponentialEuler(0.6)),
        )
    ]
    + [
        Family("elman", tuple(elman_stack(a) for a in ("tanh", "relu", "sigmoid", "softplus"))),
        Family("assembly_flow", _assemblies(None, 30.0)),
        Family("assembly_semi_implicit", _assemblies(SemiImplicit(0.2), 30.0)),
        Family("assembly_cayley", _assemblies(Cayley(0.2), 30.0)),
        Family("assembly_rotation", _assemblies(Rotation(0.2), 30.0)),
        Family("assembly_explicit_euler", _assemblies(ExplicitEuler(0.05), 0.1)),
        Family("assembly_exponential_euler", _assemblies(ExponentialEuler(0.3), 3.0)),
    ]
)


def signed_stack(
    form: str, activation: str, scheme: AbstractScheme | None
) -> Callable[[np.random.Generator, int], Stack]:
    """Rate networks that inhibit themselves strongly: weighted sums and maxima see the sign."""

    def draw(rng: np.random.Generator, count: int) -> Stack:
        n, i = 5, np.arange(5)
        highest = (ACTIVATIONS[activation].slope_interval or (np.nan, np.nan))[1]
        weight = rng.standard_normal((count, n, n)) * (rng.random((count, n, n)) < 0.8)
        weight[:, i, i] = rng.uniform(-4, 0.5, (count, n))
        signed = np.abs(weight)
        signed[:, i, i] = weight[:, i, i]
        # The diagonal is moved so that the signed majorant has a random abscissa.
        abscissa = np.linalg.eigvals(signed).real.max(-1)
        weight[:, i, i] += (rng.uniform(-0.5, 0.95, count) / highest - abscissa)[:, None]
        leak, time_constant = rng.uniform(0.4, 2.5, (2, count))

        def build(w: jax.Array, b: jax.Array, c: jax.Array, a: jax.Array, tau: jax.Array) -> System:
            network = RateNetwork(
                w * a, b, c, activation=activation, form=form, leak=a, time_constant=tau
            )
            return network if scheme is None else discretise(network, scheme)

        inputs, bias = rng.standard_normal((count, n, INPUTS)), rng.standard_normal((count, n))
        arrays = (jnp.asarray(a) for a in (weight, inputs, bias, leak, time_constant))
        return Stack(_stacked(build)(*arrays), np.ones((count, n)))

    return draw


# Decay in sums and maxima is measured in test_metzler.py.
POLYHEDRAL = tuple(
    Family(
        f"{form}_{label}",
        tuple(signed_stack(form, a, scheme) for a in ("tanh", "relu", "sigmoid")),
    )
    for form in ("hopfield", "firing_rate")
    for label, scheme in (
        ("flow", None),
        ("explicit_euler", ExplicitEuler(0.02)),
        ("exponential_euler", ExponentialEuler(0.02)),
    )
)

# Theorem -> the file that measures the decay of the systems that only it speaks of.
ELSEWHERE = {
    "deep_block": "test_deep_blocks.py",
    "small_gain": "test_composition_decay.py",
    "composition": "test_composition_decay.py",
    "backward_euler": "test_schemes.py",
    "input_gates": "test_gates.py",
    "ren": "test_ren.py",
    "diagonal_linear": "test_stack.py",
    "cascade": "test_stack.py",
}
