"""Adversarial inputs by projected gradients: an upper bound of a classifier's robust accuracy."""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from limitset._result import Evidence, InputProblem, require_arrays

# One input -> one score for each class, the highest is the answer.
Scores = Callable[[Float[Array, " m"]], Float[Array, " k"]]
# Halvings that find how far a step reaches into ball and box together.
_HALVINGS = 24
# Distances are summed in float64, with less error than this.
_SUMMED = 1 + 1e-12


class BallNorm(enum.StrEnum):
    """In which norm a perturbation is small."""

    EUCLIDEAN = "euclidean"
    MAXIMUM = "maximum"


@dataclass(frozen=True)
class ProjectedGradient:
    """How hard an attack tries.

    **Arguments:** `steps` of each start; `starts`: the first at the input itself, towards whichever
    other class is highest, the next at random in the ball, each towards one class, in the order of
    their scores at the input and around again; `first_step` and `last_step`, lengths relative to
    the radius, between which steps shrink by one factor.

    **Raises:** `InputProblem` for numbers that no attack can have.
    """

    steps: int = 100
    starts: int = 5
    first_step: float = 0.5
    last_step: float = 0.005

    def __post_init__(self) -> None:
        if not (self.steps >= 1 and self.starts >= 1):
            raise InputProblem(
                f"steps {self.steps} and starts {self.starts} came; give 1 or more of each"
            )
        if not 0 < self.last_step <= self.first_step < math.inf:
            raise InputProblem(
                f"steps shrink from {self.first_step} to {self.last_step}; give positive lengths, "
                "the last not above the first"
            )


@dataclass(frozen=True, eq=False)
class Attacked:
    """What an attack found for each input [sampled]: its success is a fact, its failure is none.

    **Arguments:**

    - `inputs`: the inputs of lowest margin that were found, shape (b, m).
    - `margins`: the score of the right class minus the highest other, shape (b,).
    - `distances` of `inputs` from those that came, shape (b,), at most `radius`.
    - `succeeded`: whether the margin is 0 or below, as it may be without any perturbation.
    - `radius`, for each input, shape (b,), and the `norm` of the ball.
    """

    inputs: Float[np.ndarray, "b m"]
    margins: Float[np.ndarray, " b"]
    distances: Float[np.ndarray, " b"]
    succeeded: Bool[np.ndarray, " b"]
    radius: Float[np.ndarray, " b"]
    norm: BallNorm
    evidence: Evidence = Evidence.SAMPLED

    @property
    def accuracy(self) -> float:
        """Share of inputs that withstood. The accuracy under every perturbation is at most this."""
        return float(1 - self.succeeded.mean())


def attack(
    scores: Scores,
    inputs: Float[Array | np.ndarray, "b m"],
    labels: Int[Array | np.ndarray, " b"],
    radius: float | Float[np.ndarray, " b"],
    *,
    key: Array,
    norm: str = BallNorm.EUCLIDEAN,
    box: tuple[float, float] | None = (0.0, 1.0),
    method: ProjectedGradient = ProjectedGradient(),  # noqa: B008  (frozen)
    block: int = 250,
) -> Attacked:
    """Search the ball around each input for one that is classified wrongly.

        x+ = project(x - step d),    d = g / |g|_2 or sign(g),    g = grad of s_y - max_(j != y) s_j

    onto ball and box together. The margin is what is descended, because a cross-entropy has no
    gradient left where a network is sure. What is returned was measured again: distances in
    float64, and where rounding put an input outside its ball the one that came is given back.

    Each input has random numbers of its own, so results do not depend on which others are beside
    it. Inputs that are classified wrongly as they are count as found.

    **Arguments:**

    - `scores`: from one input, shape (m,), to one number for each class. A
      `jax.tree_util.Partial(function, network)` is compiled once for all networks of a shape.
    - `inputs`, shape (b, m), in whose dtype all is computed; `labels`, shape (b,).
    - `radius`: one, or one for each input, shape (b,).
    - `key` of the random starts.
    - `norm` of the ball, a `BallNorm` or its word; `box`: what every entry lies in, or `None`.
    - `method`; `block`: how many inputs are attacked at once.

    **Returns:** an `Attacked`. That nothing was found proves nothing.

    **Raises:** `InputProblem` for numbers that are not finite, and sizes that do not fit.

    >>> import jax, jax.numpy as jnp
    >>> def line(u):
    ...     return jnp.array([u[0], 0.5])
    >>> points, labels = jnp.array([[0.8], [0.9]]), jnp.array([0, 0])
    >>> attack(line, points, labels, 0.35, key=jax.random.key(0)).succeeded.tolist()
    [True, False]

    **Reference:** arXiv 1706.06083; margins as losses: arXiv 1608.04644.
    """
    ball = _ball(norm, box)
    points, classes, radii = _checked(scores, inputs, labels, radius, box)
    size = min(block, len(points))
    margins = _in_blocks(_margins, size, scores, points, classes)
    best = np.array(points)
    for start in range(method.starts):
        standing = np.flatnonzero((margins > 0) & (radii > 0))
        if not standing.size:
            break
        keys = jax.vmap(lambda i, n=start: jax.random.fold_in(jax.random.fold_in(key, i), n))(
            jnp.asarray(standing)
        )
        starts = np.full(len(standing), start)
        search = eqx.Partial(_descend, ball=ball, method=method)
        chosen = (points[standing], classes[standing], radii[standing], starts, keys)
        found = _in_blocks(search, size, scores, *chosen)
        found = _kept_inside(found, points[standing], radii[standing], ball)
        lower = _in_blocks(_margins, size, scores, found, classes[standing])
        better = lower < margins[standing]
        best[standing[better]], margins[standing[better]] = found[better], lower[better]
    return Attacked(best, margins, _distances(best, points, ball), margins <= 0, radii, ball.norm)


class _Ball(eqx.Module):
    norm: BallNorm = eqx.field(static=True)
    low: float
    high: float


def _ball(norm: str, box: tuple[float, float] | None) -> _Ball:
    if norm not in tuple(BallNorm):
        raise InputProblem(f"norm {norm!r} is not known; use one of {', '.join(BallNorm)}")
    low, high = (-math.inf, math.inf) if box is None else box
    if not low < high:
        raise InputProblem(f"the box goes from {low} to {high}; give its lower end first")
    return _Ball(BallNorm(norm), float(low), float(high))


def _checked(
    scores: Scores,
    inputs: Float[Array | np.ndarray, "b m"],
    labels: Int[Array | np.ndarray, " b"],
    radius: float | Float[np.ndarray, " b"],
    box: tuple[float, float] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    require_arrays(inputs=inputs, labels=labels)
    points, classes = np.asarray(inputs), np.asarray(labels)
    if points.ndim != 2 or not points.size or classes.shape != points.shape[:1]:
        raise InputProblem(
            f"inputs {points.shape} and labels {classes.shape} do not fit; give (b, m) and (b,)"
        )
    radii = np.asarray(radius, float)
    if radii.shape not in ((), classes.shape) or not (np.isfinite(radii) & (radii >= 0)).all():
        raise InputProblem(
            f"radius is {radius}; give a finite number, 0 or more, or one for each input"
        )
    if not np.isfinite(points).all():
        raise InputProblem("inputs hold NaN or an infinity; give finite numbers")
    if box is not None and not (box[0] <= points.min() and points.max() <= box[1]):
        raise InputProblem(
            f"inputs lie in [{points.min()}, {points.max()}], outside the box {box}; give the box "
            "that they lie in, or None"
        )
    count = jax.eval_shape(scores, jax.ShapeDtypeStruct(points.shape[1:], points.dtype)).shape[0]
    if count < 2 or not (0 <= classes.min() and classes.max() < count):
        raise InputProblem(
            f"labels from {classes.min()} to {classes.max()} and {count} scores came; give labels "
            "from 0 on, and a score for each of two classes or more"
        )
    return points, classes, np.broadcast_to(radii, classes.shape)


def _in_blocks(
    function: Callable[..., Array], size: int, scores: Scores, *parts: np.ndarray | Array
) -> np.ndarray:
    """The function of all samples, in blocks of one size, the last filled up with its first."""
    count = parts[0].shape[0]
    found = []
    for begin in range(0, count, size):
        taken = np.arange(begin, begin + size)
        taken[taken >= count] = begin
        each = _over_samples(function, scores, *(jnp.asarray(part[taken]) for part in parts))
        found.append(np.asarray(each)[: count - begin])
    return np.concatenate(found)


@eqx.filter_jit
def _over_samples(function: Callable[..., Array], scores: Scores, *parts: Array) -> Array:
    return jax.vmap(lambda *one: function(scores, *one))(*parts)


def _margins(scores: Scores, x: Float[Array, " m"], label: Int[Array, ""]) -> Float[Array, ""]:
    margin = _margin(scores, x, label, jnp.asarray(-1))
    # Scores that are NaN are no right answer.
    return jnp.where(jnp.isnan(margin), -jnp.inf, margin)


def _margin(
    scores: Scores, x: Float[Array, " m"], label: Int[Array, ""], target: Int[Array, ""]
) -> Float[Array, ""]:
    """The score of the right class minus that of the target, of the highest other for -1."""
    said = scores(x)
    classes = jnp.arange(said.shape[0])
    left_out = jnp.where(target < 0, classes == label, classes != target)
    return said[label] - jnp.where(left_out, -jnp.inf, said).max()


def _descend(
    scores: Scores,
    u: Float[Array, " m"],
    label: Int[Array, ""],
    radius: Float[Array, ""],
    start: Int[Array, ""],
    key: Array,
    *,
    ball: _Ball,
    method: ProjectedGradient,
) -> Float[Array, " m"]:
    """The input of lowest margin on one descent."""
    reach = _inner_radius(u, radius, ball).astype(u.dtype)
    x = u + jnp.where(start > 0, _project(reach * _draw(key, u, ball), reach, u, ball), 0)
    target = jnp.where(start > 0, _ranked(scores(u), label, start - 1), -1)
    shrink = (method.last_step / method.first_step) ** (1 / max(method.steps - 1, 1))

    def step(now: tuple[Array, Array, Array], length: Array) -> tuple[tuple, None]:
        x, best, lowest = now
        margin, slope = jax.value_and_grad(_margin, 1)(scores, x, label, target)
        better = margin < lowest
        best, lowest = jnp.where(better, x, best), jnp.where(better, margin, lowest)
        moved = x - u - reach * length * _direction(slope, ball)
        return (u + _project(moved, reach, u, ball), best, lowest), None

    lengths = (method.first_step * shrink ** jnp.arange(method.steps)).astype(u.dtype)
    begun = (x, u, jnp.asarray(jnp.inf, u.dtype))
    (x, best, lowest), _ = jax.lax.scan(step, begun, lengths)
    return jnp.where(_margin(scores, x, label, target) < lowest, x, best)


def _ranked(said: Float[Array, " k"], label: Int[Array, ""], rank: Int[Array, ""]) -> Array:
    """The other class of that rank, from 0 for the highest, around again after the lowest."""
    others = jnp.where(jnp.arange(said.shape[0]) == label, -jnp.inf, said)
    return jnp.argsort(-others)[rank % (said.shape[0] - 1)]


def _inner_radius(u: Float[Array, " m"], radius: Array, ball: _Ball) -> Array:
    """A radius so small that inputs rounded to their dtype stay in the ball."""
    unit = jnp.finfo(u.dtype).eps * (jnp.abs(u).max() + radius)
    slack = unit * (math.sqrt(u.size) if ball.norm == BallNorm.EUCLIDEAN else 1)
    return jnp.maximum(radius * (1 - 8 * (_SUMMED - 1)) - slack, 0)


def _draw(key: Array, u: Float[Array, " m"], ball: _Ball) -> Float[Array, " m"]:
    """A point of the unit ball: on its sphere for the 2-norm, anywhere for the maximum norm."""
    if ball.norm == BallNorm.MAXIMUM:
        return jax.random.uniform(key, u.shape, u.dtype, -1, 1)
    return _direction(jax.random.normal(key, u.shape, u.dtype), ball)


def _direction(slope: Float[Array, " m"], ball: _Ball) -> Float[Array, " m"]:
    """What a linear margin falls fastest against, of norm 1; 0 where there is no slope."""
    slope = jnp.where(jnp.isfinite(slope), slope, 0)
    if ball.norm == BallNorm.MAXIMUM:
        return jnp.sign(slope)
    # Scaled first, so that squares neither vanish nor overflow.
    largest = jnp.abs(slope).max()
    scaled = slope / jnp.where(largest > 0, largest, 1)
    return scaled / jnp.where(largest > 0, jnp.linalg.norm(scaled), 1)


def _project(
    moved: Float[Array, " m"], reach: Array, u: Float[Array, " m"], ball: _Ball
) -> Float[Array, " m"]:
    """The nearest displacement in ball and box: for the 2-norm `clip(t moved)` with one t."""
    low, high = jnp.minimum(ball.low - u, 0), jnp.maximum(ball.high - u, 0)
    if ball.norm == BallNorm.MAXIMUM:
        return jnp.clip(jnp.clip(moved, -reach, reach), low, high)

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        inside, outside = ends
        middle = (inside + outside) / 2
        fits = jnp.linalg.norm(jnp.clip(middle * moved, low, high)) <= reach
        return jnp.where(fits, middle, inside), jnp.where(fits, outside, middle)

    one = jnp.ones((), moved.dtype)
    whole = jnp.clip(moved, low, high)
    inside, _ = jax.lax.fori_loop(0, _HALVINGS, halve, (0 * one, one))
    fits = jnp.linalg.norm(whole) <= reach
    return jnp.where(fits, whole, jnp.clip(inside * moved, low, high))


def _distances(found: np.ndarray, points: np.ndarray, ball: _Ball) -> Float[np.ndarray, " b"]:
    moved = found.astype(np.float64) - points.astype(np.float64)
    if ball.norm == BallNorm.MAXIMUM:
        return np.abs(moved).max(1)
    return np.linalg.norm(moved, axis=1)


def _kept_inside(
    found: np.ndarray, points: np.ndarray, radii: np.ndarray, ball: _Ball
) -> np.ndarray:
    """Inputs that are surely in their ball and box; the one that came in place of others."""
    inside = _distances(found, points, ball) * _SUMMED <= radii
    inside &= ((ball.low <= found) & (found <= ball.high)).all(1)
    return np.where(inside[:, None], found, points)
