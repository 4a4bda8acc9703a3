"""Classifiers: what runs is what the parameters say, and the twin starts like the original."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset.contraction import DissipativeCoupling, StableAssembly
from limitset.dynamics import ExplicitEuler
from limitset.training import (
    RunningClassifier,
    SequenceClassifier,
    accuracy,
    count_parameters,
    cross_entropy,
    freed,
)
from tiny_training import CLASSES, STEPS, tiny_classifier, tiny_split


def manual_scores(classifier: RunningClassifier, sequence: np.ndarray) -> np.ndarray:
    """Step after step, without a scan."""
    state = jnp.zeros(classifier.system.state_size, sequence.dtype)
    advance = jax.jit(type(classifier.system).advance)
    for n, u in enumerate(sequence):
        state = advance(classifier.system, n, state, jnp.asarray(u))
    return np.asarray(classifier.readout.weight @ state + classifier.readout.bias)


def free_twin(model: SequenceClassifier) -> SequenceClassifier:
    core = freed(model.core)  # pyright: ignore[reportArgumentType]
    return SequenceClassifier(core, model.readout, ExplicitEuler(1.0), model.readout_gain)


def test_scores_are_the_readout_of_the_last_state():
    running = tiny_classifier().explicit()
    sequence = tiny_split().test.inputs[0]
    assert running(jnp.asarray(sequence)).shape == (CLASSES,)
    expected = manual_scores(running, sequence)
    assert np.allclose(running(jnp.asarray(sequence)), expected, rtol=1e-5, atol=1e-6)


def test_the_readout_gain_multiplies_weights_and_leaves_biases():
    model = tiny_classifier(readout_gain=7.0)
    explicit = model.explicit().readout
    assert jnp.array_equal(explicit.weight, 7 * model.readout.weight)
    assert jnp.array_equal(explicit.bias, model.readout.bias)


@pytest.mark.parametrize("start", ["delay_line", "absolute_value", "singular_value"])
def test_the_free_twin_starts_from_the_same_weights(start: str):
    model = tiny_classifier(start=start, form="firing_rate")
    ours, free = model.core.explicit(), freed(model.core).explicit()  # pyright: ignore[reportArgumentType]
    same = jax.tree.map(jnp.array_equal, ours, free)
    assert jax.tree.structure(ours) == jax.tree.structure(free) and all(jax.tree.leaves(same))
    assert freed(model.core).metric() is None  # pyright: ignore[reportArgumentType]


def test_the_free_twin_has_the_slowing_and_the_damping_of_the_original():
    core = tiny_classifier().core
    assert isinstance(core, StableAssembly)
    lower = jax.random.normal(jax.random.key(1), core.coupling.whitened().shape, jnp.float32)
    coupling = DissipativeCoupling(lower, lower.T, core.coupling.sizes, 0.5)
    damped = dataclasses.replace(core, coupling=coupling)
    slow = dataclasses.replace(core, log_slowing=jnp.array([0.3, -0.7], jnp.float32))
    for original in (slow, damped):
        ours, free = original.explicit(), freed(original).explicit()
        same = jax.tree.map(jnp.array_equal, ours, free)
        assert jax.tree.structure(ours) == jax.tree.structure(free)
        assert all(jax.tree.leaves(same))
    assert count_parameters(free_twin(dataclasses.replace(tiny_classifier(), core=slow))) > 0


def test_the_free_twin_keeps_its_coupling_between_modules():
    """Whatever gradients do to the blocks on the diagonal, it stays an assembly."""
    free = freed(tiny_classifier().core)  # pyright: ignore[reportArgumentType]
    coupling = free.explicit().coupling
    changed = type(free)(
        free.weights,
        jnp.ones_like(free.coupling),
        free.input_weight,
        free.bias,
        free.activation,
        free.form,
        free.time_constants,
    )
    mask = np.asarray(changed.explicit().coupling)
    assert np.array_equal(mask, 1 - np.kron(np.eye(2), np.ones((3, 3))))
    assert not (np.asarray(coupling) * (1 - mask)).any()


@pytest.mark.parametrize("start", ["absolute_value", "singular_value", "free"])
def test_parameters_are_counted_by_their_effect(start: str):
    """A parameter counts if some weight that runs depends on it."""
    model = tiny_classifier(start="absolute_value" if start == "free" else start)
    model = free_twin(model) if start == "free" else model
    leaves, structure = jax.tree.flatten(model)
    sizes = np.cumsum([leaf.size for leaf in leaves])[:-1]

    def weights(flat: jax.Array) -> jax.Array:
        parts = [
            part.reshape(leaf.shape)
            for part, leaf in zip(jnp.split(flat, sizes), leaves, strict=True)
        ]
        running = jax.tree.unflatten(structure, parts).explicit()
        assembly = running.system.assembly
        # The assembly's own constants (keep, gain, propagator) follow from these.
        return jnp.concatenate(
            [leaf.ravel() for leaf in jax.tree.leaves((assembly, running.readout))]
        )

    flat = jnp.concatenate([leaf.ravel() for leaf in leaves])
    effect = np.asarray(jax.jacfwd(weights)(flat))
    assert count_parameters(model) == int((np.abs(effect).max(0) > 1e-12).sum())


def test_accuracy_counts_hits_in_blocks():
    running = tiny_classifier().explicit()
    data = tiny_split(samples=24).test
    scores = np.array([manual_scores(running, sequence) for sequence in data.inputs])
    expected = float((scores.argmax(-1) == data.labels).mean())
    assert accuracy(running, data.inputs, data.labels) == expected
    many = np.tile(data.inputs, (50, 1, 1)), np.tile(data.labels, 50)
    assert accuracy(running, *many) == pytest.approx(expected, abs=1e-12)


def test_cross_entropy_is_the_mean_negative_log_likelihood():
    running, data = tiny_classifier().explicit(), tiny_split().test
    scores = np.array([manual_scores(running, s) for s in data.inputs]).astype(np.float64)
    likelihood = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = -np.log(likelihood[np.arange(len(data.labels)), data.labels]).mean()
    found = cross_entropy(running, jnp.asarray(data.inputs), jnp.asarray(data.labels))
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_scores_depend_on_every_step():
    running, sequence = tiny_classifier().explicit(), tiny_split().test.inputs[0]
    reference = np.asarray(running(jnp.asarray(sequence)))
    for step in range(STEPS):
        changed = sequence.copy()
        changed[step] += 1
        assert not np.array_equal(np.asarray(running(jnp.asarray(changed))), reference)
