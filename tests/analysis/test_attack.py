"""Attacks against classifiers whose distance to a mistake is known exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from limitset._result import Evidence, InputProblem
from limitset.analysis import ProjectedGradient, attack
from limitset.networks import LinearReadout

KEY = jax.random.key(0)
FEW, THRICE = ProjectedGradient(steps=40, starts=1), ProjectedGradient(steps=40, starts=3)
NORMS = ["euclidean", "maximum"]


def linear(dtype: str = "float64", classes: int = 3, size: int = 12) -> LinearReadout:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(classes, size)).astype(dtype)
    return LinearReadout(jnp.asarray(weight), jnp.asarray(rng.normal(size=classes).astype(dtype)))


def points(count: int = 20, size: int = 12, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(4).uniform(0.05, 0.95, (count, size)).astype(dtype)


def answers(scores: LinearReadout, x: np.ndarray) -> np.ndarray:
    return np.asarray(jax.vmap(scores)(jnp.asarray(x)).argmax(1))


def distance_to_plane(w: np.ndarray, margin: float, x: np.ndarray, norm: str, box: tuple) -> float:
    """Least norm of a displacement d with `w . d = margin` and x - d in the box.

    The best d of a given Lagrange multiplier, or of a given maximum norm, is known, and what it
    removes from the margin grows with either: bisection.
    """
    low, high = x - box[1], x - box[0]
    best = (lambda t: t * w) if norm == "euclidean" else (lambda t: t * np.sign(w))
    inside, outside = 0.0, 1e6
    if w @ np.clip(best(outside), low, high) < margin:
        return np.inf
    for _ in range(200):
        t = (inside + outside) / 2
        removed = w @ np.clip(best(t), low, high)
        inside, outside = (t, outside) if removed < margin else (inside, t)
    d = np.clip(best(outside), low, high)
    return float(np.linalg.norm(d) if norm == "euclidean" else np.abs(d).max())


def exact_radii(scores: LinearReadout, x: np.ndarray, norm: str, box: tuple) -> np.ndarray:
    w, said = np.asarray(scores.weight), np.asarray(jax.vmap(scores)(jnp.asarray(x)))
    found = []
    for u, s in zip(x, said, strict=True):
        y = s.argmax()
        others = [j for j in range(len(s)) if j != y]
        found.append(min(distance_to_plane(w[y] - w[j], s[y] - s[j], u, norm, box) for j in others))
    return np.array(found)


@pytest.mark.parametrize("norm", NORMS)
def test_finds_mistakes_of_a_linear_classifier_one_per_cent_beyond_its_exact_radius(norm: str):
    """And none within it: 1 % is also what a radius certified too large would be refuted by."""
    scores, x = linear(), points()
    radii = exact_radii(scores, x, norm, (-1e9, 1e9))
    for share, expected in ((1.01, True), (0.999, False)):
        found = attack(
            scores, x, answers(scores, x), share * radii, key=KEY, norm=norm, box=None, method=FEW
        )
        assert (found.succeeded == expected).all()
        assert found.accuracy == 1 - expected


@pytest.mark.parametrize("norm", NORMS)
def test_the_same_where_the_box_cuts_the_ball(norm: str):
    scores, x = linear(size=30), points(size=30)
    x = np.where(np.random.default_rng(5).uniform(size=x.shape) < 0.6, np.round(x), x)
    free = exact_radii(scores, x, norm, (-1e9, 1e9))
    radii = exact_radii(scores, x, norm, (0.0, 1.0))
    assert (radii > 1.05 * free).sum() > 10
    reached = np.isfinite(radii)
    assert reached.sum() > 10
    x, radii = x[reached], radii[reached]
    strong = ProjectedGradient(steps=100, starts=3)
    for share, expected in ((1.01, True), (0.999, False)):
        found = attack(
            scores, x, answers(scores, x), share * radii, key=KEY, norm=norm, method=strong
        )
        assert (found.succeeded == expected).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_never_leaves_the_ball_or_the_box(norm: str, dtype: str):
    scores, x = linear(dtype), points(dtype=dtype)
    x[0], x[1] = 0, 1
    for radius in (0.0, 1e-9, 1e-6, 0.1, 1.0, 50.0):
        found = attack(scores, x, answers(scores, x), radius, key=KEY, norm=norm, method=FEW)
        moved = found.inputs.astype(np.longdouble) - x.astype(np.longdouble)
        sizes = np.sqrt((moved**2).sum(1)) if norm == "euclidean" else np.abs(moved).max(1)
        assert found.inputs.dtype == x.dtype
        assert (sizes <= radius).all()
        assert ((found.inputs >= 0) & (found.inputs <= 1)).all()
        assert np.allclose(found.distances, sizes.astype(float), rtol=1e-12)
        if 1e-5 < radius < 0.1:
            assert (sizes > 0.99 * radius).all()


def bent(u: jax.Array) -> jax.Array:
    """Class 1 in a small disc around (0.7, 0.3); the margin's slope leads elsewhere at first."""
    near = jnp.exp(-40 * jnp.sum((u - jnp.array([0.7, 0.3])) ** 2))
    return jnp.array([0.5 + 0.1 * u[1] * (1 - u[0]), near])


def test_the_margins_returned_are_those_of_the_inputs_returned():
    x = np.random.default_rng(0).uniform(0, 1, (30, 2))
    said = np.asarray(jax.vmap(bent)(jnp.asarray(x)))
    labels = np.zeros(30, int)
    found = attack(bent, x, labels, 0.2, key=KEY, method=THRICE, block=10)
    again = np.asarray(jax.vmap(bent)(jnp.asarray(found.inputs)))
    assert np.allclose(found.margins, again[:, 0] - again[:, 1], atol=1e-15)
    assert (found.margins <= said[:, 0] - said[:, 1]).all()
    assert (found.succeeded == (again[:, 0] <= again[:, 1])).all()
    assert found.evidence == Evidence.SAMPLED


def test_more_starts_and_steps_find_no_less():
    x = np.random.default_rng(1).uniform(0, 1, (60, 2))
    labels = np.asarray(jax.vmap(bent)(jnp.asarray(x)).argmax(1))
    weak = ProjectedGradient(1, 1, 1.0, 1.0)
    found = [
        attack(bent, x, labels, 0.35, key=KEY, method=m, block=10).succeeded for m in (weak, THRICE)
    ]
    assert found[1][found[0]].all()
    assert found[1].sum() > found[0].sum()


def test_each_input_is_attacked_as_if_it_were_alone():
    """Random numbers come from the key and the place alone, whatever stands in the block."""
    x = np.random.default_rng(2).uniform(0, 1, (10, 2))
    labels = np.zeros(10, int)
    whole = attack(bent, x, labels, 0.1, key=KEY, method=THRICE)
    parts = attack(bent, x, labels, 0.1, key=KEY, method=THRICE, block=3)
    again = attack(bent, x, labels, 0.1, key=KEY, method=THRICE)
    assert np.array_equal(whole.inputs, again.inputs)
    assert np.allclose(whole.inputs, parts.inputs, atol=1e-12)
    other = attack(bent, x, labels, 0.1, key=jax.random.key(1), method=THRICE)
    assert not np.array_equal(whole.inputs, other.inputs)


def test_what_is_wrong_already_counts_as_found_and_stays_as_it_is():
    scores, x = linear(), points()
    wrong = (answers(scores, x) + 1) % 3
    found = attack(scores, x, wrong, 0.1, key=KEY, method=FEW)
    assert found.succeeded.all() and found.accuracy == 0
    assert np.array_equal(found.inputs, x) and not found.distances.any()


def test_scores_that_are_nan_are_never_right():
    def broken(u: jax.Array) -> jax.Array:
        return jnp.array([jnp.where(u[0] > 0.5, jnp.nan, 1.0), 0.0])

    x = np.array([[0.9], [0.1]])
    found = attack(broken, x, np.zeros(2, int), 0.01, key=KEY, method=FEW)
    assert found.succeeded.tolist() == [True, False]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"norm": "l3"}, "euclidean, maximum"),
        ({"radius": -0.1}, "0 or more"),
        ({"radius": np.nan}, "0 or more"),
        ({"radius": np.ones(3)}, "one for each input"),
        ({"box": (1.0, 0.0)}, "lower end first"),
        ({"box": (0.5, 1.0)}, "outside the box"),
        ({"inputs": np.full((20, 12), np.nan)}, "finite"),
        ({"inputs": np.zeros((0, 12)), "labels": np.zeros(0, int)}, "do not fit"),
        ({"labels": np.zeros(3, int)}, "do not fit"),
        ({"labels": np.full(20, 3)}, "labels from 3"),
        ({"labels": np.full(20, -1)}, "labels from -1"),
        ({"inputs": [[0.0]]}, "jax.numpy.array"),
    ],
)
@pytest.mark.usefixtures("untyped")
def test_refuses_in_one_line(change: dict, words: str):
    given = {"inputs": points(), "labels": np.zeros(20, int), "radius": 0.1} | change
    with pytest.raises(InputProblem, match=words) as problem:
        attack(linear(), given.pop("inputs"), given.pop("labels"), **given, key=KEY)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"starts": 0}, {"first_step": np.inf}, {"last_step": 0.0},
              {"last_step": 0.6}, {"first_step": np.nan}],
)  # fmt: skip
def test_refuses_settings_that_no_attack_can_have(wrong: dict):
    with pytest.raises(InputProblem, match="give"):
        ProjectedGradient(**wrong)
