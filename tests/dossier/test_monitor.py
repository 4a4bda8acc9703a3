"""What is recorded while a cell trains."""

import dataclasses

import numpy as np
import pytest

from limitset import InputProblem
from limitset.dossier import PhaseMonitor, gate_statistics
from limitset.training import GRUCore, Recipe, build, fit
from tiny_training import TINY, tiny_settings, tiny_split


def test_every_epoch_is_recorded_with_the_weights_that_run():
    monitor = PhaseMonitor()
    model = build(TINY, dataclasses.replace(tiny_settings(), core=GRUCore(units=5)))
    run = fit(model, tiny_split().train, Recipe(epochs=3, batch_size=8), watch=monitor)
    assert [sample.epoch for sample in monitor.samples] == [0, 1, 2]
    assert all(np.isfinite(sample.edge) for sample in monitor.samples)
    final = gate_statistics(run.model.explicit().system)
    assert [g.gain for g in monitor.samples[-1].gates] == pytest.approx([g.gain for g in final])
    assert monitor.samples[0].gates != monitor.samples[-1].gates


def test_what_has_no_ensemble_is_refused_at_once():
    monitor = PhaseMonitor()
    with pytest.raises(InputProblem, match="no ensemble"):
        fit(
            build(TINY, tiny_settings()),
            tiny_split().train,
            Recipe(epochs=2, batch_size=8),
            watch=monitor,
        )
    assert monitor.samples == ()
