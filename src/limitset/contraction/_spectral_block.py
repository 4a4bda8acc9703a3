"""Fully connected blocks whose spectrum is bounded for every value of the free parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset.contraction._block_parametrisation import (
    AbstractBlockParametrisation,
    check_epsilon,
    check_slopes,
    check_step,
    rounding_slack,
    runs_as,
)
from limitset.contraction._metric import QuadraticMetric
from limitset.contraction._norm_bound import negative_definite, norm_bound
from limitset.contraction._one_by_one import one_by_one
from limitset.contraction._projected_block import check_root
from limitset.networks import (
    TANH,
    AbstractOperator,
    Activation,
    DenseOperator,
    ResidualBlock,
    find_activation,
)


class SpectralDense(AbstractBlockParametrisation):
    """`A = -R^T R - epsilon I` with `R^T R` scaled to a 2-norm of at most `1 - 2 epsilon`.

    The class of `ProjectedDense` with the norm that the theorem needs in place of the Frobenius
    norm, and smooth: gradients pass through the scale. Its largest eigenvalues may all be near 1,
    where those of a projected Gaussian matrix of 256 units end at 0.17.

    **Arguments:** `root` R, shape (r, n), any values; the others as for `ProjectedDense`.

    **Raises:** `InputProblem` for sizes and settings that do not fit.

    **Reference:** arXiv 1804.07209; the norm's bound is that of arXiv 2305.16173.

    >>> import jax.numpy as jnp
    >>> core = SpectralDense(jnp.diag(jnp.array([9.0, 3.0])), None, jnp.zeros(2), epsilon=0.25)
    >>> [round(float(a), 3) for a in jnp.diag(core.explicit().state_operator.matrix)]
    [-0.75, -0.306]
    """

    root: Float[Array, "r n"]
    input_operator: AbstractOperator | None
    bias: Float[Array, " n"]
    epsilon: float = eqx.field(static=True, default=0.01)
    step: float = eqx.field(static=True, default=1.0)
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        check_root(self.root, self.epsilon, self.step, self.activation)
        eqx.filter_eval_shape(SpectralDense.explicit, self)

    def explicit(self) -> ResidualBlock:
        """The block that runs."""
        return ResidualBlock(
            DenseOperator(negative_definite(self._scaled(), self.epsilon)),
            self.input_operator,
            self.bias,
            jnp.asarray(self.step, self.root.dtype),
            self.activation,
        )

    def metric(self) -> QuadraticMetric:
        """`-A`; a proposal that a certificate still verifies."""
        return QuadraticMetric(-negative_definite(self._scaled(), self.epsilon))

    def idle(self) -> int:
        """None."""
        return 0

    @property
    def unties(self) -> bool:
        """No: the metric is that of the weights."""
        return False

    def _scaled(self) -> Float[Array, "r n"]:
        slack = rounding_slack(self.root.dtype, sum(self.root.shape))
        limit = ((1 - 2 * self.epsilon) * (1 - slack)) ** 0.5
        return limit / jnp.maximum(norm_bound(DenseOperator(self.root)), limit) * self.root


class FreeSpectrumDense(AbstractBlockParametrisation):
    """`A = -Q diag(epsilon + (largest - epsilon) sigmoid(spectrum)) Q^T` with Q orthogonal.

    Q is a product of Householder reflections, whose vectors are the columns of `reflectors` below
    and on the diagonal: orthogonal to rounding, whatever their sizes. Every symmetric A with
    eigenvalues in `(-largest, -epsilon)` is reached.

    **Arguments:** `reflectors`, (n, n); `spectrum`, (n,); any values; `largest`, above `epsilon`
    and with `step largest <= 2`; the others as for `ProjectedDense`.

    **Raises:** `InputProblem` for sizes and settings that do not fit.

    **Reference:** Golub and Van Loan, Matrix Computations, 5.1.

    >>> import jax.numpy as jnp
    >>> core = FreeSpectrumDense(
    ...     jnp.eye(2), jnp.zeros(2), None, jnp.zeros(2), epsilon=0.5, largest=1.5
    ... )
    >>> [round(float(a), 3) for a in jnp.diag(core.explicit().state_operator.matrix)]
    [-1.0, -1.0]
    """

    reflectors: Float[Array, "n n"]
    spectrum: Float[Array, " n"]
    input_operator: AbstractOperator | None
    bias: Float[Array, " n"]
    epsilon: float = eqx.field(static=True, default=0.01)
    largest: float = eqx.field(static=True, default=0.99)
    step: float = eqx.field(static=True, default=1.0)
    activation: Activation = eqx.field(static=True, converter=find_activation, default=TANH)

    def __check_init__(self) -> None:
        require_arrays(reflectors=self.reflectors, spectrum=self.spectrum)
        size = self.spectrum.shape[-1:]
        if self.spectrum.ndim != 1 or self.reflectors.shape != (*size, *size):
            raise InputProblem(
                f"reflectors {self.reflectors.shape} and spectrum {self.spectrum.shape} do not "
                "fit; give (n, n) and (n,)"
            )
        check_epsilon(self.epsilon, self.largest, self.spectrum.dtype, 2 * size[0])
        check_step(self.step, 2 / self.largest)
        check_slopes(self.activation)
        eqx.filter_eval_shape(FreeSpectrumDense.explicit, self)

    def explicit(self) -> ResidualBlock:
        """The block that runs."""
        return ResidualBlock(
            DenseOperator(-self._positive()),
            self.input_operator,
            self.bias,
            jnp.asarray(self.step, self.spectrum.dtype),
            self.activation,
        )

    def metric(self) -> QuadraticMetric:
        """`-A`; a proposal that a certificate still verifies."""
        return QuadraticMetric(self._positive())

    def idle(self) -> int:
        """What is above the diagonal of the reflectors."""
        return self.spectrum.size * (self.spectrum.size - 1) // 2

    @property
    def unties(self) -> bool:
        """No: the metric is that of the weights."""
        return False

    def _positive(self) -> Float[Array, "n n"]:
        dtype = self.spectrum.dtype
        largest = min(self.largest, 2 / runs_as(self.step, dtype))
        # Entries of Q^T Q are off by their rounding, and eigenvalues with them.
        slack = rounding_slack(dtype, 2 * self.spectrum.size)
        least, largest = self.epsilon * (1 + slack), largest * (1 - 2 * slack)
        values = least + (largest - least) * jax.nn.sigmoid(self.spectrum)
        turned = one_by_one(_orthogonal, self.reflectors)
        product = jnp.matmul(turned * values, turned.T, precision="highest")
        return (product + product.T) / 2


def _orthogonal(reflectors: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """`H_1 H_2 ... H_n` of the columns below the diagonal, as `I - V T^-1 V^T`."""
    vectors = jnp.tril(reflectors)
    sizes = jnp.abs(vectors).max(0)
    # A vector of zeros reflects nothing; of size 1 first, for squares overflow and underflow.
    vectors = vectors / jax.lax.stop_gradient(jnp.where(sizes > 0, sizes, 1.0))
    squares = (vectors**2).sum(0)
    vectors = vectors / jnp.sqrt(jnp.where(squares > 0, squares, 1.0))
    gram = jnp.matmul(vectors.T, vectors, precision="highest")
    eye = jnp.eye(vectors.shape[0], dtype=vectors.dtype)
    triangle = jnp.triu(gram, 1) + eye / 2
    return eye - jnp.matmul(
        vectors, solve_triangular(triangle, vectors.T, lower=False), precision="highest"
    )
