"""The boundary of the bulk against eigenvalues of random matrices, and counts inside contours."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError

from limitset import InputProblem
from limitset.meanfield import (
    FixedPointSpectrum,
    MeanFieldPoint,
    SampledSpectrum,
    eigenvalue_density,
    fixed_points,
    fraction_inside,
    log_potential,
    outside_fraction,
    spectral_boundary,
    spectral_radii,
    spectrum_at,
)
from limitset.networks import GatedParameters, random_gated_network

State = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]


def jacobian(
    parameters: GatedParameters, state: State, drive: Float[np.ndarray, " n"], seed: int
) -> Float[np.ndarray, "3n 3n"]:
    """Of fresh random matrices, at a state that is independent of them."""
    p, (h, z, r) = parameters, map(jnp.asarray, state)
    n, rng = h.size, np.random.default_rng(seed)
    jh, jz, jr = (rng.standard_normal((n, n)) / math.sqrt(n) for _ in range(3))
    sz, sr = np.asarray(p.update_gate(z)), np.asarray(p.output_gate(r))
    slope, said = np.asarray(p.phi_slope(h)), np.asarray(p.phi(h))
    velocity = np.asarray(p.update_gate_slope(z)) * (drive - h)
    empty, one = np.zeros((n, n)), np.eye(n)
    hr = sz[:, None] * jh * (said * np.asarray(p.output_gate_slope(r)))
    return np.block(
        [
            [sz[:, None] * jh * (slope * sr) - np.diag(sz), np.diag(velocity), hr],
            [jz * slope / float(p.update_time), -one / float(p.update_time), empty],
            [jr * slope / float(p.output_time), empty, -one / float(p.output_time)],
        ]
    )


def surrogate(point: MeanFieldPoint, size: int, seed: int) -> State:
    """A state with the law of a fixed point, drawn without solving for one."""
    rng = np.random.default_rng(seed)
    roots = np.sqrt([point.state_variance, point.gate_variance, point.gate_variance])
    h, z, r = roots[:, None] * rng.standard_normal((3, size))
    return h, z, r


def upper_point(**given: float) -> MeanFieldPoint:
    return fixed_points(GatedParameters(**given))[-1]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("gain", [1.8, 2.0, 2.2])
def test_gating_12_zero_state(gain: float):
    n = 200
    p = GatedParameters(gain=gain, update_gain=5.0, output_gain=10.0, output_time=2.0)
    zero = np.zeros(n)
    eigenvalues = np.linalg.eigvals(jacobian(p, (zero, zero, zero), zero, seed=1))
    law = FixedPointSpectrum(p, 0.0)
    assert outside_fraction(law, eigenvalues, margin=0.06) <= 0.01
    boundary = spectral_boundary(law)
    assert math.isclose(boundary.right_end, (gain / 2 - 1) / 2, abs_tol=1e-12)
    assert abs(np.linalg.eigvals(jacobian(p, (zero, zero, zero), zero, 1)).real.max()) < 0.3
    disc = np.abs(boundary.curves[0] + 0.5)
    assert np.allclose(disc, gain / 4, rtol=1e-12)


SURROGATES = [
    {"gain": 3.0, "output_gain": 10.0, "output_time": 2.0, "update_time": 3.0},
    {"gain": 3.0, "update_gain": 5.0, "output_gain": 10.0, "output_time": 2.0},
]


@pytest.mark.parametrize("given", SURROGATES)
def test_gating_12_surrogate_fixed_points(given: dict[str, float]):
    point = upper_point(**given)
    state = surrogate(point, 250, seed=2)
    eigenvalues = np.linalg.eigvals(jacobian(point.parameters, state, state[0], seed=3))
    assert outside_fraction(spectrum_at(point), eigenvalues, margin=0.06) <= 0.01
    empirical = SampledSpectrum(point.parameters, **named(state), drive=jnp.asarray(state[0]))
    assert outside_fraction(empirical, eigenvalues, margin=0.06) <= 0.01
    # A boundary for half the couplings would leave out much.
    assert outside_fraction(FixedPointSpectrum(halved(point), 0.0), eigenvalues, 0.06) > 0.05


def halved(point: MeanFieldPoint) -> GatedParameters:
    p = point.parameters
    return GatedParameters(gain=0.5, output_time=p.output_time, update_time=p.update_time)


def named(state: State) -> dict[str, jax.Array]:
    return dict(zip("hzr", map(jnp.asarray, state), strict=True))


def test_gating_12_off_a_fixed_point_the_terms_through_the_update_gate_count():
    """At a state with `h` far from its drive they widen the spectrum."""
    p = GatedParameters(gain=3.0, update_gain=10.0, output_gain=10.0)
    rng = np.random.default_rng(4)
    h, z, r, drive = 0.5 * rng.standard_normal((4, 250))
    eigenvalues = np.linalg.eigvals(jacobian(p, (h, z, r), drive, seed=5))
    right = SampledSpectrum(p, **named((h, z, r)), drive=jnp.asarray(drive))
    wrong = SampledSpectrum(p, **named((h, z, r)), drive=jnp.asarray(h))
    assert outside_fraction(right, eigenvalues, margin=0.06) <= 0.01
    assert outside_fraction(wrong, eigenvalues, margin=0.06) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("update_gain", "output_gain"), [(0.0, 0.0), (5.0, 5.0), (10.0, 10.0), (0.0, 10.0)]
)
def test_gating_12_chaotic_states(update_gain: float, output_gain: float):
    """States that a network of 500 units visits, and its own Jacobian, by automatic derivatives."""
    p = GatedParameters(gain=3.0, update_gain=update_gain, output_gain=output_gain)
    network = random_gated_network(jax.random.key(0), 500, p)
    none = jnp.zeros(0)
    step = 0.1

    def advance(x: jax.Array, _: None) -> tuple[jax.Array, None]:
        def v(y: jax.Array) -> jax.Array:
            return network.velocity(jnp.asarray(0.0), y, none)

        middle = x + step / 2 * v(x)
        return x + step * v(middle), None

    start = jax.random.normal(jax.random.key(1), (1500,))
    x = jax.jit(lambda y: jax.lax.scan(advance, y, None, length=1500)[0])(start)
    h, z, r = jnp.split(x, 3)
    assert float(h.var()) > 0.01
    own = jax.jacfwd(lambda y: network.velocity(jnp.asarray(0.0), y, none))(x)
    drive = network.state_weight @ (p.phi(h) * p.output_gate(r))
    law = SampledSpectrum(p, h=h, z=z, r=r, drive=drive)
    outside = outside_fraction(law, np.linalg.eigvals(np.asarray(own)), margin=0.06)
    assert outside <= 0.01


def test_the_boundary_is_where_the_radius_is_one():
    point = upper_point(gain=2.5, update_gain=20.0, output_gain=5.0)
    boundary = spectral_boundary(spectrum_at(point), points=33)
    assert math.isclose(boundary.right_end, 0.0161, abs_tol=1e-4)
    for curve in boundary.curves:
        inner = curve[(np.abs(np.imag(curve)) > 1e-9)]
        assert np.allclose(spectral_radii(boundary.law, inner), 1, rtol=1e-9)
        assert np.allclose(curve, curve[::-1].conj(), rtol=0, atol=1e-15)
    assert np.allclose(spectral_radii(boundary.law, np.array([boundary.right_end])), 1, rtol=1e-9)


def test_components_that_are_apart():
    """A fast output gate has its own: around -1 / output_time, far to the left."""
    point = upper_point(gain=3.0, output_gain=2.0, output_time=0.1)
    boundary = spectral_boundary(spectrum_at(point))
    assert len(boundary.intervals) == len(boundary.curves) == 2
    (left, left_end), (right, _) = boundary.intervals
    assert left < -10 < left_end < right < -0.5
    between = np.array([(left_end + right) / 2])
    assert spectral_radii(boundary.law, between)[0] < 1
    # With a slower gate they are one.
    slow = upper_point(gain=3.0, output_gain=2.0, output_time=1.0)
    assert len(spectral_boundary(spectrum_at(slow)).intervals) == 1


def test_never_nan_and_infinite_where_gates_are():
    point = upper_point(gain=3.0, update_gain=500.0, output_gain=10.0)
    at = np.array([-1.0, -0.5, -1e-300, 0.0, 1e-300, -0.999999, 5.0, -5.0, -1.0 + 1e-12j, 1e9])
    radii = spectral_radii(spectrum_at(point), at)
    assert not np.isnan(radii).any()
    assert np.isinf(radii[[0, 1, 2, 5]]).all()
    assert radii[3] > 1 and np.isfinite(radii[[3, 4, 6, 7, 8, 9]]).all()
    zero = jnp.zeros(4)
    law = SampledSpectrum(GatedParameters(gain=3.0), h=zero, z=zero, r=zero, drive=zero)
    found = spectral_radii(law, np.array([-0.5, -1.0, 0.0, -1 + 0j]))
    assert np.isinf(found[0]) and not np.isnan(found).any()


def test_thin_parts_of_the_bulk_are_resolved():
    """Near the axis few gates decide: against a rule of a million equidistant nodes."""
    p = GatedParameters(gain=3.0, update_gain=500.0, open_output=True)
    point = fixed_points(p)[-1]
    x = np.linspace(-8, 8, 1_000_001)
    weights = np.exp(-(x**2) / 2)
    s = 1 / (1 + np.exp(-np.clip(500 * math.sqrt(point.gate_variance) * x, -700, 700)))
    at = np.array([-0.02 + 0.001j, -0.5 + 0.012j, 1e-6 + 1e-7j, -0.98 + 0.01j])
    expected = [
        point.stability_number * (weights * s**2 / np.abs(each + s) ** 2).sum() / weights.sum()
        for each in at
    ]
    assert np.allclose(spectral_radii(spectrum_at(point), at), expected, rtol=1e-9)


def test_a_sample_of_a_law_has_the_boundary_of_the_law():
    point = upper_point(gain=3.0, update_gain=5.0, output_gain=10.0, output_time=2.0)
    state = surrogate(point, 100_000, seed=6)
    law = SampledSpectrum(point.parameters, **named(state), drive=jnp.asarray(state[0]))
    at = np.array([0.1, -0.5 + 0.5j, 0.05 + 0.3j, -1.5])
    exact = spectral_radii(spectrum_at(point), at)
    assert np.allclose(spectral_radii(law, at), exact, rtol=0.02)


def test_a_map_over_points_agrees_with_one_at_a_time():
    law = spectrum_at(upper_point(gain=3.0, output_gain=5.0))
    at = np.array([0.1 + 0.2j, -0.3 + 0.5j, 0.4])
    together = jax.jit(jax.vmap(law.radius))(jnp.asarray(at))
    assert np.allclose(together, spectral_radii(law, at), rtol=1e-12)


def test_gating_13_fractions_inside_contours():
    for update_gain, expected in ((2.0, 0.0424), (10.0, 0.3622)):
        point = fixed_points(GatedParameters(gain=3.0, update_gain=update_gain, open_output=True))[
            -1
        ]
        assert math.isclose(fraction_inside(point, radius=0.05), expected, abs_tol=5e-4)
    assert math.isclose(fraction_inside(point, radius=4.0, points=12), 1.0, abs_tol=1e-5)


def test_the_density_of_a_vanilla_network_is_that_of_its_circle():
    """All units alike: a uniform disc. And the potential's field is what its gradient says."""
    zero = fixed_points(GatedParameters(gain=2.0, open_output=True, open_update=True))[0]
    at = np.array([-1.0, 0.5 + 0.5j, -2.5 + 1j, 1.5])
    density = eigenvalue_density(zero, at)
    assert np.allclose(density, np.array([1, 1, 1, 0]) / (4 * np.pi), rtol=0, atol=1e-6)
    potential = log_potential(zero, np.array([1.0 - 1e-6, 1.0 + 1e-6, 3.0, 4.0]))
    assert np.allclose(potential[:2], math.log(2), rtol=0, atol=1e-5)
    assert np.allclose(potential[2:], np.log([4, 5]), rtol=0, atol=1e-9)


@pytest.mark.slow
def test_density_with_an_output_gate_against_eigenvalues():
    """Counts of h and r together, from matrices of 400 units."""
    point = upper_point(gain=3.0, update_gain=5.0, output_gain=10.0, output_time=2.0)
    n, found = 400, []
    for seed in range(3):
        state = surrogate(point, n, seed)
        eigenvalues = np.linalg.eigvals(jacobian(point.parameters, state, state[0], seed))
        away = np.abs(eigenvalues + 1 / float(point.parameters.update_time)) > 1e-6
        found.append([(np.abs(eigenvalues[away]) < radius).sum() / n for radius in (0.05, 0.5)])
    expected = [fraction_inside(point, radius=radius, points=16) for radius in (0.05, 0.5)]
    assert np.allclose(np.mean(found, axis=0), expected, rtol=0, atol=0.03)


def test_unusable_inputs():
    zero = jnp.zeros(3)
    p = GatedParameters()
    with pytest.raises(InputProblem, match="r has shape"):
        SampledSpectrum(p, h=zero, z=zero, r=jnp.zeros(2), drive=zero)
    with pytest.raises(InputProblem, match="not finite"):
        SampledSpectrum(p, h=zero, z=zero, r=zero, drive=zero + jnp.nan)
    law = FixedPointSpectrum(p, 0.0)
    for bad in (np.array([np.nan]), np.array([]), np.ones((2, 2))):
        with pytest.raises(InputProblem, match="eigenvalues"):
            outside_fraction(law, bad)
    with pytest.raises((InputProblem, TypeCheckError)):
        spectral_boundary(p)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputProblem, match="points"):
        spectral_boundary(law, points=2)
