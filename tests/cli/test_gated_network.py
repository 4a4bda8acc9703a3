"""What the commands say of networks that gate themselves: one line, and never a traceback."""

from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from command_line import Reply
from limitset.dynamics import ExponentialEuler, discretise
from limitset.io import save
from limitset.networks import GatedParameters, random_gated_network, random_reset_before_gru

Command = Callable[..., Reply]

NETWORK = random_gated_network(jax.random.key(0), 3, GatedParameters(output_gain=2.0))
SYSTEMS = [
    NETWORK,
    discretise(NETWORK, ExponentialEuler(0.1)),
    random_reset_before_gru(jax.random.key(0), 3, 2),
]


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: type(system).__name__)
def test_certify_says_unknown_in_one_line(limitset: Command, tmp_path: Path, system: object):
    folder = save(tmp_path / "model", system)  # pyright: ignore[reportArgumentType]
    plain, answer = limitset("certify", folder), limitset("certify", folder, "--json")
    assert plain.code == answer.code == 1
    assert plain.out.count("\n") == 1 and plain.out.startswith("unknown: no theorem speaks about")
    assert answer.answers[0]["verdict"] == "unknown" and plain.err == answer.err == ""


def test_proofs_about_other_kinds_are_refused(refused: Callable[..., str], tmp_path: Path):
    folder = save(tmp_path / "model", NETWORK)
    assert "GatedNetwork" in refused("prove", "equilibria", folder)
