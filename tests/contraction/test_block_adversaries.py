"""Every parametrisation of blocks stays inside its set, whatever an optimiser does to it."""

import jax
import numpy as np
import optax
import pytest

from contraction.dense_blocks import KINDS, blown_up, draw, explicit, worst_gain
from limitset.contraction import BlockCertificate, Unknown, certify_block, project
from limitset.networks import GradientBlock

pytestmark = pytest.mark.usefixtures("no_shape_checks")

# What certifies the blocks of each kind.
THEOREMS = {
    "spectral": "symmetric",
    "free_spectrum": "symmetric",
    "symmetric": "symmetric",
    "row_sum": "row_sum",
    "gradient": "gradient",
    "equilibrium": "equilibrium",
}


def theorem_of(where: str, kind: str) -> str:
    """Dense projections are symmetric, those of convolutions bound their rows."""
    if kind == "projected":
        return "symmetric" if where == "dense" else "row_sum"
    return THEOREMS[kind]


def promised(core) -> float:
    """The largest norm of a step in the kind's own metric; the gradient form promises a rate."""
    block = core.explicit()
    return 1 - float(block.step * block.leak) if isinstance(block, GradientBlock) else 1.0


def adversary(core):
    """A loss whose descent makes all weights that run as large as they can be."""
    block = core.explicit()
    weights = block.operator if isinstance(block, GradientBlock) else block.state_operator
    return -sum((leaf**2).sum() for leaf in jax.tree.leaves(weights))


def attack(where: str, kind: str, steps: int) -> None:
    """Large steps against the bound, weights blown up 100-fold now and then."""
    core = draw(where, kind)
    optimiser = optax.chain(optax.clip_by_global_norm(10.0), optax.sgd(1.0, momentum=0.9))

    @jax.jit
    def update(core, state):
        slope = jax.grad(adversary)(core)
        step, state = optimiser.update(slope, state)
        return project(optax.apply_updates(core, step)), state

    blow = jax.jit(lambda core: project(blown_up(core, 100.0)))
    state = optimiser.init(core)
    for k in range(steps):
        core, state = update(core, state)
        if k % 40 == 39:
            core = blow(core)
        if k % 20 == 19:
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(core))
            # Of the float32 weights, read as real numbers.
            assert worst_gain(core, k) <= promised(core) + 1e-12
    answer = certify_block(explicit(core), metric=core.metric())
    assert isinstance(answer, BlockCertificate), answer
    assert answer.theorem == theorem_of(where, kind) and answer.factor <= promised(core) + 1e-7


@pytest.mark.parametrize(("where", "kind"), [k for k in KINDS if k[0] in ("dense", "zero")])
def test_nais_adversarial_steps_stay_inside(where: str, kind: str):
    attack(where, kind, 200)


@pytest.mark.slow
@pytest.mark.parametrize(("where", "kind"), KINDS)
def test_nais_adversarial_steps_stay_inside_at_every_padding(where: str, kind: str):
    attack(where, kind, 1000)


@pytest.mark.parametrize("where", ["dense", "zero"])
def test_nais_pitfall_certifying_what_was_not_projected(where: str):
    """Weights that left the set are not certified, and are again once projected."""
    wild = blown_up(draw(where, "projected"), 100.0)
    assert isinstance(certify_block(explicit(wild), metric=wild.metric()), Unknown)
    core = project(wild)
    assert isinstance(certify_block(explicit(core), metric=core.metric()), BlockCertificate)
