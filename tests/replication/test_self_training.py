import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.analysis import lyapunov_spectrum
from limitset.dynamics import simulate
from limitset.networks import TANH
from limitset.replication import (
    Aggregating,
    ParticleSpec,
    PositionCode,
    Recurrent,
    SelfTraining,
    ask,
    draw_particles,
    imitation_gradient,
    kappa,
    questions,
    replication_gradient,
    self_training_step,
)

SPECS = [
    ParticleSpec(),
    ParticleSpec(inputs=5, widths=(5, 5)),
    ParticleSpec(inputs=6, widths=(3,), position=PositionCode.RAW),
    ParticleSpec(inputs=5, widths=(3, 3), activation=TANH),
]
PERFECT = jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0)


def by_rows(spec: ParticleSpec, weights: jax.Array, subject: jax.Array) -> jax.Array:
    """The gradient with the rows written out, and both rows and targets held fixed."""
    rows = jax.lax.stop_gradient(questions(spec, subject))
    targets = jax.lax.stop_gradient(subject)
    return jax.grad(lambda w: jnp.mean((ask(spec, w, rows) - targets) ** 2))(weights)


@pytest.mark.parametrize("spec", SPECS)
def test_gradient_is_that_of_the_written_out_rows(spec, getkey):
    weights = draw_particles(getkey(), spec, 4)
    subject = draw_particles(getkey(), spec, 4)
    expected = jax.vmap(lambda w, s: by_rows(spec, w, s))(weights, subject)
    assert jnp.allclose(imitation_gradient(spec, weights, subject), expected, atol=1e-13)
    own = jax.vmap(lambda w: by_rows(spec, w, w))(weights)
    assert jnp.allclose(replication_gradient(spec, weights), own, atol=1e-13)


def test_organism_pitfall_rows_and_targets_are_detached(getkey):
    """With gradients through rows or targets the step would be another one."""
    spec = ParticleSpec()
    w = draw_particles(getkey(), spec, 1)[0]
    step = replication_gradient(spec, w)

    def loss(v: jax.Array, rows_move: bool, targets_move: bool) -> jax.Array:
        rows = questions(spec, v if rows_move else w)
        return jnp.mean((ask(spec, v, rows) - (v if targets_move else w)) ** 2)

    assert jnp.allclose(step, jax.grad(loss)(w, False, False), atol=1e-14)
    for moves in ((True, False), (False, True), (True, True)):
        assert jnp.abs(step - jax.grad(loss)(w, *moves)).max() > 1e-2


def test_derivative_of_the_step_sees_the_rows_move(getkey):
    """Detaching concerns the gradient of a step, not the derivative of the map that it is."""
    map_ = SelfTraining(ParticleSpec(), 0.01, 0.5)
    x = jnp.concatenate([draw_particles(getkey(), ParticleSpec(), 1)[0], jnp.ones(14)])
    direction = jax.random.normal(getkey(), (28,))

    def after(s: float) -> jax.Array:
        return map_.advance(0, x + s * direction, jnp.zeros(0))

    tangent = jax.jvp(after, (0.0,), (1.0,))[1]
    assert jnp.allclose(tangent, (after(1e-6) - after(-1e-6)) / 2e-6, atol=1e-8)


def test_organism_pitfall_more_particles_do_not_change_the_step(getkey):
    """Each network has the mean of its own errors; no sum or mean over networks rescales it."""
    spec = ParticleSpec(inputs=5, widths=(3, 3))
    many = draw_particles(getkey(), spec, 50)
    velocity = jax.random.normal(getkey(), many.shape)
    together = self_training_step(spec, many, velocity, rate=0.01, momentum=0.9)
    alone = self_training_step(spec, many[:1], velocity[:1], rate=0.01, momentum=0.9)
    for one, all_ in zip(alone, together, strict=True):
        assert jnp.allclose(one, all_[:1], atol=1e-15)


def test_step_is_that_of_torch(getkey):
    """Velocity first, then weights, by the definition of its gradient descent with momentum."""
    spec = ParticleSpec()
    w, v = draw_particles(getkey(), spec, 3), jax.random.normal(getkey(), (3, 14))
    weights, velocity = self_training_step(spec, w, v, rate=0.1, momentum=0.9)
    assert jnp.allclose(velocity, 0.9 * v + replication_gradient(spec, w), atol=1e-15)
    assert jnp.allclose(weights, w - 0.1 * velocity, atol=1e-15)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("spec", [SPECS[1], SPECS[3]])
def test_steps_keep_the_dtype(dtype, spec, getkey):
    w = draw_particles(getkey(), spec, 3, dtype)
    found = self_training_step(spec, w, jnp.zeros_like(w), rate=0.004, momentum=0.9)
    assert [part.dtype for part in found] == [dtype, dtype]


def test_column_of_the_task_is_not_trained(getkey):
    spec = ParticleSpec(inputs=5, widths=(3, 3))
    gradient = replication_gradient(spec, draw_particles(getkey(), spec, 2))
    first = gradient[:, :15].reshape(2, 3, 5)
    assert (first[..., 4] == 0).all() and (first[..., :4] != 0).all()


def test_organism_hand_made_replicator_is_fixed_by_training():
    assert (replication_gradient(ParticleSpec(), PERFECT) == 0).all()
    x = jnp.concatenate([PERFECT, jnp.zeros(14)])
    run = simulate(SelfTraining(ParticleSpec(), 0.1, 0.9), x, steps=10)
    assert (run.states == x).all()


def test_simulate_and_lyapunov_spectrum_apply(getkey):
    """A replicator has n - 4 neutral directions; the other n + 4 of the state contract."""
    map_ = SelfTraining(ParticleSpec(), 0.04, 0.5)
    start = draw_particles(getkey(), ParticleSpec(), 1)[0]
    end = simulate(map_, jnp.concatenate([start, jnp.zeros(14)]), steps=4000).final
    assert jnp.allclose(kappa(ParticleSpec(), end[:14]), jnp.eye(4)[0], atol=1e-9)
    spectrum = lyapunov_spectrum(map_, end, steps=400, count=14, transient=0)
    assert np.abs(spectrum.exponents[:10]).max() < 1e-3
    assert spectrum.exponents[10:].max() < -1e-3


@pytest.mark.parametrize("spec", [Aggregating(), Recurrent()])
def test_other_reductions_train(spec, getkey):
    w = spec.draw(getkey(), 3, jnp.float64)
    rows = jax.jit(jax.vmap(spec.lesson))(w)

    def loss(v: jax.Array) -> jax.Array:
        said = jax.vmap(spec.answer)(v, rows[0])
        return jnp.mean((said - rows[1]) ** 2, axis=(1, 2)).sum()

    assert jnp.allclose(replication_gradient(spec, w), jax.jit(jax.grad(loss))(w), atol=1e-13)
    map_ = SelfTraining(spec, 0.01)
    assert map_.state_size == 2 * spec.weight_count
    x = jnp.concatenate([0.3 * w[0], jnp.zeros_like(w[0])])
    assert jnp.isfinite(simulate(map_, x, steps=20).states).all()


@pytest.mark.parametrize(
    ("rate", "momentum"),
    [(0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (float("inf"), 0.0), (0.1, 1.0), (0.1, -0.1)],
)
def test_refuses_what_does_not_descend(rate, momentum):
    with pytest.raises(InputProblem, match=r"give a (positive|number)"):
        SelfTraining(ParticleSpec(), rate, momentum)


@pytest.mark.usefixtures("untyped")
def test_refuses_what_is_no_spec():
    with pytest.raises(InputProblem, match="give a ParticleSpec"):
        replication_gradient("4-2-2-1", jnp.zeros(14))  # pyright: ignore[reportArgumentType]
