"""The words of tangents: column vectors, and a linear map of them."""

from collections.abc import Callable

from jaxtyping import Array, Float

Vectors = Float[Array, "n k"]
Pushforward = Callable[[Vectors], Vectors]
