"""`limitset certify`, `check` and `phase` on blocks of deep networks, and on deep networks."""

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from command_line import Reply
from limitset.contraction import MaximumMetric
from limitset.io import Model, save
from limitset.networks import (
    AbstractBlock,
    Convolution,
    DeepNetwork,
    DenseOperator,
    EquilibriumBlock,
    GradientBlock,
    LinearReadout,
    MeanPool,
    NegativeGram,
    ResidualBlock,
    Stage,
    untie,
)

Command = Callable[..., Reply]
KEYS = {"verdict", "evidence", "theorem", "time", "factor", "margin", "certificate", "tried"}
HALF = jnp.array(0.5)


def image(activation: str = "relu") -> ResidualBlock:
    inner = Convolution(jnp.full((1, 1, 3, 3), 0.1), 4, 4)
    entering = Convolution(jnp.ones((1, 1, 1, 1)), 4, 4)
    return ResidualBlock(
        NegativeGram(inner, jnp.array(1.0), HALF), entering, jnp.zeros(1), HALF, activation
    )


def gradient() -> GradientBlock:
    matrix = DenseOperator(jnp.array([[0.5, -0.25], [0.25, 0.5]]))
    return GradientBlock(matrix, matrix, jnp.zeros(2), HALF, HALF, "relu")


def rows() -> ResidualBlock:
    """Dominant in a weighted maximum norm alone."""
    matrix = DenseOperator(jnp.array([[-1.0, 4.0], [-0.125, -1.0]]))
    return ResidualBlock(matrix, matrix, jnp.zeros(2), HALF, "leaky_relu:0.5")


def equilibrium() -> EquilibriumBlock:
    weak = DenseOperator(jnp.array([[0.25, -0.5], [0.125, -1.0]]))
    return EquilibriumBlock(weak, weak, jnp.zeros(2), HALF, "tanh")


def network() -> DeepNetwork:
    reading = DenseOperator(jnp.ones((2, 4)) / 4)
    second = GradientBlock(
        DenseOperator(HALF * jnp.eye(2)), reading, jnp.zeros(2), HALF, HALF, "relu"
    )
    first = Stage(image(), 3, None, MeanPool(1, 4, 4, 2))
    readout = LinearReadout(jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.zeros(2))
    return DeepNetwork((first, Stage(second, 2)), readout)


BLOCKS: dict[str, tuple[Callable[[], AbstractBlock], str, str]] = {
    "image": (image, "symmetric", "nonexpansive"),
    "leaky image": (lambda: image("leaky_relu:0.5"), "symmetric", "contracting"),
    "gradient": (gradient, "gradient", "contracting"),
    "untied": (lambda: untie([gradient(), gradient()]), "gradient", "contracting"),
    "rows": (rows, "row_sum", "contracting"),
    "equilibrium": (equilibrium, "equilibrium", "contracting"),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_certified_and_checked(limitset: Command, tmp_path: Path, name: str):
    make, theorem, claim = BLOCKS[name]
    folder = save(tmp_path / "model", make())
    reply = limitset("certify", folder, "--json")
    assert reply.code == 0 and reply.err == ""
    (answer,) = reply.answers
    assert set(answer) >= KEYS
    assert answer["verdict"] == "certified" and answer["evidence"] == "verified"
    assert answer["theorem"] == theorem and answer["claim"] == claim
    assert answer["time"] == "discrete" and answer["margin"] == 1 - answer["factor"]
    assert (answer["factor"] == 1) == (claim == "nonexpansive")
    assert answer["euclidean_gain"] > 0 and answer["step_limit"] >= 0.5
    path = folder / "certificates" / "block.json"
    assert answer["certificate"] == str(path)
    checked = limitset("check", path, "--json")
    assert checked.code == 0 and checked.answers[0]["accepted"] is True
    words = {"nonexpansive": "never grow", "contracting": "contracting: factor <= 0."}
    assert words[claim] in checked.answers[0]["claim"]
    assert "the model's weights" in checked.answers[0]["claim"]


def test_what_holds_is_said_in_words(limitset: Command, tmp_path: Path):
    """A block with slopes of 0 does not contract, and nobody is told that it does."""
    still = limitset("certify", save(tmp_path / "still", image()))
    assert still.code == 0 and "contract" not in still.out
    assert "nonexpansive by symmetric, factor 1 per step" in still.out
    assert "distances of states never grow" in still.out and "[verified]" in still.out
    moving = limitset("certify", save(tmp_path / "moving", gradient()))
    assert moving.code == 0 and moving.out.startswith("contracting by gradient, factor 0.75")
    assert "nonexpansive for steps up to" in moving.out


def test_networks_are_certified_and_checked(limitset: Command, tmp_path: Path):
    folder = save(tmp_path / "model", network())
    (answer,) = limitset("certify", folder, "--json", "--out", tmp_path / "out").answers
    assert answer["verdict"] == "certified" and answer["theorem"] == "chain"
    assert answer["claim"] == "lipschitz" and answer["factor"] is None
    assert [stage["theorem"] for stage in answer["stages"]] == ["symmetric", "gradient"]
    path = tmp_path / "out" / "network.json"
    assert answer["certificate"] == str(path) and path.is_file()
    checked = limitset("check", path, "--model", folder)
    assert checked.code == 0 and "Lipschitz bound from input to last state" in checked.out
    shown = limitset("certify", folder)
    assert shown.code == 0 and "stage 1: contracting by gradient" in shown.out
    other = save(tmp_path / "other", network().stages[1].block)
    assert limitset("check", path, "--model", other).code == 1


def test_a_proposed_metric_is_tried_first(limitset: Command, tmp_path: Path):
    metric = MaximumMetric(jnp.array([1.0, 4.0]))
    for name, proposal in (("good", metric), ("bad", MaximumMetric(jnp.array([4.0, 1.0])))):
        folder = save(tmp_path / name, Model(rows(), metric=proposal))
        (answer,) = limitset("certify", folder, "--json").answers
        assert answer["verdict"] == "certified" and answer["theorem"] == "row_sum"


def test_unknown_is_one_line_and_code_1(limitset: Command, tmp_path: Path):
    growing = ResidualBlock(DenseOperator(jnp.eye(2)), None, jnp.zeros(2), HALF)
    steep = ResidualBlock(DenseOperator(-9 * jnp.eye(2)), None, jnp.zeros(2), HALF, "relu")
    smooth = ResidualBlock(DenseOperator(-jnp.eye(2)), None, jnp.zeros(2), HALF, "gelu")
    for name, block in (("growing", growing), ("steep", steep), ("smooth", smooth)):
        folder = save(tmp_path / name, block)
        reply = limitset("certify", folder)
        assert reply.code == 1 and reply.err == "" and reply.out.count("\n") == 1
        (answer,) = limitset("certify", folder, "--json").answers
        assert answer["verdict"] == "unknown" and answer["certificate"] is None
        assert answer["factor"] is None and answer["reason"]
        assert not (folder / "certificates").exists()


def test_commands_that_do_not_fit_refuse_in_one_line(refused: Callable[..., str], tmp_path: Path):
    folder = save(tmp_path / "model", network())
    assert "deep network" in refused("phase", folder)
    assert "DeepNetwork" in refused("prove", "equilibrium", folder)
    assert "DeepNetwork" in refused("prove", "hopf", folder)
    block = save(tmp_path / "block", gradient())
    assert "GradientBlock" in refused("prove", "equilibria", block)


def test_damaged_models_are_refused_in_one_line(refused: Callable[..., str], tmp_path: Path):
    folder = save(tmp_path / "model", gradient())
    text = (folder / "config.json").read_text()
    for old, new in (("dense", "sparse"), ("relu", "relux"), ("null", "3"), ("layers", "depth")):
        (folder / "config.json").write_text(text.replace(old, new))
        assert str(folder) in refused("certify", folder)
    (folder / "config.json").write_text(text)
    weights = (folder / "model.safetensors").read_bytes()
    ending = np.full(1, np.nan).tobytes()
    (folder / "model.safetensors").write_bytes(weights[: -len(ending)] + ending)
    assert "NaN" in refused("certify", folder)
