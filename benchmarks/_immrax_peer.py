"""immrax's enclosures of the functions that proof_peers.py encloses, in a process of its own.

immrax pins its own versions, so it may live in another environment; this file therefore imports
nothing of this folder and nothing of limitset. Run as `python _immrax_peer.py BOXES ANSWERS N`.
"""

import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

INPUTS, HIDDEN = 4, 16
_rng = np.random.default_rng(2603)
IN = _rng.standard_normal((HIDDEN, INPUTS)) / 2
OUT = _rng.standard_normal((INPUTS, HIDDEN)) / 4
BIAS = _rng.standard_normal(HIDDEN) / 2


def network(x: jax.Array) -> jax.Array:
    """`-x + OUT tanh(IN x + BIAS)`."""
    return -x + OUT @ jnp.tanh(IN @ x + BIAS)


# Of one box, of shape (INPUTS,).
FUNCTIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "tanh": jnp.tanh,
    "network": network,
    "jacobian": jax.jacfwd(network),
}


def main(boxes: str, answers: str, repeats: int) -> None:
    """Enclose every function over every set of boxes `KEY lower`, `KEY upper`, and time it."""
    import immrax

    given, found = np.load(boxes), {}
    keys = sorted({name.rpartition(" ")[0] for name in given.files})
    for function, f in FUNCTIONS.items():
        enclosed = jax.jit(jax.vmap(immrax.natif(f)))
        for key in keys:
            box = immrax.interval(given[f"{key} lower"], given[f"{key} upper"])
            seconds = []
            for _ in range(repeats + 1):
                begun = time.perf_counter()
                result = jax.block_until_ready(enclosed(box))
                seconds.append(time.perf_counter() - begun)
            name = f"{function} {key}"
            found[f"{name} lower"] = np.asarray(result.lower)
            found[f"{name} upper"] = np.asarray(result.upper)
            # The first call compiles.
            found[f"{name} seconds"] = np.array(seconds[1:])
    np.savez(answers, version=version("immrax"), **found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
