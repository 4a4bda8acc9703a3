"""Convolutions of images as linear operators, at four paddings, with their exact transpose."""

import enum

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from limitset._result import InputProblem, require_arrays
from limitset.networks._operator import AbstractOperator, Vector, transpose_of


class Padding(enum.StrEnum):
    """What a convolution sees beyond the image's edge."""

    ZERO = "zero"
    CIRCULAR = "circular"
    EDGE = "edge"
    REFLECT = "reflect"


_MODES = {Padding.CIRCULAR: "wrap", Padding.EDGE: "edge", Padding.REFLECT: "reflect"}


class Convolution(AbstractOperator):
    """`y[o, p] = sum_(i, q) taps[o, i, q] x[i, stride p + q - centre]`, a cross-correlation.

    Images are vectors: (channels, height, width), row by row. The image that comes out has
    `ceil(height / stride)` rows and `ceil(width / stride)` columns.

    **Arguments:** `taps`, shape (outputs, inputs, k, l) with k and l odd; `height` and `width` of
    the image that goes in, at least as large as the taps reach; `padding`, a `Padding` or its
    word; `stride`.

    **Raises:** `InputProblem` for even kernels, which have no centre, and sizes that do not fit.

    >>> import jax.numpy as jnp
    >>> blur = Convolution(jnp.full((1, 1, 1, 3), 0.5), 1, 3)
    >>> blur(jnp.array([2.0, 0.0, 4.0])).tolist(), blur.adjoint(jnp.ones(3)).tolist()
    ([1.0, 3.0, 2.0], [1.0, 1.5, 1.0])
    """

    taps: Float[Array, "o i k l"]
    height: int = eqx.field(static=True)
    width: int = eqx.field(static=True)
    padding: Padding = eqx.field(static=True, default=Padding.ZERO)
    stride: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        require_arrays(taps=self.taps)
        if self.padding not in tuple(Padding):
            known = ", ".join(Padding)
            raise InputProblem(f"padding {self.padding!r} is not known; use one of {known}")
        shape = self.taps.shape
        if len(shape) != 4 or shape[2] % 2 == 0 or shape[3] % 2 == 0 or 0 in shape:
            raise InputProblem(
                f"taps have shape {shape}; give (outputs, inputs, k, l) with k and l odd: a kernel "
                "of even size has no centre"
            )
        # A reflection needs one pixel more than it repeats.
        least = (shape[2] // 2 + 1, shape[3] // 2 + 1)
        if not (self.height >= least[0] and self.width >= least[1] and self.stride >= 1):
            raise InputProblem(
                f"images of {self.height} x {self.width} and stride {self.stride} do not fit taps "
                f"of {shape[2]} x {shape[3]}; images need at least {least[0]} x {least[1]} pixels"
            )

    @property
    def input_channels(self) -> int:
        """Channels of the image that goes in."""
        return self.taps.shape[-3]

    @property
    def output_channels(self) -> int:
        """Channels of the image that comes out."""
        return self.taps.shape[-4]

    @property
    def output_height(self) -> int:
        """Rows of the image that comes out."""
        return -(-self.height // self.stride)

    @property
    def output_width(self) -> int:
        """Columns of the image that comes out."""
        return -(-self.width // self.stride)

    @property
    def input_size(self) -> int:
        """Pixels of all channels of the image that goes in."""
        return self.input_channels * self.height * self.width

    @property
    def output_size(self) -> int:
        """Pixels of all channels of the image that comes out."""
        return self.output_channels * self.output_height * self.output_width

    def __call__(self, x: Vector) -> Vector:
        """The image that comes out, as a vector."""
        image = x.reshape(1, self.input_channels, self.height, self.width)
        reach = [(size // 2, size // 2) for size in self.taps.shape[-2:]]
        if self.padding != Padding.ZERO:
            image = jnp.pad(image, ((0, 0), (0, 0), *reach), mode=_MODES[Padding(self.padding)])
            reach = [(0, 0), (0, 0)]
        strides = (self.stride, self.stride)
        return jax.lax.conv_general_dilated(image, self.taps, strides, reach).ravel()

    def adjoint(self, y: Vector) -> Vector:
        """The image under the exact transpose, whatever the padding and the stride."""
        return transpose_of(self, y, self.input_size)
