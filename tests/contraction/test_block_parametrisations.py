"""Parametrisations of blocks together: tied and untied, free, projected, in deep networks."""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contraction.dense_blocks import (
    KINDS,
    ONE,
    PADDINGS,
    blown_up,
    draw,
    explicit,
    gain,
    jacobian,
    matrix_of,
    slope_patterns,
    worst_gain,
)
from limitset import InputProblem
from limitset.contraction import (
    AbstractProjected,
    DeepParametrisation,
    FreeBlock,
    ProjectedDense,
    RowSumConvolution,
    StableEquilibrium,
    StageParametrisation,
    UntiedParametrisation,
    average,
    project,
    random_convolution_block,
    random_dense_block,
)
from limitset.dynamics import run_network
from limitset.networks import (
    DenseOperator,
    LinearReadout,
    MeanPool,
    ResidualBlock,
    block_at,
    dense_matrix,
)

pytestmark = pytest.mark.usefixtures("no_shape_checks")

one_padding = [pair for pair in KINDS if pair[0] in ("dense", "zero")]


def test_projected_and_smooth_modes_are_different_classes():
    """What is projected is not scaled again in `explicit`; what is scaled is not projected."""
    for where, kind in one_padding:
        core = draw(where, kind)
        assert isinstance(core, AbstractProjected) == (kind == "projected")
        wild = blown_up(core, 100.0)
        if kind == "projected":
            assert worst_gain(wild) > 2 and worst_gain(project(wild)) <= ONE
        else:
            assert all(map(operator.is_, *map(jax.tree.leaves, (project(wild), wild))))


UNSAFE = [
    ("dense", "projected"),
    ("dense", "spectral"),
    ("dense", "free_spectrum"),
    ("zero", "symmetric"),
]


@pytest.mark.parametrize(("where", "kind"), UNSAFE)
def test_nais_pitfall_untied_quadratic_metrics(where: str, kind: str):
    """Blocks that are each stable in a metric of their own are refused in a row."""
    with pytest.raises(InputProblem, match="a norm of its own"):
        UntiedParametrisation((draw(where, kind), draw(where, kind, 1)))


def test_nais_pitfall_untied_blocks_that_grow():
    """Two blocks inside Algorithm 1's set whose product has spectral radius 1.232."""
    steps = []
    for angle, slopes in ((1.99314, (1.0, 0.0)), (2.72209, (0.0, 1.0))):
        root = 0.98**0.5 * np.array([[np.cos(angle), np.sin(angle)]])
        core = ProjectedDense(jnp.asarray(root), None, jnp.zeros(2), epsilon=0.01).projected()
        assert worst_gain(core) <= ONE
        steps.append(jacobian(core.explicit(), np.array(slopes)))
    assert np.abs(np.linalg.eigvals(steps[1] @ steps[0])).max() == pytest.approx(1.232, abs=5e-4)


@pytest.mark.parametrize(
    ("where", "kind"), [("zero", "projected"), ("zero", "row_sum"), ("dense", "gradient")]
)
def test_nais_untied_where_norms_are_shared(where: str, kind: str):
    """Products of Jacobians of different blocks do not grow in the shared norm."""
    layers = tuple(draw(where, kind, seed) for seed in range(4))
    untied = UntiedParametrisation(layers)
    block = untied.explicit()
    product = np.eye(block.state_size)
    for k in range(4):
        layer = block_at(block, k)
        product = jacobian(layer, slope_patterns(layer, k)[3]) @ product
    norm = np.linalg.norm(product, 2) if kind == "gradient" else np.abs(product).sum(1).max()
    assert norm <= ONE
    assert untied.idle() == 4 * layers[0].idle() and untied.metric() is not None
    with pytest.raises(InputProblem, match="a norm of its own"):
        UntiedParametrisation((untied,))


def test_nais_pitfall_untied_metrics_that_differ():
    """Learned scales tie the depths together: without them blocks may be untied."""
    core = draw("zero", "row_sum")
    scaled = RowSumConvolution(
        core.taps, core.shifts, None, core.bias, 4, 3, log_scale=jnp.ones(2, jnp.float32)
    )
    equal = draw("dense", "equilibrium")
    fixed = StableEquilibrium(equal.operator, None, equal.bias, jnp.ones(5, jnp.float32))
    for layer in (scaled, fixed):
        with pytest.raises(InputProblem, match="a norm of its own"):
            UntiedParametrisation((layer, layer))
    assert UntiedParametrisation((equal, equal)).explicit().depth == 2


def test_free_blocks_keep_their_settings():
    """Weights are free, the step is not: decay and gradients leave it."""
    block = ResidualBlock(DenseOperator(jnp.ones((2, 2))), None, jnp.ones(2), jnp.array(0.5))
    core = blown_up(FreeBlock(block), 10.0)
    after = core.explicit()
    assert float(after.step) == 0.5 and float(after.state_operator.matrix[0, 0]) == 10
    slope = jax.grad(lambda c: c.explicit().step * c.explicit().bias.sum())(core)
    assert float(slope.block.step) == 0 and float(slope.block.bias[0]) == 0.5
    assert core.metric() is None and core.idle() == 1
    assert UntiedParametrisation((core, core)).explicit().depth == 2
    # The free twin of a stable block starts from its very weights.
    stable = draw("zero", "symmetric")
    twin = FreeBlock(stable.explicit())
    assert eqx.tree_equal(twin.explicit(), stable.explicit())


def deep(**settings) -> DeepParametrisation:
    """Two stages of images, with pooling, and ten scores."""
    keys = jax.random.split(jax.random.key(0), 2)
    first = random_convolution_block(
        keys[0], kind="projected", channels=2, inputs=1, height=4, width=4, **settings
    )
    second = random_dense_block(keys[1], kind="projected", units=6, inputs=8)
    readout = LinearReadout(jnp.ones((10, 6), jnp.float32), jnp.zeros(10, jnp.float32))
    stages = (
        StageParametrisation(first, 3, exit=MeanPool(2, 4, 4, 2)),
        StageParametrisation(second, 5),
    )
    return DeepParametrisation(stages, readout)


def test_deep_parametrisations_are_projected_and_averaged_whole():
    free = deep()
    network = free.explicit()
    assert jax.eval_shape(run_network, network, jnp.ones(16, jnp.float32)).shape == (10,)
    assert free.idle() == 2
    wild = blown_up(free, 100.0)
    inside = jax.jit(project)(wild)
    mean = average(free, wild, 0.5)
    for stage in (*inside.stages, *mean.stages):
        assert worst_gain(stage.core) <= ONE
    assert float(inside.readout.weight[0, 0]) == 100
    assert float(mean.readout.weight[0, 0]) == 50.5


def test_what_does_not_fit_is_refused():
    free = deep()
    with pytest.raises(InputProblem, match="give stages that fit"):
        DeepParametrisation(free.stages[::-1], free.readout)
    with pytest.raises(InputProblem, match="at least one"):
        DeepParametrisation((), free.readout)
    with pytest.raises(InputProblem, match="FreeBlock"):
        StageParametrisation(free.explicit().stages[0].block, 3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputProblem, match="padding"):
        deep(padding="mirror")


def test_the_matrices_of_these_tests_are_those_of_the_library():
    """Built tap by tap here, from images of unit vectors there."""
    for padding in PADDINGS:
        weights = explicit(draw(padding, "equilibrium")).state_operator
        np.testing.assert_allclose(matrix_of(weights), dense_matrix(weights), atol=1e-6)


def test_every_kind_has_its_gain_from_its_metric():
    """The proposals of `metric` are the norms in which the dense gains are at most 1."""
    for where, kind in one_padding:
        core = draw(where, kind)
        block = explicit(core)
        metric = core.metric()
        if metric is None:
            assert kind == "symmetric"
            continue
        J = jacobian(block, np.ones(len(slope_patterns(block)[0])))
        found = float(metric.gain(jnp.asarray(J)))
        assert found == pytest.approx(gain(core, block, slope_patterns(block)[0]), rel=1e-5)
