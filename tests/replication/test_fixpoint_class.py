import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.replication import (
    FixpointClass,
    LabelOrder,
    ParticleSpec,
    SecondaryTest,
    classify,
    draw_particles,
    kappa,
)

SPEC = ParticleSpec()
PERFECT = jnp.zeros(14).at[jnp.array([0, 8, 12])].set(1.0)


def turned(rows: list[float]) -> jnp.ndarray:
    """A particle with this kappa: two identical paths would do, one is enough."""
    first = jnp.zeros((2, 4)).at[0].set(jnp.array(rows))
    return jnp.concatenate([first.ravel(), jnp.array([1.0, 0, 0, 0]), jnp.array([1.0, 0])])


def test_organism_hand_made_replicator_is_fixed_to_zero_error():
    found = classify(SPEC, PERFECT)
    assert found.classes == FixpointClass.IDENTITY
    assert found.replication == 0 and found.double_output == 0 and found.period2 == 0
    assert found.size == 1


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_organism_zero_net_is_labelled_zero(dtype):
    assert classify(SPEC, jnp.zeros(14, dtype)).classes == FixpointClass.ZERO
    assert classify(SPEC, jnp.full(14, 9e-6, dtype)).classes == FixpointClass.ZERO


def test_organism_pitfall_journal_order_counts_zeros_as_replicators():
    weights = jnp.stack([jnp.zeros(14), PERFECT])
    swarm = classify(SPEC, weights)
    journal = classify(SPEC, weights, order=LabelOrder.JOURNAL)
    assert swarm.count(FixpointClass.ZERO) == 1 and swarm.count(FixpointClass.IDENTITY) == 1
    assert journal.count(FixpointClass.ZERO) == 0 and journal.count(FixpointClass.IDENTITY) == 2


def test_organism_double_output_and_period2_disagree():
    """On `kappa_0 = -1` the public test is passed exactly, whatever the other three are."""
    weights = turned([-1.0, 0.3, -0.2, 0.5])
    assert jnp.allclose(kappa(SPEC, weights), jnp.array([-1, 0.3, -0.2, 0.5]))
    found = classify(SPEC, weights)
    assert found.classes == FixpointClass.SECONDARY
    assert found.double_output < 1e-14 and found.period2 > 0.1
    strict = classify(SPEC, weights, secondary=SecondaryTest.PERIOD2)
    assert strict.classes == FixpointClass.OTHER


def test_minus_one_is_a_two_cycle_for_even_depth_only():
    """`T(theta) = -theta`, whose kappa_0 is 1 with three matrices and -1 with two."""
    three = classify(SPEC, turned([-1.0, 0, 0, 0]), secondary=SecondaryTest.PERIOD2)
    assert three.double_output == 0 and three.period2 == 2
    assert three.classes == FixpointClass.OTHER
    shallow = ParticleSpec(widths=(2,))
    weights = jnp.array([-1.0, 0, 0, 0, 0, 0, 0, 0, 1, 0])
    two = classify(shallow, weights, secondary=SecondaryTest.PERIOD2)
    assert two.period2 == 0 and two.replication == 2
    assert two.classes == FixpointClass.SECONDARY


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_divergent_is_tested_first(bad):
    assert classify(SPEC, PERFECT.at[3].set(bad)).classes == FixpointClass.DIVERGENT
    assert classify(SPEC, jnp.full(14, bad)).classes == FixpointClass.DIVERGENT


def test_finite_weights_whose_answers_overflow_pass_no_test():
    found = classify(SPEC, jnp.full(14, 1e200))
    assert found.classes == FixpointClass.OTHER
    assert not np.isfinite(found.replication)


def test_organism_pitfall_labels_are_made_in_float64(getkey):
    """In float32 the error of a replicator is as large as a tenth of the tolerance."""
    weights = draw_particles(getkey(), SPEC, 20, jnp.float32)
    found = classify(SPEC, weights)
    again = classify(SPEC, weights.astype(jnp.float64))
    assert found.replication.dtype == np.float64
    assert (found.replication == again.replication).all()


def test_organism_pitfall_small_weights_pass_every_test(getkey):
    """The tests are absolute."""
    tiny = 2e-6 * draw_particles(getkey(), SPEC, 5)
    found = classify(SPEC, tiny)
    assert (found.replication <= 1e-5).all() and found.count(FixpointClass.ZERO) == 5


def test_organism_pitfall_the_column_of_the_task_must_be_copied_too(getkey):
    """Self-application never uses it, but asks for its weights like for all others."""
    spec = ParticleSpec(inputs=5)
    weights = jnp.zeros(16).at[jnp.array([0, 10, 14])].set(1.0)
    column = weights.at[jnp.array([4, 9])].set(jnp.array([0.7, -30.0]))
    assert kappa(spec, column)[4] == 0.7
    assert classify(spec, column).replication == 0
    # A first answer that is a little off is off by so much more on a large weight.
    off = column.at[0].set(1 + 1e-6)
    assert classify(spec, off).replication == pytest.approx(30e-6)
    assert classify(spec, off.at[9].set(0.0)).classes == FixpointClass.IDENTITY


def test_batches_of_any_rank():
    found = classify(SPEC, jnp.zeros((2, 3, 14)))
    assert found.classes.shape == (2, 3) and found.count(FixpointClass.ZERO) == 6


@pytest.mark.parametrize("tolerance", [0.0, -1e-5, float("nan"), float("inf")])
def test_refuses_tolerances(tolerance):
    with pytest.raises(InputProblem, match="give a positive number"):
        classify(SPEC, PERFECT, tolerance=tolerance)


@pytest.mark.usefixtures("untyped")
def test_refuses_what_does_not_fit():
    with pytest.raises(InputProblem, match="last axis must be 14"):
        classify(SPEC, jnp.zeros(13))
    with pytest.raises(InputProblem, match="give a LabelOrder"):
        classify(SPEC, PERFECT, order="swarm")  # pyright: ignore[reportArgumentType]
