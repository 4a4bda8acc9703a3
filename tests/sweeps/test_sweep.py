"""Sweeps: the grid, what is stored, what is not computed twice, and what is refused."""

import json

import numpy as np
import pytest

from limitset import InputProblem
from limitset.sweeps import SweepProgress, sweep

AXES = {"a": [1.0, 2.0, 3.0], "b": [0.5, 1.5]}


def product(a, b, **settings):
    return {"value": a * b + settings.get("offset", 0)}


def test_values_stand_at_their_points():
    found = sweep(product, AXES)
    for a in AXES["a"]:
        for b in AXES["b"]:
            assert found["value"].sel(a=a, b=b).item() == a * b
    assert found["value"].dims == ("a", "b")
    assert found["complete"].all()


def test_arrays_keep_their_dimension_and_coordinate():
    def curve(a):
        return {"curve": ("lag", a * np.arange(4)), "lag": ("lag", [0.0, 0.1, 0.2, 0.3])}

    found = sweep(curve, {"a": [1, 2]})
    assert found["curve"].dims == ("a", "lag")
    np.testing.assert_array_equal(found["curve"].sel(a=2), [0, 2, 4, 6])
    np.testing.assert_array_equal(found["lag"], [0.0, 0.1, 0.2, 0.3])


def test_integers_and_later_fractions_agree():
    found = sweep(lambda a: {"half": a // 2 if a == 2 else a / 2}, {"a": [2, 3]})
    np.testing.assert_array_equal(found["half"], [1.0, 1.5])


def test_truth_values_stay_truth_values():
    assert sweep(lambda a: {"large": a > 1}, {"a": [1, 2]})["large"].dtype == bool


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path):
    calls = []

    def fragile(a, b):
        calls.append((a, b))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return product(a, b)

    with pytest.raises(KeyboardInterrupt):
        sweep(fragile, AXES, store=tmp_path / "store")
    seen = []
    found = sweep(fragile, AXES, store=tmp_path / "store", report=seen.append)
    # Six points and the one that was interrupted.
    assert len(calls) == 7
    assert seen[0] == SweepProgress(3, 3, 6) and seen[-1] == SweepProgress(3, 6, 6)
    assert found.drop_attrs().equals(sweep(product, AXES).drop_attrs())


def test_a_finished_sweep_is_read(tmp_path):
    first = sweep(product, AXES, store=tmp_path / "store")

    def never(a, b):
        raise AssertionError

    assert sweep(never, AXES, store=tmp_path / "store").equals(first)


def test_a_point_that_was_cut_off_is_computed_again(tmp_path):
    sweep(product, AXES, store=tmp_path / "store")
    (tmp_path / "store" / "complete" / "c" / "1" / "1").unlink()
    calls = []

    def counted(a, b):
        calls.append((a, b))
        return product(a, b)

    found = sweep(counted, AXES, store=tmp_path / "store")
    assert calls == [(2.0, 1.5)] and found["complete"].all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"axes": {"a": [1.0, 2.0], "b": [0.5, 1.5]}}, "a differs"),
        ({"settings": {"offset": 1}}, "offset differs"),
        ({"purpose": "another"}, "purpose differs"),
    ],
)
def test_a_store_of_another_sweep_is_refused(tmp_path, change, word):
    sweep(product, AXES, store=tmp_path / "store")
    arguments = {"axes": AXES, "store": tmp_path / "store"} | change
    with pytest.raises(InputProblem, match=word):
        sweep(product, **arguments)


def test_a_folder_with_other_files_is_refused_and_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputProblem, match="no sweep"):
        sweep(product, AXES, store=tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_store_of_something_else_is_refused(tmp_path):
    (tmp_path / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group"}))
    with pytest.raises(InputProblem, match="without a sweep"):
        sweep(product, AXES, store=tmp_path)


@pytest.mark.parametrize(
    ("axes", "word"),
    [
        ({}, "no axes"),
        ({"a": []}, "no list of numbers"),
        ({"a": ["x"]}, "no list of numbers"),
        ({"a": 3.0}, "no list of numbers"),
        ({"a": [1.0, float("nan")]}, "NaN"),
        ({"a": [1.0, 1.0]}, "twice"),
        ({"a": range(10**4), "b": range(10**4)}, "more than"),
    ],
)
def test_axes_that_span_no_grid_are_refused(axes, word):
    with pytest.raises(InputProblem, match=word):
        sweep(lambda **point: {"value": 0}, axes)


@pytest.mark.parametrize(
    ("result", "word"),
    [
        ({"value": "text"}, "real numbers"),
        ({"value": 1j}, "real numbers"),
        ({"complete": 1.0}, "another name"),
    ],
)
def test_results_that_cannot_be_stored_are_refused(result, word):
    with pytest.raises(InputProblem, match=word):
        sweep(lambda a: result, {"a": [1]})


def test_changing_shapes_are_refused():
    with pytest.raises(InputProblem, match="one shape"):
        sweep(lambda a: {"curve": ("lag", np.zeros(a))}, {"a": [1, 2]})


def test_a_setting_that_is_an_axis_is_refused():
    with pytest.raises(InputProblem, match="once"):
        sweep(product, AXES, settings={"a": 1.0})


@pytest.mark.parametrize("damage", ["truncated", "other bytes", "empty", "removed"])
@pytest.mark.parametrize("place", ["value/c/1/1", "complete/c/1/1", "value/zarr.json"])
def test_damaged_stores_are_refused_in_one_line(tmp_path, place, damage):
    store = tmp_path / "store"
    sweep(product, AXES, store=store)
    file = store / place
    content = file.read_bytes()
    broken = {"truncated": content[: len(content) // 2], "empty": b""}
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes(broken.get(damage, b"x" * len(content)))
    if damage == "removed" and place == "complete/c/1/1":
        # Then the point counts as not computed.
        assert sweep(product, AXES, store=store)["complete"].all()
        return
    if damage == "removed" and place == "value/c/1/1":
        # What is not there is NaN, and is not taken for a number.
        assert np.isnan(sweep(product, AXES, store=store)["value"].sel(a=2.0, b=1.5))
        return
    with pytest.raises(InputProblem, match="remove") as problem:
        sweep(product, AXES, store=store)
    assert "\n" not in str(problem.value)


def test_axes_are_those_that_were_asked_for(tmp_path):
    sweep(product, AXES, store=tmp_path / "store")
    (tmp_path / "store" / "a" / "c" / "0").unlink()
    found = sweep(product, AXES, store=tmp_path / "store")
    assert found["a"].values.tolist() == AXES["a"]
