"""Networks of gain 1: their norms by brute force, their certificates, and what is refused."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.contraction import (
    DeepParametrisation,
    NetworkCertificate,
    StageParametrisation,
    UnitGain,
    certify_network,
    random_convolution_block,
    random_dense_block,
    unit_operator,
)
from limitset.dynamics import run_network
from limitset.networks import (
    Convolution,
    DenseOperator,
    LinearReadout,
    MeanPool,
    NegativeGram,
    Padding,
    dense_matrix,
)

Norm = Literal["euclidean", "maximum"]
NORMS = ["euclidean", "maximum"]


def size(matrix: np.ndarray, norm: Norm) -> float:
    return float(np.linalg.norm(matrix, 2) if norm == "euclidean" else np.abs(matrix).sum(1).max())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e15])
def test_operators_get_norm_one_at_most_whatever_their_size(norm: Norm, scale: float):
    key = jax.random.key(0)
    matrix = scale * jax.random.normal(key, (5, 8), jnp.float32)
    taps = scale * jax.random.normal(key, (3, 2, 3, 3), jnp.float32)
    for operator in (
        DenseOperator(matrix),
        *(Convolution(taps, 6, 5, padding, 2) for padding in Padding),
    ):
        found = size(np.asarray(dense_matrix(unit_operator(operator, norm)), float), norm)
        assert 0.3 < found <= 1
        # 1 % more would break the promise for matrices, where the scaling is sharp.
        assert not isinstance(operator, DenseOperator) or 1.01 * found > 1


@pytest.mark.parametrize("norm", NORMS)
def test_zeros_stay_zeros_with_slopes_that_are_numbers(norm: Norm):
    def total(matrix: jax.Array) -> jax.Array:
        operator = unit_operator(DenseOperator(matrix), norm)
        assert isinstance(operator, DenseOperator)
        return operator.matrix.sum()

    assert total(jnp.zeros((2, 3))) == 0
    assert jnp.isfinite(jax.grad(total)(jnp.zeros((2, 3)))).all()
    assert jnp.isfinite(jax.grad(total)(jnp.eye(3)[:2])).all()


def network(norm: Norm, scale: float = 1.0) -> UnitGain:
    """Images of 4 x 4, a convolutional stage, a pool, a dense stage."""
    keys = jax.random.split(jax.random.key(1), 5)
    kind: dict[str, Any] = {"kind": "gradient", "leak": 0.0, "activation": "relu"}
    if norm == "maximum":
        kind = {"kind": "row_sum", "epsilon": 0.01, "activation": "relu"}
    image: dict[str, Any] = {"channels": 3, "inputs": 0, "height": 4, "width": 4}
    first = random_convolution_block(keys[0], **image, **kind)
    single: dict[str, Any] = {"channels": 5, "inputs": 0, "height": 1, "width": 1, "size": 1}
    second = random_convolution_block(keys[1], **single, **kind)
    taps = scale * jax.random.normal(keys[2], (3, 1, 3, 3), jnp.float32)
    matrix = scale * jax.random.normal(keys[3], (5, 12), jnp.float32)
    stages = (
        StageParametrisation(first, 2, Convolution(taps, 4, 4), MeanPool(3, 4, 4, 2)),
        StageParametrisation(second, 2, DenseOperator(matrix)),
    )
    readout = LinearReadout(jax.random.normal(keys[4], (3, 5), jnp.float32), jnp.zeros(3))
    return UnitGain(DeepParametrisation(stages, readout), norm)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_certified_gain_is_what_it_says(norm: Norm, scale: float):
    model = network(norm, scale)
    answer = certify_network(model.explicit())
    assert isinstance(answer, NetworkCertificate)
    found = answer.euclidean_gain if norm == "euclidean" else answer.maximum_gain
    assert model.gain == (0.5 if norm == "euclidean" else 1.0)
    # Zero padding takes a part of the bound that small images cannot use.
    assert 0.8 * model.gain < found < 1.0001 * model.gain


@pytest.mark.parametrize("norm", NORMS)
def test_no_pair_of_inputs_moves_the_last_state_further(norm: Norm):
    model = network(norm)
    deep = model.explicit()
    apart = eqx.tree_at(lambda n: n.readout, deep, LinearReadout(jnp.eye(5), jnp.zeros(5)))
    jacobians = jax.vmap(jax.jacfwd(lambda u: run_network(apart, u)))(
        jax.random.normal(jax.random.key(2), (100, 16), jnp.float32)
    )
    sizes = [size(np.asarray(J, float), norm) for J in jacobians]
    assert max(sizes) <= model.gain * (1 + 1e-6)
    # The bound is of use: products of random layers come to a third of it.
    assert max(sizes) > 0.1 * model.gain


def test_refuses_what_scaling_one_operator_does_not_bound():
    readout = LinearReadout(jnp.ones((2, 3), jnp.float32), jnp.zeros(2, jnp.float32))
    injected = random_dense_block(jax.random.key(0), kind="gradient", units=3, inputs=4)
    with pytest.raises(InputProblem, match="injects its input"):
        UnitGain(DeepParametrisation((StageParametrisation(injected, 2),), readout))
    alone = random_dense_block(jax.random.key(0), kind="gradient", units=3, inputs=0)
    start = DenseOperator(jnp.eye(3, dtype=jnp.float32))
    through = StageParametrisation(alone, 2, start, start)
    with pytest.raises(InputProblem, match="use MeanPool or None"):
        UnitGain(DeepParametrisation((through,), readout))
    gram = NegativeGram(start, jnp.array(1.0), jnp.array(0.5))
    with pytest.raises(InputProblem, match="NegativeGram"):
        unit_operator(gram, "maximum")


@pytest.mark.usefixtures("untyped")
def test_refuses_another_norm():
    with pytest.raises(InputProblem, match="euclidean"):
        UnitGain(network("euclidean").inner, "l3")  # pyright: ignore[reportArgumentType]
