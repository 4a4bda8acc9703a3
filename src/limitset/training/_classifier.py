"""Classifiers of sequences: a recurrent core, read out linearly after the last step."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractMap
from limitset.contraction import AbstractParametrisation, StableAssembly
from limitset.dynamics import (
    AbstractExecution,
    AbstractScheme,
    Scan,
    Trajectory,
    discretise,
    simulate,
    simulate_batch,
)
from limitset.networks import (
    Activation,
    Assembly,
    Form,
    LinearReadout,
    RateNetwork,
    find_activation,
)


class FreeAssembly(AbstractParametrisation):
    """An assembly with free weights and free coupling: no theorem, for comparison.

    **Arguments:** `weights` (modules, units, units); `coupling` (n, n), of which only the blocks
    off the diagonal count; `input_weight` (n, m); `bias` (n,); `time_constants` per module;
    `log_slowing` (p,) and `damping`, as a stable assembly has them.
    """

    weights: Float[Array, "p k k"]
    coupling: Float[Array, "n n"]
    input_weight: Float[Array, "n m"]
    bias: Float[Array, " n"]
    activation: Activation = eqx.field(static=True, converter=find_activation)
    form: Form = eqx.field(static=True, converter=Form)
    time_constants: tuple[float, ...] = eqx.field(static=True)
    log_slowing: Float[Array, " p"] | None = None
    damping: float = eqx.field(static=True, default=0.0)

    def explicit(self) -> Assembly:
        """The assembly that runs."""
        units = self.weights.shape[-1]
        constants: list[float | Array] = list(self.time_constants)
        if self.log_slowing is not None:
            slowing = jnp.exp(self.log_slowing)
            constants = [c * (1 + s) for c, s in zip(constants, slowing, strict=True)]
        modules = tuple(
            RateNetwork(
                weight,
                self.input_weight[i * units : (i + 1) * units],
                self.bias[i * units : (i + 1) * units],
                activation=self.activation,
                form=self.form,
                leak=1.0 + self.damping * constants[i],
                time_constant=constants[i],
            )
            for i, weight in enumerate(self.weights)
        )
        owner = np.arange(self.coupling.shape[0]) // units
        coupling = jnp.where(owner[:, None] == owner[None, :], 0.0, self.coupling)
        return Assembly(modules, coupling)

    def metric(self) -> None:
        """None: free weights come with no proposal."""
        return None

    def idle(self) -> int:
        """The diagonal blocks of the coupling."""
        return self.weights.size


def freed(core: StableAssembly) -> FreeAssembly:
    """An unconstrained assembly that starts from the very weights of a stable one.

    **Raises:** `InputProblem` if the modules have different sizes.
    """
    explicit = core.explicit()
    if len(set(explicit.sizes)) > 1:
        raise InputProblem(
            f"modules have {explicit.sizes} units; choose equal sizes for an unconstrained twin"
        )
    return FreeAssembly(
        weights=jnp.stack([m.weight for m in explicit.modules]),
        coupling=explicit.coupling,
        input_weight=core.input_weight,
        bias=core.bias,
        activation=core.activation,
        form=core.form,
        time_constants=core.time_constants,
        log_slowing=core.log_slowing,
        damping=core.coupling.damping,
    )


class RunningClassifier(eqx.Module):
    """What is deployed: a map with explicit weights, and a readout of its last state.

    **Arguments:** `system`; `readout`; `method`, how trajectories are computed (`simulate`).
    """

    system: AbstractMap
    readout: LinearReadout
    method: AbstractExecution = Scan()

    def __call__(self, sequence: Float[Array, "t m"]) -> Float[Array, " k"]:
        """Scores of the classes for one sequence, from rest."""
        rest = jnp.zeros(self.system.state_size, sequence.dtype)
        return self.readout(simulate(self.system, rest, sequence, method=self.method).final)

    def last_scores(self, inputs: Float[Array, "b t m"]) -> Float[Array, "b k"]:
        """Scores of a batch after the last step, from rest."""
        return jax.vmap(self.readout)(self._run(inputs).final)

    def all_scores(self, inputs: Float[Array, "b t m"]) -> Float[Array, "b t k"]:
        """Scores of a batch after every step, from rest."""
        return jax.vmap(jax.vmap(self.readout))(self._run(inputs).states)

    def _run(self, inputs: Float[Array, "b t m"]) -> Trajectory:
        # Stacks too: on processors that is twice as fast as layer by layer.
        rest = jnp.zeros((inputs.shape[0], self.system.state_size), inputs.dtype)
        return simulate_batch(self.system, rest, inputs, method=self.method)


class SequenceClassifier(eqx.Module):
    """Free parameters of a classifier.

    **Arguments:** `core`, `readout`; `scheme`, `None` if the core is a map; `readout_gain`
    multiplies the states before the readout while training, so that one learning rate suits small
    states and large scores; `method`, how trajectories and their gradients are computed.
    """

    core: AbstractParametrisation
    readout: LinearReadout
    scheme: AbstractScheme | None
    readout_gain: float = eqx.field(static=True)
    method: AbstractExecution = Scan()

    def explicit(self) -> RunningClassifier:
        """Explicit weights, computed once per update, outside the loop over time."""
        readout = LinearReadout(self.readout_gain * self.readout.weight, self.readout.bias)
        system = self.core.explicit()
        if isinstance(system, AbstractMap):
            return RunningClassifier(system, readout, self.method)
        if self.scheme is None:
            raise InputProblem("the core is a flow and no scheme came; give SemiImplicit(step)")
        return RunningClassifier(discretise(system, self.scheme), readout, self.method)


def count_parameters(model: SequenceClassifier) -> int:
    """Number of trained numbers that have an effect; masked and cancelled entries do not count."""
    arrays = jax.tree.leaves(eqx.filter(model, eqx.is_array))
    return sum(leaf.size for leaf in arrays) - model.core.idle()
