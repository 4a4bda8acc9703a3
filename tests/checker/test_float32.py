"""The float32 section: true bounds are accepted, smaller ones are not, and real runs obey them."""

import copy
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flint import arb, arb_mat

from limitset.checker import check
from limitset.checker._size import Gauge, length_of, spread_of

from .certificates import (
    HIGHEST,
    add_float32,
    assembly,
    decode,
    elman,
    rate_arrays,
    rate_config,
    rate_flow,
    rate_map,
    tensor,
    write,
)

SCALE = np.exp(np.random.default_rng(0).uniform(-0.3, 0.3, 6))
FORMS = ["hopfield", "firing_rate"]
EXACT = {"relu", "identity"}


def single(dtype: Any = np.float32) -> dict[str, np.ndarray]:
    return rate_arrays(3, 6, norm=0.3, dtype=dtype)


def all_kinds() -> dict[str, dict]:
    found = {}
    for activation, form in itertools.product(HIGHEST, FORMS):
        config = rate_config(activation=activation, form=form)
        alpha = 0.0 if activation in EXACT else 2.0**-20
        step = rate_map("singular_value", config, single(), SCALE, 0.9, 0.1)
        found[f"map-{activation}-{form}"] = add_float32(step, alpha=alpha)
        whole = assembly(
            "semi_implicit",
            sizes=[3, 5, 2],
            activation=activation,
            form=form,
            dtype=np.float32,
            norm=0.3,
        )
        found[f"assembly-{activation}-{form}"] = add_float32(whole, alpha=alpha)
    for scheme, form in itertools.product(("explicit_euler", "exponential_euler"), FORMS):
        whole = assembly(
            scheme, sizes=[3, 5, 2], form=form, dtype=np.float32, norm=0.3, strength=0.1
        )
        found[f"{scheme}-{form}"] = add_float32(whole)
        found[f"{scheme}-{form}-drive"] = add_float32(whole, by_drive=True)
    for activation in HIGHEST:
        step = elman("singular_value", activation, single(), SCALE)
        alpha = 0.0 if activation in EXACT else 2.0**-20
        found[f"elman-{activation}"] = add_float32(step, alpha=alpha)
    return found


KINDS = all_kinds()


def verdict(document: dict, folder: Path):
    return check(write(document, folder / "certificate.json"))


def edited(document: dict, **factors: float) -> dict:
    """The document with fields of its float32 section multiplied."""
    section = {**document["float32"]}
    for key, factor in factors.items():
        section[key] = (float.fromhex(section[key]) * factor).hex()
    return {**document, "float32": section}


@pytest.mark.parametrize("name", KINDS)
def test_accepts_true_bounds(name: str, tmp_path: Path):
    found = verdict(KINDS[name], tmp_path)
    assert found.accepted, found.reason
    assert "float32 runs of one input end within" in found.claim


@pytest.mark.parametrize("name", KINDS)
def test_rejects_whatever_is_tightened(name: str, tmp_path: Path):
    document = KINDS[name]
    attempts = [
        {"rounding": 0.98},
        {"gap": 1 - 1e-5},
        {"state_radius": 1e-3},
        {"input_bound": 3.0},
        {"state_radius": -1.0},
        {"input_bound": -1.0},
        {"rounding": 0.0, "gap": 0.0},
        {"rounding": 1e20, "gap": 1e20},
        {"state_radius": 1e300, "rounding": 1e300, "gap": 1e300},
    ]
    if float.fromhex(document["float32"]["activation_error"]) > 0:
        attempts.append({"activation_error": 8.0})
    for attempt in attempts:
        assert not verdict(edited(document, **attempt), tmp_path).accepted, attempt


@pytest.mark.parametrize("name", KINDS)
def test_activation_error_is_plausible(name: str, tmp_path: Path):
    """Zero only for functions that float32 evaluates exactly; never negative, never huge."""
    exact = any(word in name for word in EXACT)
    assert verdict(edited(KINDS[name], activation_error=0.0), tmp_path).accepted == exact
    for error in (-(2.0**-20), 2.0**-9):
        changed = copy.deepcopy(KINDS[name])
        changed["float32"]["activation_error"] = error.hex()
        assert not verdict(changed, tmp_path).accepted


def test_only_for_float32_maps(tmp_path: Path):
    section = KINDS["map-tanh-hopfield"]["float32"]
    others = [
        rate_flow("singular_value", rate_config(), single(), SCALE),
        rate_map("singular_value", rate_config(), single(np.float64), SCALE, 0.9, 0.1),
        assembly("explicit_euler", sizes=[3, 3], strength=0.1),
        assembly(None, sizes=[3, 3], dtype=np.float32),
    ]
    for document in others:
        assert verdict({**document, "float32": None}, tmp_path).accepted
        assert not verdict({**document, "float32": section}, tmp_path).accepted
    mixed = copy.deepcopy(KINDS["map-tanh-hopfield"])
    bias = decode(mixed["network"]["tensors"]["bias"])
    mixed["network"]["tensors"]["bias"] = tensor(bias.astype(np.float64))
    assert not verdict(mixed, tmp_path).accepted


def test_overflow_is_excluded(tmp_path: Path):
    """Bounds hold in real numbers, but a weight of 2^100 times a state of 2^40 is infinite."""
    arrays = single()
    arrays["bias"] = arrays["bias"] * np.float32(2.0**126)
    config = rate_config(activation="relu")
    document = rate_map("singular_value", config, arrays, SCALE, 0.9, 0.1)
    assert verdict(document, tmp_path).accepted
    assert not verdict(add_float32(document, alpha=0.0), tmp_path).accepted


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["map", "assembly"])
def test_ball_of_a_bounded_drive(kind: str, form: str, tmp_path: Path):
    """Close to factor 1, a bounded activation keeps runs in a smaller ball than contraction."""
    if kind == "map":
        arrays = rate_arrays(3, 6, norm=0.95, dtype=np.float32)
        document = rate_map("singular_value", rate_config(form=form), arrays, np.ones(6), 0.9, 0.1)
    else:
        sizes, dtype, scale = [3, 5, 2], np.float32, np.ones(10)
        document = assembly(
            "semi_implicit", sizes=sizes, form=form, norm=0.95, dtype=dtype, scale=scale
        )
    small, large = add_float32(document, by_drive=True), add_float32(document)
    assert verdict(small, tmp_path).accepted and verdict(large, tmp_path).accepted
    radii = [float.fromhex(d["float32"]["state_radius"]) for d in (small, large)]
    assert radii[0] < 0.5 * radii[1]
    assert not verdict(edited(small, state_radius=0.98), tmp_path).accepted


def advance(document: dict, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """One float32 step of a rate map or Elman cell with tanh."""
    network = document["network"]
    arrays = {key: decode(value) for key, value in network["tensors"].items()}
    if network["config"]["kind"] == "elman":
        pre = arrays["weight_ih_l0"] @ u + arrays["bias_ih_l0"] + arrays["weight_hh_l0"] @ x
        return np.tanh(pre + arrays["bias_hh_l0"])
    offset = arrays["input_weight"] @ u + arrays["bias"]
    if network["config"]["form"] == "hopfield":
        drive = arrays["weight"] @ np.tanh(x) + offset
    else:
        drive = np.tanh(arrays["weight"] @ x + offset)
    return arrays["keep"] * x + arrays["gain"] * drive


@pytest.mark.parametrize("name", ["map-tanh-hopfield", "map-tanh-firing_rate", "elman-tanh"])
def test_runs_obey_the_claim(name: str):
    document, rng = KINDS[name], np.random.default_rng(7)
    section = {key: float.fromhex(value) for key, value in document["float32"].items()}
    q, radius = float.fromhex(document["claim"]["factor"]), section["state_radius"]
    x, y = rng.normal(size=(2, 6))
    x, y = ((0.999 * radius * v / np.linalg.norm(SCALE * v)).astype(np.float32) for v in (x, -y))
    first = np.linalg.norm(SCALE * (x.astype(float) - y))
    for n in range(1, 300):
        u = rng.uniform(-1, 1, 2).astype(np.float32)
        x, y = advance(document, x, u), advance(document, y, u)
        assert x.dtype == np.float32
        assert np.linalg.norm(SCALE * x) <= radius
        distance = np.linalg.norm(SCALE * (x.astype(float) - y))
        assert distance <= q**n * first + section["gap"]


def test_lengths_of_vectors_that_may_be_zero():
    """Powers and roots of balls around 0 are NaN in Arb."""
    for vector, least, most in (
        ([arb(0), arb(0)], 0.0, 0.0),
        ([arb(0, 1e-30), arb(0)], 2e-30, 2.1e-30),
        ([arb(3, 1e-9), arb(8)], 10.0, 10.1),
    ):
        form, reach = arb_mat([[4.0, 0.0], [0.0, 1.0]]), [arb(0.5), arb(1)]
        for gauge in (Gauge(reach, None, form), Gauge(reach, (2.0, 1.0), arb_mat(0, 0))):
            length = length_of(gauge, slice(None), vector)
            assert length >= least and length <= most


def test_spreads_bound_the_norm_of_nonnegative_matrices():
    """Close to it, also where entries vanish, where the matrix does, and along a chain."""
    rng = np.random.default_rng(4)
    matrices = [np.abs(rng.normal(size=(n, n))) for n in (1, 2, 7, 20)]
    matrices += [np.zeros((3, 3)), np.diag([1.0, 0.0, 1e-200]), np.diag(np.ones(5), 1)]
    matrices.append(np.where(rng.random((12, 12)) < 0.8, 0.0, rng.random((12, 12))))
    for matrix in matrices:
        bound = spread_of(arb_mat(matrix.tolist()))
        norm = np.linalg.norm(matrix, 2)
        assert bound >= norm * (1 - 1e-12)
        assert bound <= norm * 1.05 + 1e-100
