"""Soups: many networks that attack, imitate and train, epoch by epoch."""

import enum

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from limitset._result import InputProblem
from limitset.replication._interactions import attack, imitate
from limitset.replication._particle import Weights
from limitset.replication._reduction import Spec, as_reduction
from limitset.replication._self_training import Number
from limitset.replication._trainers import AbstractTrainer, RowByRow

_ROW_BY_ROW = RowByRow()


class SoupOrder(enum.Enum):
    """Who acts when within an epoch."""

    # 2019: one after the other, in the order of their numbers; each sees what the others did.
    SEQUENTIAL = "sequential"
    # The journal article: at most one attack in the whole soup, by one on another; then all train.
    ONE_ATTACK = "one_attack"
    # All attack at once, then all imitate at once, then all train: one batch, for large soups. Of
    # several attacks on one network the one of the largest number counts.
    SYNCHRONOUS = "synchronous"


class SoupRules(eqx.Module):
    """What networks of a soup do in an epoch.

    Each attacks with `attack_chance` a random network, itself among them; then imitates with
    `imitation_chance` a random one, itself among them, for `imitation_steps`; then trains for
    `training_steps`; then is replaced by a new one if it diverged or vanished, where that is asked
    for. In `SoupOrder.ONE_ATTACK` the chance is that of the whole soup, and nobody imitates.

    **Arguments:** chances and steps as above; `order`; `method` of training; `replace_divergent`;
    `replace_zero`, for networks whose weights are all at most `tolerance`.

    **Raises:** `InputProblem` for chances outside 0 to 1 and steps that are no whole numbers.
    """

    attack_chance: Number = 0.1
    imitation_chance: Number = 0.0
    imitation_steps: int | Int[Array, ""] = 0
    training_steps: int | Int[Array, ""] = 0
    order: SoupOrder = eqx.field(static=True, default=SoupOrder.SEQUENTIAL)
    method: AbstractTrainer = _ROW_BY_ROW
    replace_divergent: bool = eqx.field(static=True, default=False)
    replace_zero: bool = eqx.field(static=True, default=False)
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("attack_chance", "imitation_chance"):
            chance = getattr(self, name)
            # Arrays are numbers of a batch of soups, which only the caller can look at.
            if not isinstance(chance, jax.Array) and not (
                isinstance(chance, float | int) and 0 <= chance <= 1
            ):
                raise InputProblem(f"{name} is {chance!r}; give a number from 0 to 1")
        for name in ("imitation_steps", "training_steps"):
            steps = getattr(self, name)
            if not isinstance(steps, jax.Array) and not (isinstance(steps, int) and steps >= 0):
                raise InputProblem(f"{name} is {steps!r}; give a whole number, 0 or more")
        if self.order is SoupOrder.ONE_ATTACK and not _is_nothing(self.imitation_chance):
            raise InputProblem("nobody imitates in order ONE_ATTACK; leave imitation_chance at 0")


class SoupEvents(eqx.Module):
    """What happened to each network in each epoch; -1 where nothing did.

    **Arguments:** `attacked_by`, the last attacker; `taught_by`, whom it imitated; `renewed`,
    whether a new network took its place.
    """

    attacked_by: Int[Array, "epochs count"]
    taught_by: Int[Array, "epochs count"]
    renewed: Bool[Array, "epochs count"]


class SoupRun(eqx.Module):
    """A soup's course: all weights before the first epoch and after each, and the events.

    **Arguments:** `path`; `events`.
    """

    path: Float[Array, "times count n"]
    events: SoupEvents

    @property
    def weights(self) -> Float[Array, "count n"]:
        """All weights at the end."""
        return self.path[-1]


def evolve_soup(
    key: jax.Array,
    spec: Spec,
    weights: Float[Array, "count n"],
    *,
    rules: SoupRules,
    epochs: int,
) -> SoupRun:
    """A soup for a fixed number of epochs.

    Training and imitation each begin with a new optimiser, as in the sources. Soups of one size
    run as one batch under `jax.vmap`, over keys, weights and the numbers among the rules.

    **Arguments:** `key`; `spec` of all networks; `weights`, one network a row; `rules`; `epochs`.

    **Returns:** a `SoupRun`.

    **Raises:** `InputProblem` for weights or epochs that do not fit.

    **Example:**

    >>> from limitset.replication import ParticleSpec, draw_particles
    >>> first, then = jax.random.split(jax.random.key(0))
    >>> soup = draw_particles(first, ParticleSpec(), 10)
    >>> run = evolve_soup(then, ParticleSpec(), soup, rules=SoupRules(training_steps=3), epochs=4)
    >>> run.path.shape
    (5, 10, 14)

    **Reference:** Gabor et al., ALIFE 2019, doi 10.1162/isal_a_00197; Artificial Life 28 (2022)
    205-223, doi 10.1162/artl_a_00359.
    """
    size = as_reduction(spec).weight_count
    if weights.ndim != 2 or weights.shape[1] != size or weights.shape[0] < 2:
        raise InputProblem(
            f"weights has shape {weights.shape}; give two or more networks, {size} weights a row"
        )
    if isinstance(epochs, bool) or not (isinstance(epochs, int) and epochs >= 1):
        raise InputProblem(f"epochs is {epochs!r}; give a whole number, 1 or more")
    return _evolve(jax.random.split(key, epochs), spec, weights, rules)


_Pair = tuple[Array, Array]
_Told = tuple[Int[Array, " count"], Int[Array, " count"], Bool[Array, " count"]]


@eqx.filter_jit
def _evolve(
    keys: jax.Array, spec: Spec, weights: Float[Array, "count n"], rules: SoupRules
) -> SoupRun:
    epoch = {
        SoupOrder.SEQUENTIAL: _sequential,
        SoupOrder.ONE_ATTACK: _one_attack,
        SoupOrder.SYNCHRONOUS: _synchronous,
    }[rules.order]

    def advance(w: Array, key: jax.Array) -> tuple[Array, tuple[Array, _Told]]:
        after, told = epoch(key, spec, w, rules)
        return after, (after, told)

    path, told = jax.lax.scan(advance, weights, keys)[1]
    return SoupRun(jnp.concatenate([weights[None], path]), SoupEvents(*told))


def _sequential(
    key: jax.Array, spec: Spec, weights: Float[Array, "count n"], rules: SoupRules
) -> tuple[Float[Array, "count n"], _Told]:
    count = weights.shape[0]

    def act(state: _Pair, now: tuple[Array, jax.Array]) -> tuple[_Pair, _Pair]:
        (w, attackers), (i, one) = state, now
        keys = jax.random.split(one, 7)
        victim = jax.random.randint(keys[0], (), 0, count)
        attacks = _happens(keys[1], rules.attack_chance)
        changed = w.at[victim].set(attack(spec, w[i], w[victim]))
        w = jnp.where(attacks, changed, w)
        attackers = jnp.where(attacks, attackers.at[victim].set(i), attackers)

        teacher = jax.random.randint(keys[2], (), 0, count)
        learns = _happens(keys[3], rules.imitation_chance)
        steps = jnp.where(learns, rules.imitation_steps, 0)
        mine = imitate(
            keys[4], spec, w[i][None], w[teacher][None], steps=steps, method=rules.method
        )
        mine = _train(keys[5], spec, mine, rules)
        mine, renewed = _renew(keys[6], spec, mine, rules)
        taught = jnp.where(learns, teacher, -1)
        return (w.at[i].set(mine[0]), attackers), (taught, renewed[0])

    nobody = jnp.full(count, -1)
    each = (jnp.arange(count), jax.random.split(key, count))
    (after, attackers), (taught, renewed) = jax.lax.scan(act, (weights, nobody), each)
    return after, (attackers, taught, renewed)


def _one_attack(
    key: jax.Array, spec: Spec, weights: Float[Array, "count n"], rules: SoupRules
) -> tuple[Float[Array, "count n"], _Told]:
    keys = jax.random.split(key, 4)
    count = weights.shape[0]
    attacker, victim = jax.random.choice(keys[0], count, (2,), replace=False)
    attacks = _happens(keys[1], rules.attack_chance)
    changed = weights.at[victim].set(attack(spec, weights[attacker], weights[victim]))
    trained = _train(keys[2], spec, jnp.where(attacks, changed, weights), rules)
    after, renewed = _renew(keys[3], spec, trained, rules)
    nobody = jnp.full(count, -1)
    attackers = jnp.where(attacks, nobody.at[victim].set(attacker), nobody)
    return after, (attackers, nobody, renewed)


def _synchronous(
    key: jax.Array, spec: Spec, weights: Float[Array, "count n"], rules: SoupRules
) -> tuple[Float[Array, "count n"], _Told]:
    keys = jax.random.split(key, 7)
    count = weights.shape[0]
    victims = jax.random.randint(keys[0], (count,), 0, count)
    attacks = _happens(keys[1], rules.attack_chance, (count,))
    attackers = jnp.full(count, -1).at[victims].max(jnp.where(attacks, jnp.arange(count), -1))
    hit = (attackers >= 0)[:, None]
    w = jnp.where(hit, attack(spec, weights[attackers], weights), weights)

    teachers = jax.random.randint(keys[2], (count,), 0, count)
    learns = _happens(keys[3], rules.imitation_chance, (count,))
    steps = jnp.where(learns.any(), rules.imitation_steps, 0)
    wiser = imitate(keys[4], spec, w, w[teachers], steps=steps, method=rules.method)
    w = jnp.where(learns[:, None], wiser, w)
    w, renewed = _renew(keys[6], spec, _train(keys[5], spec, w, rules), rules)
    return w, (attackers, jnp.where(learns, teachers, -1), renewed)


def _happens(key: jax.Array, chance: Number, shape: tuple[int, ...] = ()) -> Bool[Array, "..."]:
    return jax.random.uniform(key, shape) < chance


def _train(
    key: jax.Array, spec: Spec, weights: Float[Array, "count n"], rules: SoupRules
) -> Float[Array, "count n"]:
    def step(n: Array, state: tuple[Weights, Weights]) -> tuple[Array, Array]:
        w, v = state
        return rules.method.step(jax.random.fold_in(key, n), spec, w, v, w)

    state = (weights, jnp.zeros_like(weights))
    return jax.lax.fori_loop(0, rules.training_steps, step, state)[0]


def _renew(
    key: jax.Array, spec: Spec, weights: Float[Array, "count n"], rules: SoupRules
) -> tuple[Float[Array, "count n"], Bool[Array, " count"]]:
    dead = jnp.zeros(weights.shape[0], bool)
    if rules.replace_divergent:
        dead |= ~jnp.isfinite(weights).all(axis=1)
    if rules.replace_zero:
        dead |= jnp.abs(weights).max(axis=1) <= rules.tolerance
    new = as_reduction(spec).draw(key, weights.shape[0], weights.dtype)
    return jnp.where(dead[:, None], new, weights), dead


def _is_nothing(chance: Number) -> bool:
    return not isinstance(chance, jax.Array) and chance == 0
