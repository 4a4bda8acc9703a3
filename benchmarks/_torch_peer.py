"""A stable assembly's classifier in PyTorch, from the same numbers: train_speed.py's peer."""

from collections.abc import Callable

import numpy as np
import torch

from limitset.contraction import AbsoluteValueWeight, StableAssembly
from limitset.training import SequenceClassifier


class Peer(torch.nn.Module):
    """The cell as one writes it in PyTorch: explicit weights once per update, a loop over time.

    `product` is `"bmm"` (one batched product for all modules) or `"dense"` (one product with the
    block-diagonal matrix: more arithmetic, fewer calls).
    """

    def __init__(self, model: SequenceClassifier, product: str) -> None:
        super().__init__()
        core = model.core
        if not isinstance(core, StableAssembly) or not isinstance(
            core.weights, AbsoluteValueWeight
        ):
            raise TypeError("the peer is written for the absolute-value parametrisation")
        self.theta = _parameter(core.weights.theta)
        self.log_scale = _parameter(core.weights.log_scale)
        self.lower = _parameter(core.coupling.lower)
        self.input_weight = _parameter(core.input_weight)
        self.bias = _parameter(core.bias)
        self.readout_weight = _parameter(model.readout.weight)
        self.readout_bias = _parameter(model.readout.bias)
        self.product, self.margin = product, core.margin
        self.step, self.readout_gain = model.scheme.step, model.readout_gain
        units = self.theta.shape[-1]
        owner = torch.arange(len(self.bias)) // units
        constants = torch.tensor(core.time_constants, dtype=torch.float64)
        gain = (self.step / constants).repeat_interleave(units)
        self.below = owner[:, None] > owner[None, :]
        self.keep, self.gain = (1 - gain).float(), gain.float()

    def explicit(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Module weights (p, k, k) and the semi-implicit propagator (n, n)."""
        magnitude, scale = self.theta.abs(), self.log_scale.exp()
        left = self.margin / (scale * magnitude.sum(-1).sqrt())
        right = scale / magnitude.sum(-2).sqrt()
        weight = left[..., :, None] * self.theta * right[..., None, :]
        lower = torch.where(self.below, self.lower, 0.0)
        flat = scale.reshape(-1)
        coupling = (lower - lower.T) * (flat[None, :] / flat[:, None])
        identity = torch.eye(len(flat), dtype=torch.float64)
        return weight, torch.linalg.inv(identity - self.step * coupling.double()).float()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Scores (b, classes) of sequences (b, t, m), from rest."""
        weight, propagator = self.explicit()
        modules, units, _ = weight.shape
        dense, onward = torch.block_diag(*weight).T, propagator.T
        # The input needs no loop: one product for all steps.
        drives = inputs @ self.input_weight.T + self.bias
        x = torch.zeros(len(inputs), modules * units)
        for drive in drives.unbind(1):
            active = torch.tanh(x)
            if self.product == "bmm":
                blocks = active.view(-1, modules, units).transpose(0, 1)
                mixed = torch.bmm(blocks, weight.mT).transpose(0, 1).reshape(x.shape)
            else:
                mixed = active @ dense
            x = (self.keep * x + self.gain * (mixed + drive)) @ onward
        return (self.readout_gain * x) @ self.readout_weight.T + self.readout_bias


def loss_and_gradients(
    peer: Peer, inputs: np.ndarray, labels: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss of a batch, and its gradient by the parameters' names."""
    peer.zero_grad()
    loss = _loss(peer, torch.from_numpy(inputs), torch.from_numpy(labels))
    loss.backward()
    gradients = {
        name: np.asarray(parameter.grad)
        for name, parameter in peer.named_parameters()
        if parameter.grad is not None
    }
    return float(loss.detach()), gradients


def make_step(
    peer: Peer,
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    learning_rate: float,
    clip: float,
    threads: int,
) -> Callable[[], float]:
    """One update with so many threads: loss, gradient, clipping, Adam."""
    optimiser = torch.optim.Adam(peer.parameters(), lr=learning_rate)
    u, y = torch.from_numpy(inputs), torch.from_numpy(labels)

    def step() -> float:
        torch.set_num_threads(threads)
        optimiser.zero_grad()
        loss = _loss(peer, u, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(peer.parameters(), clip)
        optimiser.step()
        return float(loss.detach())

    return step


def _parameter(values: object) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.from_numpy(np.array(values)))


def _loss(peer: Peer, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(peer(inputs), labels)
