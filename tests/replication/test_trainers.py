import jax
import jax.numpy as jnp
import numpy as np

from limitset.networks import TANH
from limitset.replication import (
    Aggregating,
    FullBatch,
    ParticleSpec,
    Recurrent,
    RowByRow,
    ask,
    draw_particles,
    questions,
    replication_gradient,
)


def test_full_batch_is_one_step(getkey):
    spec = ParticleSpec()
    w, v = draw_particles(getkey(), spec, 3), jnp.ones((3, 14))
    after, velocity = FullBatch(0.1, 0.5).step(getkey(), spec, w, v, w)
    assert jnp.allclose(velocity, 0.5 * v + replication_gradient(spec, w), atol=1e-14)
    assert jnp.allclose(after, w - 0.1 * velocity, atol=1e-14)


def test_row_by_row_is_an_epoch_of_single_rows(getkey):
    """Rows are frozen at the start of the epoch; all of them come once, in an order of its own."""
    spec, key = ParticleSpec(activation=TANH), getkey()
    w = draw_particles(getkey(), spec, 2)
    after, velocity = RowByRow(0.05).step(key, spec, w, jnp.ones_like(w), w)
    assert (velocity == 1).all()
    orders = []
    for k, one in enumerate(jax.random.split(key, 2)):
        order = jax.random.permutation(one, 14)
        orders.append(np.asarray(order))
        rows, now = questions(spec, w[k]), w[k]
        slope = jax.jit(jax.grad(lambda v, row, y: (ask(spec, v, row[None])[0] - y) ** 2))
        for i in order:
            now = now - 0.05 * slope(now, rows[i], w[k, i])
        assert jnp.allclose(after[k], now, atol=1e-13)
    assert sorted(orders[0]) == list(range(14)) and (orders[0] != orders[1]).any()


def test_row_by_row_of_one_sample_is_a_step(getkey):
    for net in (Aggregating(), Recurrent()):
        w = net.draw(getkey(), 2, jnp.float64)
        after, _ = RowByRow(0.01).step(getkey(), net, w, jnp.zeros_like(w), w)
        assert jnp.allclose(after, w - 0.01 * replication_gradient(net, w), atol=1e-13)
