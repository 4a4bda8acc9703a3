"""The checker accepts what is true and provable, and nothing that is tightened beyond it."""

import itertools
from pathlib import Path
from typing import Any

import flint
import numpy as np
import pytest

from limitset.checker import check

from .certificates import (
    HIGHEST,
    assembly,
    decode,
    elman,
    module_bound,
    rate_arrays,
    rate_config,
    rate_flow,
    rate_map,
    skew_coupling,
    tensor,
    whiten,
    write,
)

SCALE = np.exp(np.random.default_rng(0).uniform(-0.3, 0.3, 6))
THEOREMS = ["absolute_value", "singular_value"]
FORMS = ["hopfield", "firing_rate"]
SCHEMES = [None, "semi_implicit", "explicit_euler", "exponential_euler"]


def single(dtype: Any = np.float64, norm: float = 0.3) -> dict[str, np.ndarray]:
    return rate_arrays(3, 6, norm=norm, dtype=dtype)


def all_kinds() -> dict[str, dict]:
    """One certificate of every theorem, activation, form, kind and scheme."""
    found = {}
    for theorem, activation, form in itertools.product(THEOREMS, HIGHEST, FORMS):
        config = rate_config(activation=activation, form=form, leak=1.5, time_constant=2.0)
        name = f"{theorem}-{activation}-{form}"
        found[f"flow-{name}"] = rate_flow(theorem, config, single(), SCALE)
        found[f"map-{name}"] = rate_map(theorem, config, single(), SCALE, 0.9, 0.1)
        found[f"elman-{name}"] = elman(theorem, activation, single(), SCALE)
    for scheme, form, theorem in itertools.product(SCHEMES, FORMS, THEOREMS):
        gains_only = scheme in ("explicit_euler", "exponential_euler")
        if not (gains_only and theorem == "absolute_value"):
            found[f"assembly-{scheme}-{form}-{theorem}"] = assembly(
                scheme,
                sizes=[3, 5, 2],
                form=form,
                theorem=theorem,
                norm=0.3,
                strength=0.1 if gains_only else 3.0,
            )
    return found


KINDS = all_kinds()


def verdict(document: dict, folder: Path):
    return check(write(document, folder / "certificate.json"))


def edit(text: str, factor: float) -> str:
    return (float.fromhex(text) * factor).hex()


@pytest.mark.parametrize("name", KINDS)
def test_accepts_true_claims(name: str, tmp_path: Path):
    found = verdict(KINDS[name], tmp_path)
    assert found.accepted, found.reason
    assert "[checked]" in found.claim and "no model compared" in found.claim


@pytest.mark.parametrize("name", KINDS)
def test_rejects_whatever_is_tightened(name: str, tmp_path: Path):
    """A stronger claim, and a smaller bound of any module or coupling, each fail alone."""
    document = KINDS[name]
    kind = "rate" if "rate" in document["claim"] else "factor"
    stronger = {**document["claim"]}
    stronger[kind] = edit(stronger[kind], 1.0001 if kind == "rate" else 0.9999)
    attempts = [{**document, "claim": stronger}]
    witness = document["witness"]
    for i, entry in enumerate(witness["modules"]):
        modules = [*witness["modules"]]
        modules[i] = {**entry, "bound": edit(entry["bound"], 1 - 1e-6)}
        attempts.append({**document, "witness": {**witness, "modules": modules}})
    for i, bound in enumerate(witness["coupling"]):
        coupling = [*witness["coupling"]]
        coupling[i] = edit(bound, 1 - 1e-6) if kind == "factor" else (-1e-6).hex()
        attempts.append({**document, "witness": {**witness, "coupling": coupling}})
    for attempt in attempts:
        found = verdict(attempt, tmp_path)
        assert not found.accepted and "[checked]" not in found.claim, attempt["witness"]


@pytest.mark.parametrize("name", [name for name in KINDS if "tanh" in name or "semi" in name])
def test_accepts_weaker_claims(name: str, tmp_path: Path):
    document = KINDS[name]
    kind, factor = ("rate", 0.9) if "rate" in document["claim"] else ("factor", 1.001)
    claim = {**document["claim"], kind: edit(document["claim"][kind], factor)}
    assert verdict({**document, "claim": claim}, tmp_path).accepted


def test_claims_outside_their_range_are_rejected(tmp_path: Path):
    flow, step = (
        KINDS["flow-singular_value-tanh-hopfield"],
        KINDS["map-singular_value-tanh-hopfield"],
    )
    for rate in (0.0, -0.1):
        claim = {"time": "continuous", "rate": rate.hex()}
        assert not verdict({**flow, "claim": claim}, tmp_path).accepted
    for factor in (1.0, 1.5, -0.5):
        claim = {"time": "discrete", "factor": factor.hex()}
        assert not verdict({**step, "claim": claim}, tmp_path).accepted
    assert not verdict({**flow, "claim": step["claim"]}, tmp_path).accepted
    assert not verdict({**step, "claim": flow["claim"]}, tmp_path).accepted
    claim = {**step["claim"], "time": "continuous"}
    assert not verdict({**step, "claim": claim}, tmp_path).accepted


def test_printed_numbers_are_rounded_to_the_true_side(tmp_path: Path):
    step = KINDS["map-singular_value-tanh-hopfield"]
    factor = np.nextafter(1.0, 0.0)
    claim = {"time": "discrete", "factor": float(factor).hex()}
    assert (
        "factor <= 0.99999999999999989 per step"
        in verdict({**step, "claim": claim}, tmp_path).claim
    )
    flow = KINDS["flow-singular_value-tanh-hopfield"]
    claim = {"time": "continuous", "rate": (0.1).hex()}  # the float 0.1 exceeds one tenth
    assert "rate >= 0.1 per unit time" in verdict({**flow, "claim": claim}, tmp_path).claim


def test_equality_is_enough(tmp_path: Path):
    """Exact bounds with no slack at all: zero, diagonal and permutation weights."""
    cases = [
        (np.zeros((3, 3)), 0.0),
        (np.diag([0.5, 0.25, 0.0]), 0.5),
        (np.eye(3)[[1, 2, 0]] / 2, 0.5),
    ]
    for (weight, bound), theorem in itertools.product(cases, THEOREMS):
        arrays = {**rate_arrays(0, 3), "weight": weight}
        document = rate_flow(theorem, rate_config(), arrays, np.ones(3))
        document["witness"]["modules"][0]["bound"] = bound.hex()
        document["claim"]["rate"] = (1 - bound).hex()
        assert verdict(document, tmp_path).accepted
    document = assembly(None, sizes=[2, 3], norm=0.5, scale=np.ones(5))
    document["witness"]["coupling"] = [(0.0).hex()]  # K - K^T is skew without rounding
    assert verdict(document, tmp_path).accepted


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["diagonal", "quadratic"])
def test_vertices(form: str, kind: str, tmp_path: Path):
    """The rate of a common Lyapunov matrix at all corners; a smaller one at a negative corner."""
    n, rng = 4, np.random.default_rng(5)
    W = rng.normal(size=(n, n)) * 0.35
    root = np.eye(n) + 0.2 * rng.normal(size=(n, n))
    scale = np.exp(rng.uniform(-0.2, 0.2, n))
    M = np.diag(scale**2) if kind == "diagonal" else root @ root.T
    M = (M + M.T) / 2
    roots = np.linalg.inv(np.linalg.cholesky(M))

    def rate(hopfield: bool) -> float:
        worst = np.inf
        for D in itertools.product([0.0, 1.0], repeat=n):
            J = (-np.eye(n) + (W * np.array(D) if hopfield else np.array(D)[:, None] * W)) / 2
            symmetric = roots @ (M @ J + J.T @ M) @ roots.T / 2
            worst = min(worst, -np.linalg.eigvalsh(symmetric)[-1])
        return worst

    true = rate(form == "hopfield")
    assert true > 0
    config = rate_config(form=form, time_constant=2.0)
    document = rate_flow("singular_value", config, {**rate_arrays(0, n), "weight": W}, scale)
    if kind == "quadratic":
        document["metric"] = {"kind": "quadratic", "matrix": tensor(M)}

    def attempt(claimed: float, bound: float) -> bool:
        document["theorem"] = "vertices"
        document["claim"]["rate"] = claimed.hex()
        document["witness"]["modules"] = [{"theorem": "vertices", "bound": bound.hex()}]
        return verdict(document, tmp_path).accepted

    assert attempt(true * (1 - 1e-9), true * (1 - 1e-9))
    assert attempt(true / 2, true * (1 - 1e-9))
    assert not attempt(true * (1 - 1e-9), true / 2)
    assert not attempt(true * (1 + 1e-6), true * (1 + 1e-6))
    other = rate(form != "hopfield")
    if other > true:  # the other form's metric and rate are not this form's
        assert not attempt(other, other)
    if kind == "quadratic":
        for bad in (M + np.triu(np.full((n, n), 1e-15), 1), -M, M - 10 * np.eye(n)):
            document["metric"] = {"kind": "quadratic", "matrix": tensor(bad)}
            assert not attempt(true / 2, true * (1 - 1e-9))


def test_hopfield_metric_is_no_firing_rate_metric(tmp_path: Path):
    """A dense metric M of the Hopfield form fails in the firing-rate form, whose own is another."""
    W = np.array([[-2.9, -1.1], [-2.4, -2.1]])
    M = np.array([[4.3, -3.1], [-3.1, 3.9]])

    def attempt(form: str, metric: np.ndarray) -> bool:
        arrays = {**rate_arrays(0, 2), "weight": W}
        document = rate_flow("singular_value", rate_config(form=form), arrays, np.ones(2))
        document["theorem"], bound = "vertices", (0.9).hex()
        document["metric"] = {"kind": "quadratic", "matrix": tensor(metric)}
        document["claim"]["rate"] = bound
        document["witness"]["modules"] = [{"theorem": "vertices", "bound": bound}]
        return verdict(document, tmp_path).accepted

    assert attempt("hopfield", M)
    assert not attempt("firing_rate", M)


def test_vertices_is_for_small_flows_of_one_network(tmp_path: Path):
    document = rate_flow("singular_value", rate_config(), rate_arrays(0, 11), np.ones(11))
    step = KINDS["map-singular_value-tanh-hopfield"]
    whole = KINDS["assembly-None-hopfield-singular_value"]
    for attempt in (document, step, whole):
        modules = [{**m, "theorem": "vertices"} for m in attempt["witness"]["modules"]]
        witness = {**attempt["witness"], "modules": modules}
        for theorem in ("vertices", attempt["theorem"]):
            assert not verdict(
                {**attempt, "theorem": theorem, "witness": witness}, tmp_path
            ).accepted


def test_bad_scaling_does_not_matter(tmp_path: Path):
    """Scales over hundreds of orders of magnitude, where float64 overflows."""
    scale = 10.0 ** np.linspace(-150, 150, 6)
    V = 0.3 * np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    arrays = {**rate_arrays(0, 6), "weight": np.zeros((6, 6))}
    arrays["weight"] = np.triu(V / scale[:, None] * scale)
    arrays["weight"][np.abs(arrays["weight"]) > 1e290] = 0.0
    document = rate_flow("singular_value", rate_config(), {**arrays, "weight": 0 * V}, scale)
    document["network"]["tensors"]["weight"] = tensor(arrays["weight"])
    document["witness"]["modules"][0]["bound"] = (0.6).hex()
    document["claim"]["rate"] = (0.4).hex()
    assert verdict(document, tmp_path).accepted == (
        np.linalg.norm(whiten(arrays["weight"], scale), 2) <= 0.6
    )


def test_every_bit_of_weight_and_metric(tmp_path: Path):
    """With one bit flipped and the digest recomputed: rejected, or still true."""
    document = rate_flow(
        "absolute_value", rate_config(), rate_arrays(1, 2, norm=0.7), np.array([1.0, 1.1])
    )
    bound = float.fromhex(document["witness"]["modules"][0]["bound"])
    weight = document["network"]["tensors"]["weight"]
    scale = document["metric"]["scale"]
    accepted = 0
    for which, entry in (("weight", weight), ("scale", scale)):
        raw = decode(entry).astype("<f8").tobytes()
        for bit in range(8 * len(raw)):
            flipped = bytearray(raw)
            flipped[bit // 8] ^= 1 << bit % 8
            array = np.frombuffer(bytes(flipped)).reshape(entry["shape"])
            changed = {**document}
            if which == "weight":
                tensors = {**document["network"]["tensors"], "weight": tensor(array)}
                changed["network"] = {**document["network"], "tensors": tensors}
                W, s = array, decode(scale)
            else:
                changed["metric"] = {"kind": "diagonal", "scale": tensor(array)}
                W, s = decode(weight), array
            if verdict(changed, tmp_path).accepted:
                accepted += 1
                assert np.isfinite(W).all() and (s > 0).all()
                assert module_bound("absolute_value", "tanh", W, s) <= bound * (1 + 1e-12)
    assert 0 < accepted < 8 * 48


# Liars: each breaks one hypothesis and keeps everything else consistent.


def test_coupling_that_is_not_skew_in_the_metric(tmp_path: Path):
    sizes, scale = [3, 3], np.exp(np.linspace(-1, 1, 6))
    honest = assembly(None, sizes=sizes, scale=scale)
    assert verdict(honest, tmp_path).accepted
    K = skew_coupling(0, sizes, np.ones(6))  # L = B - B^T, skew for the identity only
    liar = {**honest, "network": {**honest["network"]}}
    liar["network"]["tensors"] = {**honest["network"]["tensors"], "coupling": tensor(K)}
    assert not verdict(liar, tmp_path).accepted
    L = decode(honest["network"]["tensors"]["coupling"]).copy()
    L[0, 4] += 1e-6
    liar["network"]["tensors"] = {**honest["network"]["tensors"], "coupling": tensor(L)}
    assert not verdict(liar, tmp_path).accepted


def test_large_coupling_under_explicit_euler(tmp_path: Path):
    document = assembly("explicit_euler", sizes=[3, 3], strength=20.0)
    document["claim"]["factor"] = (0.99).hex()
    assert not verdict(document, tmp_path).accepted
    document["witness"]["coupling"] = [(0.9).hex()]
    assert not verdict(document, tmp_path).accepted
    implicit = assembly("semi_implicit", sizes=[3, 3], strength=20.0)
    assert verdict(implicit, tmp_path).accepted


def test_positive_self_weights_count(tmp_path: Path):
    """Zeroing the diagonal is for negative self-weights, whose slope may vanish."""
    off = np.array([[0.0, 0.2], [-0.2, 0.0]])
    for sign, accepted in ((1.0, False), (-1.0, True)):
        arrays = {**rate_arrays(0, 2), "weight": off + sign * 0.9 * np.eye(2)}
        document = rate_flow("absolute_value", rate_config(), {**arrays, "weight": off}, np.ones(2))
        document["network"]["tensors"]["weight"] = tensor(arrays["weight"])
        assert verdict(document, tmp_path).accepted == accepted
        # A negative self-weight never counts as negative: its bound is that of 0.
        document["witness"]["modules"][0]["bound"] = (0.2 - 0.9).hex()
        assert not verdict(document, tmp_path).accepted


def test_leak_and_time_constant_enter_the_rate(tmp_path: Path):
    document = rate_flow("singular_value", rate_config(), single(), SCALE)
    for change in ({"leak": 0.5}, {"leak": 0}, {"time_constant": 2}):
        config = {**document["network"]["config"], **change}
        changed = {**document, "network": {**document["network"], "config": config}}
        assert not verdict(changed, tmp_path).accepted
    for change in ({"leak": -1.0}, {"time_constant": 0.0}, {"time_constant": -1}, {"leak": True}):
        config = {**document["network"]["config"], **change}
        changed = {**document, "network": {**document["network"], "config": config}}
        assert not verdict(changed, tmp_path).accepted


@pytest.mark.parametrize("activation", ["silu", "gelu", "Tanh", "", None, ["tanh"]])
def test_activations_without_proved_slopes(activation, tmp_path: Path):
    document = rate_flow("singular_value", rate_config(), single(norm=0.01), SCALE)
    config = {**document["network"]["config"], "activation": activation}
    changed = {**document, "network": {**document["network"], "config": config}}
    assert not verdict(changed, tmp_path).accepted


def test_steeper_activation_is_noticed(tmp_path: Path):
    """A bound that is true for sigmoid, slopes to 1/4, is claimed for tanh, slopes to 1."""
    document = rate_flow("singular_value", rate_config(activation="sigmoid"), single(), SCALE)
    config = {**document["network"]["config"], "activation": "tanh"}
    assert not verdict(
        {**document, "network": {**document["network"], "config": config}}, tmp_path
    ).accepted


BAD_SCALES = [np.full(6, np.nan), -SCALE, SCALE * 0, np.full(6, np.inf), SCALE[:5], SCALE[None]]


@pytest.mark.parametrize("scale", [*BAD_SCALES, np.ones(6, np.float32)], ids=range(7))
def test_metrics_that_are_none(scale: np.ndarray, tmp_path: Path):
    document = {**KINDS["flow-singular_value-tanh-hopfield"]}
    document["metric"] = {"kind": "diagonal", "scale": tensor(scale)}
    assert not verdict(document, tmp_path).accepted


def test_values_that_are_not_finite(tmp_path: Path):
    document = KINDS["flow-singular_value-tanh-hopfield"]
    for name, value in itertools.product(["weight", "bias"], [np.nan, np.inf, -np.inf]):
        array = decode(document["network"]["tensors"][name]).copy()
        array.flat[1] = value
        tensors = {**document["network"]["tensors"], name: tensor(array)}
        changed = {**document, "network": {**document["network"], "tensors": tensors}}
        assert not verdict(changed, tmp_path).accepted


def test_gain_only_schemes_take_no_absolute_values(tmp_path: Path):
    for scheme in ("explicit_euler", "exponential_euler"):
        document = assembly(scheme, sizes=[3, 3], strength=0.1)
        entry = {"theorem": "absolute_value", "bound": (1.0).hex()}
        witness = {**document["witness"], "modules": [entry, entry]}
        assert not verdict({**document, "witness": witness}, tmp_path).accepted


def test_one_weak_module_is_enough_to_reject(tmp_path: Path):
    for scheme in SCHEMES:
        document = assembly(scheme, sizes=[3, 5, 2], strength=0.1, norm=0.3)
        for i in range(3):
            name = f"module_{i}.weight"
            tensors = {**document["network"]["tensors"]}
            tensors[name] = tensor(decode(tensors[name]) * 4)
            changed = {**document, "network": {**document["network"], "tensors": tensors}}
            assert not verdict(changed, tmp_path).accepted


def test_undecided_at_low_precision_is_tried_again(tmp_path: Path):
    """24 bits cannot resolve a slack of 1e-9, but the second try, of 48, can; 16 cannot."""
    path = write(KINDS["flow-singular_value-tanh-hopfield"], tmp_path / "c.json")
    assert check(path, precision=48).accepted
    assert check(path, precision=24).accepted
    assert not check(path, precision=8).accepted


def test_precision_of_the_caller_is_restored(tmp_path: Path):
    before = flint.ctx.prec
    verdict(KINDS["flow-singular_value-tanh-hopfield"], tmp_path)
    verdict({**KINDS["flow-singular_value-tanh-hopfield"], "theorem": "none"}, tmp_path)
    assert flint.ctx.prec == before


@pytest.mark.parametrize("size", [16, 17, 33, 100])
def test_sizes_beyond_one_block(size: int, tmp_path: Path):
    """The recursive Schur complements, accepted and rejected close to the edge."""
    scale = np.exp(np.random.default_rng(size).uniform(-1, 1, size))
    document = rate_flow("singular_value", rate_config(), rate_arrays(size, size), scale)
    if float.fromhex(document["claim"]["rate"]) <= 0:
        document = rate_flow(
            "singular_value", rate_config(), rate_arrays(size, size, norm=0.05), scale
        )
    assert verdict(document, tmp_path).accepted
    entry = document["witness"]["modules"][0]
    entry["bound"] = edit(entry["bound"], 1 - 1e-8)
    assert not verdict(document, tmp_path).accepted
