"""Blocks as published: weights projected into a stable set after every update."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from limitset._result import InputProblem, require_arrays
from limitset.contraction._block_parametrisation import (
    AbstractProjected,
    check_epsilon,
    check_slopes,
    check_step,
    rounding_slack,
)
from limitset.contraction._metric import QuadraticMetric
from limitset.contraction._norm_bound import frobenius_norm, negative_definite
from limitset.contraction._polyhedral_metric import MaximumMetric
from limitset.networks import (
    TANH,
    AbstractOperator,
    Activation,
    Convolution,
    DenseOperator,
    Padding,
    ResidualBlock,
    find_activation,
)


class ProjectedDense(AbstractProjected):
    """`A = -R^T R - epsilon I` with `|R^T R|_F <= 1 - 2 epsilon` after every projection.

    Then the eigenvalues of A lie in `[epsilon - 1, -epsilon]`, and `x + step phi(A x + B u + b)`
    never increases distances in the metric `-A`. The projection scales R itself:
    `R <- sqrt(delta / |R^T R|_F) R` with `delta = 1 - 2 epsilon`, less a few units in the last
    place. Scaling `R^T R` by that root instead leaves it too large.

    **Arguments:** `root` R, shape (r, n), any r; `input_operator` B, an operator from inputs to
    states, or `None`; `bias` b, (n,); `epsilon` in (0, 1/2); `step` in (0, 2], at most 1 for steps
    that do not overshoot; `activation` with slopes in [0, 1].

    **Raises:** `InputProblem` for sizes and settings that do not fit.

    **Reference:** arXiv 1804.07209, Algorithm 1.

    >>> import jax.numpy as jnp
    >>> core = ProjectedDense(jnp.full((1, 1), 9.0), None, jnp.zeros(1), epsilon=0.25).projected()
    >>> round(float(core.explicit().state_operator.matrix[0, 0]), 4)
    -0.75
    """

    root: Float[Array, "r n"]
    input_operator: AbstractOperator | None
    bias: Float[Array, " n"]
    epsilon: float = eqx.field(static=True, default=0.01)
    step: float = eqx.field(static=True, default=1.0)
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        check_root(self.root, self.epsilon, self.step, self.activation)
        eqx.filter_eval_shape(ProjectedDense.explicit, self)

    def explicit(self) -> ResidualBlock:
        """The block that runs, of the root as it is."""
        return ResidualBlock(
            DenseOperator(negative_definite(self.root, self.epsilon)),
            self.input_operator,
            self.bias,
            jnp.asarray(self.step, self.root.dtype),
            self.activation,
        )

    def projected(self) -> "ProjectedDense":
        """The root scaled down to `|R^T R|_F <= 1 - 2 epsilon`, where it was larger."""
        limit = 1 - 2 * self.epsilon
        slack = rounding_slack(self.root.dtype, sum(self.root.shape))
        # Of size 1 first: squares of large roots overflow.
        largest = jnp.abs(self.root).max()
        largest = jnp.where(largest > 0, largest, 1.0)
        unit = self.root / largest
        # At least 1 by then, but for zeros, which every scale leaves as they are.
        size = jnp.maximum(frobenius_norm(jnp.matmul(unit.T, unit, precision="highest")), 1.0)
        outside = ~(largest * largest * size <= limit * (1 - slack))
        # A little further in than it has to be, so that a second projection changes nothing.
        scale = jnp.sqrt(limit * (1 - 2 * slack) / size) / largest
        root = jnp.where(outside, scale * self.root, self.root)
        return eqx.tree_at(lambda core: core.root, self, root)

    def metric(self) -> QuadraticMetric:
        """`-A`; a proposal that a certificate still verifies."""
        return QuadraticMetric(-negative_definite(self.root, self.epsilon))

    def idle(self) -> int:
        """None."""
        return 0

    @property
    def unties(self) -> bool:
        """No: the metric is that of the weights."""
        return False


class ProjectedConvolution(AbstractProjected):
    """A convolution whose centre taps are `-1 - shifts`, and whose other taps are bounded.

    After every projection, for each output channel: `|shift| <= 1 - eta`, and the magnitudes of
    all other taps, those of every input channel, add up to at most `1 - epsilon - |shift|`. One
    number per output channel is left out of the sum, its own centre tap. Then
    `x + step phi(A x + B u + b)` does not increase distances in the maximum norm, at any padding;
    nothing is said about the 2-norm.

    **Arguments:** `taps`, shape (c, c, k, l), whose own centre taps do not count; `shifts`, (c,);
    `input_operator` B, or `None`; `bias` b, (c,) or (n,); `height` and `width`, pixels;
    `padding`; `epsilon` and `eta` with `0 < epsilon < eta < 1`; `step` in (0, 1]; `activation` with
    slopes in [0, 1].

    **Raises:** `InputProblem` for sizes and settings that do not fit.

    **Reference:** arXiv 1804.07209, Algorithm 2.

    >>> import jax.numpy as jnp
    >>> taps, zero = jnp.full((1, 1, 1, 3), 5.0), jnp.zeros(1)
    >>> wild = ProjectedConvolution(taps, zero, None, zero, 1, 4, epsilon=0.1, eta=0.2)
    >>> [round(float(tap), 3) for tap in wild.projected().explicit().state_operator.taps.ravel()]
    [0.45, -1.0, 0.45]
    """

    taps: Float[Array, "c c k l"]
    shifts: Float[Array, " c"]
    input_operator: AbstractOperator | None
    bias: Float[Array, " b"]
    height: int = eqx.field(static=True)
    width: int = eqx.field(static=True)
    padding: Padding = eqx.field(static=True, default=Padding.ZERO)
    epsilon: float = eqx.field(static=True, default=0.05)
    eta: float = eqx.field(static=True, default=0.1)
    step: float = eqx.field(static=True, default=1.0)
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        check_square_taps(self.taps, shifts=self.shifts)
        check_disks(self.epsilon, self.eta, self.taps)
        check_step(self.step, 1.0)
        check_slopes(self.activation)
        eqx.filter_eval_shape(ProjectedConvolution.explicit, self)

    def explicit(self) -> ResidualBlock:
        """The block that runs, of the taps as they are."""
        taps = with_centres(self.taps, -1 - self.shifts)
        return ResidualBlock(
            Convolution(taps, self.height, self.width, self.padding),
            self.input_operator,
            self.bias,
            jnp.asarray(self.step, taps.dtype),
            self.activation,
        )

    def projected(self) -> "ProjectedConvolution":
        """Shifts clipped, and the taps of channels whose sums are too large scaled down."""
        bound = 1 - self.eta
        shifts = jnp.clip(self.shifts, -bound, bound)
        taps = with_centres(self.taps, jnp.zeros_like(self.shifts))
        # Sums may overflow; quotients by the largest tap do not. They add up to at least 1, but for
        # zeros, which every scale leaves as they are.
        largest = jnp.abs(taps).max((1, 2, 3))
        largest = jnp.where(largest > 0, largest, 1.0)
        sums = jnp.maximum(jnp.abs(taps / largest[:, None, None, None]).sum((1, 2, 3)), 1.0)
        slack = rounding_slack(taps.dtype, taps[0].size)
        room = 1 - self.epsilon - jnp.abs(shifts)
        outside = ~(largest * sums <= room - slack)
        # A little further in than it has to be, so that a second projection changes nothing.
        scale = (room - 2 * slack) / sums / largest
        scaled = jnp.where(outside[:, None, None, None], scale[:, None, None, None] * taps, taps)
        return eqx.tree_at(lambda core: (core.taps, core.shifts), self, (scaled, shifts))

    def metric(self) -> MaximumMetric:
        """The maximum norm; a proposal that a certificate still verifies."""
        size = self.taps.shape[0] * self.height * self.width
        return MaximumMetric(jnp.ones(size, self.taps.dtype))

    def idle(self) -> int:
        """The own centre taps, which the shifts replace."""
        return self.shifts.size

    @property
    def unties(self) -> bool:
        """Yes: the norm is the same whatever the weights."""
        return True


def own_centres(taps: Float[Array, "c c k l"]) -> Bool[np.ndarray, "c c k l"]:
    """Where each output channel's own centre tap is: one entry per output channel."""
    channels, _, height, width = taps.shape
    mask = np.zeros(taps.shape, bool)
    mask[np.arange(channels), np.arange(channels), height // 2, width // 2] = True
    return mask


def with_centres(
    taps: Float[Array, "c c k l"], centres: Float[Array, " c"]
) -> Float[Array, "c c k l"]:
    """The taps with each output channel's own centre tap replaced."""
    return jnp.where(own_centres(taps), centres[:, None, None, None], taps)


def check_square_taps(taps: Float[Array, "c c k l"], **channels: Float[Array, " c"] | None) -> None:
    """Refuse taps that do not lead from c channels to c, or vectors without c entries."""
    require_arrays(taps=taps)
    shape = taps.shape
    if len(shape) != 4 or shape[0] != shape[1] or shape[2] % 2 == 0 or shape[3] % 2 == 0:
        raise InputProblem(
            f"taps have shape {shape}; give (channels, channels, k, l) with k and l odd: a kernel "
            "of even size has no centre"
        )
    for name, vector in channels.items():
        if vector is not None and vector.shape != shape[:1]:
            raise InputProblem(f"{name} has shape {vector.shape}; give one number per channel")


def check_root(
    root: Float[Array, "r n"], epsilon: float, step: float, activation: Activation
) -> None:
    """Refuse a root and settings that make no `A = -R^T R - epsilon I` to be bounded."""
    require_arrays(root=root)
    if root.ndim != 2 or 0 in root.shape:
        raise InputProblem(f"root has shape {root.shape}; give (rank, units)")
    check_epsilon(epsilon, 0.5, root.dtype, sum(root.shape))
    check_step(step, 2.0)
    check_slopes(activation)


def check_disks(epsilon: float, eta: float, taps: Float[Array, "c c k l"]) -> None:
    """Refuse anything but `0 < epsilon < eta < 1`, with room for rounding between them."""
    check_epsilon(epsilon, 1.0, taps.dtype, taps[0].size)
    if not epsilon < eta < 1:
        raise InputProblem(f"eta is {eta}; give a number between epsilon {epsilon} and 1")
    if not eta - epsilon > 4 * rounding_slack(taps.dtype, taps[0].size):
        raise InputProblem(
            f"eta {eta} exceeds epsilon {epsilon} by less than sums of {taps[0].size} taps are "
            f"rounded by in {taps.dtype.name}; give numbers further apart"
        )
