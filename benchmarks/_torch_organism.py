"""An organism in PyTorch, particle by particle or all in one batch: organism_speed.py's peers."""

from collections.abc import Iterable

import numpy as np
import torch

from limitset.replication import Organism


class Particle(torch.nn.Module):
    """Three matrices without biases, and the rows by which it is asked for its own weights."""

    def __init__(self, weights: np.ndarray, shapes: Iterable[tuple[int, int]], places: np.ndarray):
        super().__init__()
        parts, start = [], 0
        for rows, columns in shapes:
            part = weights[start : start + rows * columns].reshape(rows, columns)
            parts.append(torch.nn.Parameter(torch.from_numpy(np.array(part))))
            start += rows * columns
        self.matrices = torch.nn.ParameterList(parts)
        self.places = torch.from_numpy(places.astype(weights.dtype))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """What the particle answers to each row."""
        for matrix in self.matrices:
            rows = rows @ matrix.T
        return rows

    def flat(self) -> torch.Tensor:
        """All weights, in limitset's order."""
        return torch.cat([matrix.reshape(-1) for matrix in self.matrices])

    def replication_loss(self) -> torch.Tensor:
        """Mean squared error of the answers about its own weights; rows and targets are fixed."""
        target = self.flat().detach()[:, None]
        spare = torch.zeros(len(target), 1, dtype=target.dtype)
        rows = torch.cat([target, self.places, spare], dim=1)
        return ((self(rows) - target) ** 2).mean()


class Loop:
    """Particles in a list, asked one after the other, and an optimiser for each goal."""

    def __init__(self, organism: Organism, rate: float, momentum: float) -> None:
        values = np.asarray(organism.particles)
        spec, self.sizes = organism.spec, organism.sizes
        self.particles = [Particle(one, spec.shapes, spec.positions) for one in values]
        self._parameters = [p for particle in self.particles for p in particle.parameters()]
        self._rate, self._momentum = rate, momentum
        self._task = torch.optim.SGD(self._parameters, lr=rate, momentum=momentum)

    def weights(self) -> np.ndarray:
        """The weights of all particles, (N, n)."""
        return np.stack([particle.flat().detach().numpy() for particle in self.particles])

    def train_selves(self, steps: int) -> None:
        """Steps of self-training with a new optimiser."""
        optimiser = torch.optim.SGD(self._parameters, lr=self._rate, momentum=self._momentum)
        for _ in range(steps):
            optimiser.zero_grad()
            total = torch.zeros(())
            for particle in self.particles:
                total = total + particle.replication_loss()
            total.backward()
            optimiser.step()

    def train_task(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """One step of cross-entropy, the tanh form of GELU in hidden layers."""
        self._task.zero_grad()
        torch.nn.functional.cross_entropy(self._answer(x), y).backward()
        self._task.step()

    def _answer(self, x: torch.Tensor) -> torch.Tensor:
        numbers = iter(self.particles)
        for layer, cells in enumerate(self.sizes[1:]):
            said = []
            for _ in range(cells):
                total = torch.zeros(len(x), 1)
                for edge in range(x.shape[1]):
                    rows = torch.nn.functional.pad(x[:, edge : edge + 1], (4, 0))
                    total = total + next(numbers)(rows)
                said.append(total)
            x = torch.cat(said, dim=1)
            if layer + 2 < len(self.sizes):
                x = torch.nn.functional.gelu(x, approximate="tanh")
        return x


class Batch:
    """All particles as three stacks of matrices, collapsed to `kappa`; no particle is asked."""

    def __init__(self, organism: Organism, rate: float, momentum: float) -> None:
        values, start = np.asarray(organism.particles), 0
        spec, self.sizes = organism.spec, organism.sizes
        self._parts = []
        for rows, columns in spec.shapes:
            part = values[:, start : start + rows * columns].reshape(-1, rows, columns)
            self._parts.append(torch.nn.Parameter(torch.from_numpy(np.array(part))))
            start += rows * columns
        self._places = torch.from_numpy(spec.positions.astype(values.dtype))
        self._rate, self._momentum = rate, momentum
        self._task = torch.optim.SGD(self._parts, lr=rate, momentum=momentum)

    def weights(self) -> np.ndarray:
        """The weights of all particles, (N, n)."""
        return np.concatenate([p.detach().numpy().reshape(len(p), -1) for p in self._parts], axis=1)

    def _kappa(self) -> torch.Tensor:
        product = self._parts[0]
        for part in self._parts[1:]:
            product = torch.bmm(part, product)
        return product[:, 0]

    def train_selves(self, steps: int) -> None:
        """Steps of self-training with a new optimiser."""
        optimiser = torch.optim.SGD(self._parts, lr=self._rate, momentum=self._momentum)
        for _ in range(steps):
            optimiser.zero_grad()
            target = torch.cat([p.detach().reshape(len(p), -1) for p in self._parts], dim=1)
            kappa = self._kappa()
            answers = kappa[:, :1] * target + kappa[:, 1:4] @ self._places.T
            ((answers - target) ** 2).mean(1).sum().backward()
            optimiser.step()

    def train_task(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """One step of cross-entropy, the tanh form of GELU in hidden layers."""
        self._task.zero_grad()
        slopes, start = self._kappa()[:, 4], 0
        for layer, (sources, cells) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            x = x @ slopes[start : start + cells * sources].reshape(cells, sources).T
            if layer + 2 < len(self.sizes):
                x = torch.nn.functional.gelu(x, approximate="tanh")
            start += cells * sources
        torch.nn.functional.cross_entropy(x, y).backward()
        self._task.step()
