"""The block in PyTorch, from the same numbers: block_speed.py's peer."""

from collections.abc import Callable

import numpy as np
import torch

from limitset.networks import Convolution, DenseOperator, ResidualBlock


class Peer(torch.nn.Module):
    """The block as one writes it in PyTorch: a loop over depth, the input's part computed once."""

    def __init__(self, block: ResidualBlock, depth: int) -> None:
        super().__init__()
        operators = (block.state_operator, block.input_operator)
        weights = [_weight(operator) for operator in operators]
        self.state, self.entering = (torch.nn.Parameter(torch.from_numpy(w)) for w in weights)
        self.bias = torch.nn.Parameter(torch.from_numpy(np.array(block.bias)))
        self.step, self.depth = float(block.step), depth
        self.dense = isinstance(block.state_operator, DenseOperator)
        self.shape = () if self.dense else _image_shape(block.input_operator)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """The last states (b, n) of inputs (b, m)."""
        if self.dense:
            held = u @ self.entering.T + self.bias
            x = torch.zeros_like(held)
            for _ in range(self.depth):
                x = x + self.step * torch.relu(x @ self.state.T + held)
            return x
        image = u.view(len(u), *self.shape)
        convolve = torch.nn.functional.conv2d
        held = convolve(image, self.entering, self.bias, padding="same")
        x = torch.zeros_like(held)
        for _ in range(self.depth):
            x = x + self.step * torch.relu(convolve(x, self.state, padding="same") + held)
        return x.flatten(1)


def tasks(block: ResidualBlock, inputs: np.ndarray, depth: int) -> dict[str, Callable[[], object]]:
    """Forward without a tape, and the gradient of the sum of squares."""
    torch.set_num_threads(1)
    peer, u = Peer(block, depth), torch.from_numpy(np.array(inputs))

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return peer(u)

    def gradient() -> None:
        peer.zero_grad()
        (peer(u) ** 2).sum().backward()

    return {"torch, forward": forward, "torch, gradient": gradient}


def difference(block: ResidualBlock, inputs: np.ndarray, depth: int, ours: np.ndarray) -> float:
    """The largest difference from our states, over the largest state."""
    with torch.no_grad():
        states = Peer(block, depth)(torch.from_numpy(np.array(inputs))).numpy()
    return float(np.abs(states - ours).max() / np.abs(ours).max())


def _weight(operator: object) -> np.ndarray:
    if isinstance(operator, DenseOperator):
        return np.array(operator.matrix)
    if isinstance(operator, Convolution):
        return np.array(operator.taps)
    raise TypeError("the peer is written for dense matrices and convolutions")


def _image_shape(operator: object) -> tuple[int, ...]:
    if not isinstance(operator, Convolution):
        raise TypeError("the peer is written for convolutions of images")
    return (operator.input_channels, operator.height, operator.width)
