"""How long do the first Lyapunov exponents of a large network take, ours against plain JAX?

50 exponents of 500 coupled units (a rate network with 500 states, and a gated network with 1,500)
over 1,000 Runge-Kutta steps of 0.1. The peer is what one writes in JAX: `jax.linearize` of the
step, `vmap` over the vectors, `jnp.linalg.qr` every 5 steps, all in one compiled scan, float64. The
bound is the matrix products of the Runge-Kutta steps and nothing else. Exponents of all ways are
compared; Adams-Moulton steps follow a trajectory of their own, which parts from the others as
chaotic ones do. lyapax, pynamicalsys and jitcode run on 10 units where installed.
"""

import functools
import importlib.util
import statistics
from collections.abc import Callable

import _measure
import jax
import jax.numpy as jnp
import numpy as np

from limitset.analysis import (
    AbstractIntegrator,
    AdamsBashforth4,
    AdamsMoulton4,
    LyapunovSpectrum,
    RungeKutta4,
    lyapunov_spectrum,
)
from limitset.networks import (
    GatedNetwork,
    GatedParameters,
    RateNetwork,
    random_gated_network,
    random_rate_network,
)

STEP, TARGET, PEER_INTERVAL, INTERVAL, BLOCKS = 0.1, 5.0, 5, 25, 8
PLAIN, BOUND = "plain JAX", "matrix products alone"
Network = RateNetwork | GatedNetwork
# Rule and dtype of the vectors.
WAYS: dict[str, tuple[AbstractIntegrator, str]] = {
    "limitset, Runge-Kutta": (RungeKutta4(STEP), "float64"),
    "limitset, Runge-Kutta, float32": (RungeKutta4(STEP), "float32"),
    "limitset, Adams-Bashforth": (AdamsBashforth4(STEP), "float64"),
    "limitset, Adams-Bashforth, float32": (AdamsBashforth4(STEP), "float32"),
    "limitset, Adams-Moulton": (AdamsMoulton4(STEP), "float64"),
    "limitset, Adams-Moulton, float32": (AdamsMoulton4(STEP), "float32"),
}
PEERS = {name: importlib.util.find_spec(name) for name in ("lyapax", "pynamicalsys", "jitcode")}


def make_plain(network: Network, count: int, steps: int) -> Callable[[jax.Array], np.ndarray]:
    """Exponents as one writes them in JAX; the vectors that it starts with are ours."""
    size = network.state_size
    frame = np.linalg.qr(np.random.default_rng(0).standard_normal((size, count)))[0]

    def velocity(x: jax.Array) -> jax.Array:
        return network.velocity(0.0, x, jnp.zeros(0))

    def step(x: jax.Array) -> jax.Array:
        k1 = velocity(x)
        k2 = velocity(x + STEP / 2 * k1)
        k3 = velocity(x + STEP / 2 * k2)
        k4 = velocity(x + STEP * k3)
        return x + STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def one(
        carry: tuple[jax.Array, jax.Array], _: None
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
        x, push = jax.linearize(step, carry[0])
        return (x, jax.vmap(push, in_axes=1, out_axes=1)(carry[1])), None

    def interval(carry: tuple[jax.Array, ...], _: None) -> tuple[tuple[jax.Array, ...], None]:
        x, vectors, total = carry
        (x, vectors), _ = jax.lax.scan(one, (x, vectors), None, length=PEER_INTERVAL)
        vectors, triangle = jnp.linalg.qr(vectors)
        return (x, vectors, total + jnp.log(jnp.abs(jnp.diagonal(triangle)))), None

    @jax.jit
    def run(x: jax.Array) -> jax.Array:
        begun = (x, jnp.asarray(frame), jnp.zeros(count))
        return jax.lax.scan(interval, begun, None, length=steps // PEER_INTERVAL)[0][2]

    return lambda x: np.asarray(run(x)) / (steps * STEP)


def make_products(network: Network, count: int, steps: int) -> Callable[[], object]:
    """The products of four stages a step with all vectors; float64, no state, no QR."""
    gated = isinstance(network, GatedNetwork)
    first = network.state_weight if gated else network.weight
    rest = jnp.concatenate([network.update_weight, network.output_weight]) if gated else None

    def stage(x: jax.Array, _: None) -> tuple[jax.Array, None]:
        product = first @ x
        if rest is not None:
            product = product + 1e-3 * (rest @ x)[: first.shape[0]]
        return 0.5 * product, None

    vectors = jnp.ones((first.shape[0], count))
    run = jax.jit(lambda x: jax.lax.scan(stage, x, None, length=4 * steps)[0])
    return lambda: jax.block_until_ready(run(vectors))


def find(
    network: Network, x: jax.Array, count: int, steps: int, way: tuple[AbstractIntegrator, str]
) -> LyapunovSpectrum:
    """Our exponents over the same steps, without transients."""
    return lyapunov_spectrum(
        network, x, steps=steps, count=count, integrator=way[0], vectors=way[1], transient=0,
        tangent_transient=0, interval=min(INTERVAL, steps // BLOCKS), blocks=BLOCKS,
    )  # fmt: skip


def measure(name: str, network: Network, count: int, steps: int, repeats: int) -> dict[str, object]:
    """Print and return the figures of one network."""
    x = jax.random.normal(jax.random.key(2), (network.state_size,))
    plain = make_plain(network, count, steps)
    tasks: dict[str, Callable[[], object]] = {PLAIN: functools.partial(plain, x)}
    for way, settings in WAYS.items():
        tasks[way] = functools.partial(find, network, x, count, steps, settings)
    tasks[BOUND] = make_products(network, count, steps)
    expected, record = np.sort(plain(x))[::-1], {"states": network.state_size}
    timings = _measure.interleave(tasks, repeats=repeats)
    slow, bound = (statistics.median(timings[task].cpu) for task in (PLAIN, BOUND))
    for task, timing in timings.items():
        cpu = statistics.median(timing.cpu)
        figures = {**timing.record(), "cpu_median_s": cpu, "ratio": slow / cpu}
        figures["fraction_of_products"] = bound / cpu
        text = f"{name:6} {task:35} {timing}, processor time {cpu:.4g} s, {slow / cpu:.2f} as fast"
        if task in WAYS:
            found = find(network, x, count, steps, WAYS[task])
            figures["difference"] = float(np.abs(found.exponents - expected).max())
            figures["standard_error"] = float(found.standard_errors.max())
            text += (
                f", {bound / cpu:.2f} of the products; exponents differ by "
                f"{figures['difference']:.1e}, error bars {figures['standard_error']:.1e}"
            )
        print(text, flush=True)
        record[task] = figures
    best = max(record[way]["ratio"] for way in WAYS)
    met = _measure.verdict(best >= TARGET)
    print(f"{name:6} plain JAX / fastest of ours = {best:.2f}, target {TARGET}: {met}")
    return {**record, "ratio": best, "target": TARGET}


def measure_peers(units: int, steps: int, repeats: int) -> dict[str, object]:
    """Print and return the time of a whole spectrum of a small rate network, ours and peers'."""
    # Peers are optional.
    import _lyapunov_peers

    network = random_rate_network(jax.random.key(0), units, gain=3.0)
    x = np.asarray(jax.random.normal(jax.random.key(2), (units,)))
    ours = functools.partial(
        find, network, jnp.asarray(x), units, steps, WAYS["limitset, Runge-Kutta"]
    )
    tasks: dict[str, Callable[[], object]] = {"limitset": ours}
    for name in PEERS:
        if PEERS[name] is not None:
            tasks[name] = _lyapunov_peers.make(name, np.asarray(network.weight), x, STEP, steps)
    record: dict[str, object] = {}
    for name, timing in _measure.interleave(tasks, repeats=repeats).items():
        print(f"{units} units, {steps} steps, {name:13} {timing}", flush=True)
        record[name] = timing.record()
    return record


def main() -> None:
    """Both networks, then the peers that are there."""
    arguments = _measure.parse_arguments(__doc__)
    units, count, steps, repeats = (16, 4, 40, 1) if arguments.quick else (500, 50, 1000, 2)
    parameters = GatedParameters(gain=3.0, output_gain=10.0)
    networks: dict[str, Network] = {
        "rate": random_rate_network(jax.random.key(0), units, gain=2.0),
        "gated": random_gated_network(jax.random.key(1), units, parameters),
    }
    results: dict[str, object] = {
        name: measure(name, network, count, steps, repeats) for name, network in networks.items()
    }
    for name, found in PEERS.items():
        if found is None:
            print(f"{name} is not installed (benchmarks/requirements.txt): left out")
    results["peers"] = measure_peers(*((4, 40, 1) if arguments.quick else (10, 2000, 3)))
    _measure.store("lyapunov_speed", arguments, results)


if __name__ == "__main__":
    main()
