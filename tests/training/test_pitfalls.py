"""Mistakes that others made in training stable networks, each shown not to be made here."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset.contraction import Certificate, InputGain, certify, input_gain
from limitset.training import (
    TASKS,
    Recipe,
    accuracy,
    certified_factor,
    fit,
    train_task,
)
from tiny_training import STEPS, TINY, tiny_classifier, tiny_settings, tiny_split


def test_pitfall_16_scores_are_those_of_the_last_epoch(monkeypatch: pytest.MonkeyPatch):
    """Not of the epoch that does best on the test data, which training never sees."""
    monkeypatch.setitem(TASKS, "tiny", TINY)
    trained = train_task("tiny", tiny_settings())
    split = tiny_split()
    other_test = dataclasses.replace(split.test, labels=split.test.labels[::-1].copy())
    blind = train_task("tiny", tiny_settings(), split=type(split)(split.train, other_test))
    pairs = zip(jax.tree.leaves(trained.fit.model), jax.tree.leaves(blind.fit.model), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    last = trained.fit.model.explicit()
    assert trained.test_accuracy == accuracy(last, split.test.inputs, split.test.labels)
    assert len(trained.fit.history) == tiny_settings().epochs


def test_pitfall_17_what_is_forgotten_follows_from_the_factor():
    """A gradient that vanishes is what the certificate says, not a failure of the optimiser."""
    model = tiny_classifier()
    running = model.explicit().system
    answer = certify(running, metric=model.core.metric())
    assert isinstance(answer, Certificate) and answer.factor is not None
    gain = input_gain(answer)
    assert isinstance(gain, InputGain)
    sequence = jnp.asarray(tiny_split().test.inputs[0])

    def last(inputs: jax.Array) -> jax.Array:
        x = jnp.zeros(running.state_size, inputs.dtype)
        for n in range(STEPS):
            x = running.advance(n, x, inputs[n])
        return x

    slopes = jax.jit(jax.jacrev(last))(sequence)[:, :, 0].T.astype(jnp.float64)
    for step, slope in enumerate(slopes):
        remembered = float(answer.metric.norm(slope))
        assert remembered <= gain.gain * answer.factor ** (STEPS - 1 - step) * (1 + 1e-5)


def test_pitfall_18_readouts_see_the_last_state_only():
    """No average over time, no second pass from the end: only such figures compare."""
    running = tiny_classifier().explicit()
    sequence = jnp.asarray(tiny_split().test.inputs[0])
    x = jnp.zeros(running.system.state_size, sequence.dtype)
    for n in range(STEPS):
        x = running.system.advance(n, x, sequence[n])
    assert np.allclose(running(sequence), running.readout(x), rtol=1e-5, atol=1e-6)


def test_a_thousand_updates_with_a_wild_coupling_stay_certified():
    """The coupling starts a hundred times too strong; every epoch's factor is the verified one."""
    model = tiny_classifier(start="absolute_value")
    lower = model.core.coupling.lower  # pyright: ignore[reportAttributeAccessIssue]
    wild = eqx.tree_at(lambda m: m.core.coupling.lower, model, 100 * lower)
    data = tiny_split(samples=400).train
    factors: list[float] = []
    done = fit(
        wild,
        data,
        Recipe(epochs=20, batch_size=8, learning_rate=0.05),
        on_epoch=lambda epoch: factors.append(epoch.factor or np.inf),
    )
    assert len(done.history) * (400 // 8) == 1000
    assert max(factors) < 1
    assert factors[-1] == certified_factor(done.model)
    for trained in (wild, done.model):
        coupling = trained.explicit().system.assembly.coupling  # pyright: ignore[reportAttributeAccessIssue]
        assert float(jnp.abs(coupling).max()) > 10
