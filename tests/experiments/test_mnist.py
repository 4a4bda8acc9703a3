"""Organisms that tell digits apart, on the digits that ship with scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
import xarray

from limitset._result import InputProblem
from limitset.experiments import EXPERIMENTS, read_settings
from limitset.experiments._image_organism import ImageOrganismSettings, load_images
from limitset.sweeps import SweepProgress
from limitset.training import load_digits_sequences

MNIST = EXPERIMENTS["mnist"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> xarray.Dataset:
    """A short run, read back from its store."""
    store = tmp_path_factory.mktemp("mnist") / "store"
    settings = read_settings(MNIST.settings, ["seeds=1", "epochs=12", "self_steps=20", "rate=0.01"])
    first = MNIST.compute(settings, store, None)
    seen = list[SweepProgress]()
    again = MNIST.compute(settings, store, seen.append)
    assert seen and all(progress.found == progress.total == 1 for progress in seen)
    xarray.testing.assert_identical(first, again)
    return again


def test_it_learns_and_some_replicate(found: xarray.Dataset):
    last = found.isel(epoch=-1)
    assert found.sizes["particle"] == 64 * 5 + 25 + 50
    assert (last["accuracy"] > 0.25).all()
    assert ((last["replicators"] > 10) & (last["replicators"] < 200)).all()
    assert (last["replicators"] == found["layer_replicators"].sum("layer")).all()
    # Digits have few pixels at the border; replicators hear those.
    assert float(found["place"].isel(column=0).mean()) > 10 * float(
        found["place"].isel(column=slice(2, 6)).mean()
    )


def test_dropping_replicators_costs_little_and_all_others_everything(found: xarray.Dataset):
    full = found["accuracy"].isel(epoch=-1)
    assert (abs(found["without_replicators"] - full) < 0.03).all()
    assert (found["without_others"] < 0.2).all()
    assert (abs(found["without_activity"] - full) < 0.03).all()


def test_organism_projection_makes_all_replicate(found: xarray.Dataset):
    """Exactly the same accuracy: the weights of the task do not move at all."""
    assert (found["projected_replicators"] == found.sizes["particle"]).all()
    assert (found["projected_accuracy"] == found["accuracy"].isel(epoch=-1)).all()


def test_organism_pitfall_small_loss_is_no_fixed_point(found: xarray.Dataset):
    last = found.isel(epoch=-1)
    assert (last["replication_loss"] < 1e-2).all()
    assert ((last["error"] > found.attrs["tolerance"]).mean("particle") > 0.5).all()


def test_rows_name_published_numbers_for_mnist_only(found: xarray.Dataset):
    rows = MNIST.rows(found)
    assert {row.theirs for row in rows} == {"-"}
    as_mnist = {row.quantity: row for row in MNIST.rows(found.assign_attrs(task="mnist"))}
    assert as_mnist["accuracy without all others"].theirs == ".098-.10 (figure)"
    assert len(as_mnist) == len(rows)


def test_pixels_that_do_not_change_are_left_out():
    images = load_images(ImageOrganismSettings(least_deviation=0.02))
    assert images.task.inputs.shape[1] == images.seen.sum() < 64
    assert (np.asarray(images.task.inputs).std(0) >= 0.0199).all()
    whole = load_images(ImageOrganismSettings())
    assert whole.seen.all() and whole.task.inputs.dtype == np.float32
    assert np.array_equal(whole.task.inputs, load_digits_sequences().train.inputs[:, :, 0])


def test_sizes_of_both_tasks():
    assert (ImageOrganismSettings().pixels_across, ImageOrganismSettings().batch_size) == (8, 48)
    mnist = ImageOrganismSettings(task="mnist", side=20)
    assert (mnist.pixels_across, mnist.batch_size) == (20, 2000)


def test_mnist_is_read_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIMITSET_DATA", str(tmp_path / "nothing"))
    with pytest.raises(InputProblem, match="LIMITSET_DATA"):
        load_images(ImageOrganismSettings(task="mnist"))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("task=letters", "task is 'letters'; use one of digits, mnist"),
        ("activation=sine", "activation is 'sine'"),
        ("seeds=0", "seeds is 0"),
        ("layers=0", "layers is 0"),
        ("side=29", "side is 29"),
        ("noise=nan", "noise is nan"),
        ("least_deviation=0.9", "least_deviation 0.9"),
        ("momentum=1", "momentum is 1"),
        ("tolerance=0", "tolerance is 0"),
    ],
)
def test_unusable_settings(word: str, message: str):
    with pytest.raises(InputProblem, match=message):
        read_settings(MNIST.settings, [word])
