import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.analysis import find_equilibria
from limitset.dynamics import simulate
from limitset.networks import TANH
from limitset.replication import (
    AbstractReduction,
    Aggregating,
    ParticleSpec,
    Recurrent,
    SelfApplication,
    Weightwise,
    apply_to,
    attack,
    draw_particles,
)


def test_weightwise_is_the_particle(getkey):
    spec = ParticleSpec(activation=TANH)
    reduction, w = Weightwise(spec), draw_particles(getkey(), spec, 2)
    assert (reduction.rewrite(w[0], w[1]) == apply_to(spec, w[0], w[1])).all()
    shown, wanted = reduction.lesson(w[1])
    assert jnp.allclose(reduction.answer(w[0], shown)[:, 0], apply_to(spec, w[0], w[1]))
    assert (wanted[:, 0] == w[1]).all()


def test_aggregating_by_hand(getkey):
    """Chunks of five; the last weight's chunk mean is answered for all five of them."""
    net = Aggregating()
    w = net.draw(getkey(), 1, jnp.float64)[0]
    means = np.asarray(w).reshape(4, 5).mean(axis=1)
    k1, k2, k3 = (np.asarray(w)[a:b].reshape(s) for a, b, s in
                  ((0, 8, (4, 2)), (8, 12, (2, 2)), (12, 20, (2, 4))))  # fmt: skip
    assert np.allclose(net.rewrite(w, w), np.repeat(means @ k1 @ k2 @ k3, 5))


def test_aggregating_leaves_the_remainder_to_the_last_chunk(getkey):
    net = Aggregating(chunks=3, widths=(2,))
    assert net.weight_count == 12
    uneven = Aggregating(chunks=5, widths=(2, 3))  # 10 + 6 + 15 = 31 = 5 * 6 + 1
    w = uneven.draw(getkey(), 1, jnp.float64)[0]
    means = uneven.lesson(w)[0][0]
    assert jnp.allclose(means[-1], w[24:].mean()) and jnp.allclose(means[0], w[:6].mean())
    after = uneven.rewrite(w, w)
    assert (after[24:] == after[24]).all() and len(set(np.asarray(after).tolist())) == 5


@pytest.mark.parametrize("activation", [None, TANH])
def test_recurrent_by_hand(activation, getkey):
    net = Recurrent() if activation is None else Recurrent(activation=activation)
    squash = (lambda x: x) if activation is None else np.tanh
    w = np.asarray(net.draw(getkey(), 1, jnp.float64)[0])
    k1, r1, k2, r2, k3, r3 = (w[a:b].reshape(s) for a, b, s in
                              ((0, 2, (1, 2)), (2, 6, (2, 2)), (6, 10, (2, 2)), (10, 14, (2, 2)),
                               (14, 16, (2, 1)), (16, 17, (1, 1))))  # fmt: skip
    h1, h2, h3, said = np.zeros(2), np.zeros(2), np.zeros(1), []
    for x in w:
        h1 = squash(np.array([x]) @ k1 + h1 @ r1)
        h2 = squash(h1 @ k2 + h2 @ r2)
        h3 = h2 @ k3 + h3 @ r3
        said.append(h3[0])
    assert np.allclose(net.rewrite(jnp.asarray(w), jnp.asarray(w)), said)


def test_recurrent_weights_are_drawn_as_reflections(getkey):
    """Left singular vectors with LAPACK's signs: orthogonal, of determinant -1 for two units."""
    back = Recurrent().draw(getkey(), 50, jnp.float64)[:, 2:6].reshape(50, 2, 2)
    assert jnp.allclose(back @ back.swapaxes(1, 2), jnp.eye(2), atol=1e-12)
    assert jnp.allclose(jnp.linalg.det(back), -1)


@pytest.mark.parametrize("net", [Aggregating(), Recurrent()])
def test_maps_of_other_reductions(net: AbstractReduction, getkey):
    """The measuring tools apply as to any map; zero is fixed and attracts whatever is small."""
    map_ = SelfApplication(net)
    small = 0.1 * net.draw(getkey(), 1, jnp.float64)[0]
    assert jnp.allclose(map_.advance(0, small, jnp.zeros(0)), attack(net, small, small))
    assert jnp.abs(simulate(map_, small, steps=50).final).max() < 1e-12
    assert map_.state_size == net.weight_count
    jacobian = jax.jacfwd(lambda x: map_.advance(0, x, jnp.zeros(0)))(small)
    assert jnp.isfinite(jacobian).all()

    def residual(x: jax.Array, parameter: jax.Array | float) -> jax.Array:
        return map_.advance(0, x, jnp.zeros(0)) - x

    found = find_equilibria(residual, 0.0, net.weight_count, starts=4, spread=0.3)
    assert (np.abs(found).max(axis=1) < 1e-9).any()


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("widths", [(), (0,), (2, -1), [2, 2], (2.0,)])
def test_refuses_widths(widths):
    with pytest.raises(InputProblem, match="give positive whole numbers"):
        Aggregating(widths=widths)
    with pytest.raises(InputProblem, match="give positive whole numbers"):
        Recurrent(widths=widths)
