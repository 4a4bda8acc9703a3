"""Between systems and their description: a small JSON object and named arrays."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.dynamics import (
    SCHEMES,
    EulerAssemblyMap,
    ExplicitEuler,
    ExponentialAssemblyMap,
    ExponentialEuler,
    RateMap,
    SemiImplicit,
    SemiImplicitMap,
)
from limitset.networks import ACTIVATIONS, GRU, LSTM, Activation, Assembly, Elman, Form, RateNetwork

Config = dict[str, Any]
Tensors = dict[str, np.ndarray]

_CELLS: dict[str, type[Elman] | type[GRU] | type[LSTM]] = {"elman": Elman, "gru": GRU, "lstm": LSTM}
_CELL_TENSORS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
_EXTRA = {
    "rate": {name: ("keep", "gain") for name in ("explicit_euler", "exponential_euler")},
    "assembly": {
        "semi_implicit": ("keep", "gain", "propagator"),
        "explicit_euler": ("gain", "transition"),
        "exponential_euler": ("transition", "response"),
    },
}


def describe(system: AbstractFlow | AbstractMap) -> tuple[Config, Tensors]:
    """The configuration and the tensors that determine a system, exactly as it is stored.

    **Raises:** `InputProblem` for a system that has no place in the model format.

    >>> import jax.numpy as jnp
    >>> config, tensors = describe(RateNetwork(jnp.zeros((2, 2))))
    >>> config["kind"], sorted(tensors)
    ('rate', ['bias', 'input_weight', 'weight'])
    """
    if isinstance(system, RateNetwork):
        return {**_rate_config(system), "discretisation": None}, _rate_tensors(system, "")
    if isinstance(system, RateMap):
        config, tensors = describe(system.network)
        return _discretised(config, tensors, system, "rate")
    if isinstance(system, Assembly):
        modules = system.modules
        tensors = {"coupling": np.asarray(system.coupling)}
        for index, module in enumerate(modules):
            tensors |= _rate_tensors(module, f"module_{index}.")
        configs = [_rate_config(m) for m in modules]
        return {"kind": "assembly", "modules": configs, "discretisation": None}, tensors
    if isinstance(system, SemiImplicitMap | EulerAssemblyMap | ExponentialAssemblyMap):
        config, tensors = describe(system.assembly)
        return _discretised(config, tensors, system, "assembly")
    for kind, cell in _CELLS.items():
        if isinstance(system, cell):
            arrays = (system.weight_ih, system.weight_hh, system.bias_ih, system.bias_hh)
            config = {"kind": kind}
            if isinstance(system, Elman):
                config["activation"] = _activation_name(system.activation)
            named = zip(_CELL_TENSORS, arrays, strict=True)
            return config, {name: np.asarray(array) for name, array in named}
    raise InputProblem(
        f"{type(system).__name__} has no place in the model format; save a RateNetwork, an "
        "Assembly, one of their maps, or an Elman, GRU or LSTM cell"
    )


def rebuild(config: Config, tensors: Tensors) -> AbstractFlow | AbstractMap:
    """The system that a description determines; the inverse of `describe`.

    **Raises:** `InputProblem` naming the first key or tensor that is missing, unknown or does not
    fit.
    """
    kind = config.get("kind")
    builders: dict[str, Callable[[Config, dict[str, Array]], AbstractFlow | AbstractMap]] = {
        "rate": _rebuild_rate,
        "assembly": _rebuild_assembly,
        **{name: _rebuild_cell for name in _CELLS},
    }
    if not isinstance(kind, str) or kind not in builders:
        raise InputProblem(f"kind {kind!r} is not known; use one of {', '.join(builders)}")
    require_one_dtype(tensors)
    return builders[kind](config, {k: jnp.asarray(v) for k, v in tensors.items()})


def require_one_dtype(tensors: Tensors) -> None:
    """Refuse tensors that are not all float32 or all float64."""
    dtypes = {t.dtype for t in tensors.values()}
    if not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)} or len(dtypes) > 1:
        names = sorted(str(d) for d in dtypes)
        raise InputProblem(
            f"tensors have dtypes {', '.join(names)}; give all of them as float32 or all as float64"
        )


def _rate_config(network: RateNetwork) -> Config:
    return {
        "kind": "rate",
        "form": network.form.value,
        "activation": _activation_name(network.activation),
        "leak": float(network.leak),
        "time_constant": float(network.time_constant),
    }


def _activation_name(activation: Activation) -> str:
    # A name alone would let another function be stored, and certified, under a known one's name.
    if ACTIVATIONS.get(activation.name) != activation:
        raise InputProblem(
            f"activation {activation.name!r} has no name in the model format, or its name stands "
            f"for another function there; use one of {', '.join(ACTIVATIONS)}"
        )
    return activation.name


def _rate_tensors(network: RateNetwork, prefix: str) -> Tensors:
    names = ("weight", "input_weight", "bias")
    return {prefix + name: np.asarray(getattr(network, name)) for name in names}


def _discretised(
    config: Config,
    tensors: Tensors,
    system: RateMap | SemiImplicitMap | EulerAssemblyMap | ExponentialAssemblyMap,
    kind: str,
) -> tuple[Config, Tensors]:
    scheme = {"scheme": system.scheme.name, "step": float(system.scheme.step)}
    extra = {n: np.asarray(getattr(system, n)) for n in _EXTRA[kind][system.scheme.name]}
    return {**config, "discretisation": scheme}, {**tensors, **extra}


def _rebuild_rate(config: Config, tensors: dict[str, Array]) -> AbstractFlow | AbstractMap:
    _check_keys(config, {"kind", "form", "activation", "leak", "time_constant"}, {"discretisation"})
    scheme = _scheme(config, "rate")
    extra = _EXTRA["rate"][scheme.name] if scheme else ()
    _check_tensors(tensors, {"weight", *extra}, {"bias", "input_weight"})
    network = _rate_network(config, tensors, "")
    if scheme is None:
        return network
    keep, gain = (_shaped(tensors, name, ()) for name in ("keep", "gain"))
    return RateMap(network, keep, gain, scheme)


def _rebuild_assembly(config: Config, tensors: dict[str, Array]) -> AbstractFlow | AbstractMap:
    _check_keys(config, {"kind", "modules"}, {"discretisation"})
    modules = config["modules"]
    if not isinstance(modules, list) or not all(isinstance(m, dict) for m in modules):
        raise InputProblem("modules is not a list of objects; give one rate configuration each")
    scheme = _scheme(config, "assembly")
    extra = _EXTRA["assembly"][scheme.name] if scheme else ()
    prefixes = [f"module_{i}." for i in range(len(modules))]
    optional = {p + n for p in prefixes for n in ("bias", "input_weight")}
    _check_tensors(tensors, {"coupling", *extra, *(p + "weight" for p in prefixes)}, optional)
    for module in modules:
        _check_keys(module, {"kind", "form", "activation", "leak", "time_constant"}, set())
        if module["kind"] != "rate":
            raise InputProblem(f"module kind {module['kind']!r} is not known here; use 'rate'")
    pairs = zip(modules, prefixes, strict=True)
    assembly = Assembly([_rate_network(m, tensors, p) for m, p in pairs], tensors["coupling"])
    if scheme is None:
        return assembly
    size = assembly.state_size
    shapes = {"keep": (size,), "gain": (size,)}
    arrays = {n: _shaped(tensors, n, shapes.get(n, (size, size))) for n in extra}
    if isinstance(scheme, SemiImplicit):
        return SemiImplicitMap(
            assembly, arrays["keep"], arrays["gain"], arrays["propagator"], scheme
        )
    if isinstance(scheme, ExplicitEuler):
        return EulerAssemblyMap(assembly, arrays["gain"], arrays["transition"], scheme)
    return ExponentialAssemblyMap(assembly, arrays["transition"], arrays["response"], scheme)


def _rebuild_cell(config: Config, tensors: dict[str, Array]) -> AbstractMap:
    kind = config["kind"]
    _check_keys(config, {"kind", "activation"} if kind == "elman" else {"kind"}, set())
    _check_tensors(tensors, set(_CELL_TENSORS[:2]), set(_CELL_TENSORS[2:]))
    weight_ih, weight_hh = tensors["weight_ih_l0"], tensors["weight_hh_l0"]
    # PyTorch's bias=False leaves both out; a zero bias is the same cell.
    zero = jnp.zeros(weight_hh.shape[:1], weight_hh.dtype)
    biases = [tensors.get(name, zero) for name in _CELL_TENSORS[2:]]
    if kind == "elman":
        _check_word(config, "activation", list(ACTIVATIONS))
        return Elman(weight_ih, weight_hh, *biases, activation=config["activation"])
    return (GRU if kind == "gru" else LSTM)(weight_ih, weight_hh, *biases)


def _rate_network(config: Config, tensors: dict[str, Array], prefix: str) -> RateNetwork:
    _check_word(config, "activation", list(ACTIVATIONS))
    _check_word(config, "form", [form.value for form in Form])
    weight, input_weight = tensors[prefix + "weight"], tensors.get(prefix + "input_weight")
    for name, matrix in (("weight", weight), ("input_weight", input_weight)):
        if matrix is not None and matrix.ndim != 2:
            raise InputProblem(
                f"{prefix}{name} has shape {matrix.shape}; a rate network needs a weight (n, n) "
                "and an input_weight (n, m)"
            )
    return RateNetwork(
        weight,
        input_weight,
        tensors.get(prefix + "bias"),
        activation=config["activation"],
        form=config["form"],
        leak=_stored_number(config, "leak", weight.dtype),
        time_constant=_stored_number(config, "time_constant", weight.dtype),
    )


def _stored_number(config: Config, key: str, dtype: np.dtype) -> float:
    """A number that the weights' dtype holds, so that the network runs with the one written."""
    value = _finite(config[key])
    if value is None:
        raise InputProblem(f"{key} is {config[key]!r}; give a finite number")
    with np.errstate(over="ignore", under="ignore"):
        held = float(np.asarray(value).astype(dtype))
    if held != value:
        raise InputProblem(
            f"{key} is {value!r}, but the {dtype} weights run with {held!r}; write that number, or "
            "store the weights as float64"
        )
    return value


def _finite(value: object) -> float | None:
    """The value as a float; `None` if it is no number, not finite, or too large for a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _scheme(config: Config, kind: str) -> ExplicitEuler | ExponentialEuler | SemiImplicit | None:
    given = config.get("discretisation")
    if given is None:
        return None
    if not isinstance(given, dict) or set(given) != {"scheme", "step"}:
        raise InputProblem("discretisation needs exactly the keys 'scheme' and 'step'")
    _check_word(given, "scheme", list(_EXTRA[kind]))
    step = _finite(given["step"])
    if step is None or not step > 0:
        raise InputProblem(f"step is {given['step']!r}; give a positive number in units of time")
    return SCHEMES[given["scheme"]](step)


def _shaped(tensors: dict[str, Array], name: str, shape: tuple[int, ...]) -> Float[Array, "..."]:
    if tensors[name].shape != shape:
        raise InputProblem(f"tensor {name} has shape {tensors[name].shape}; {shape} is needed")
    return tensors[name]


def _check_word(config: Config, key: str, known: list[str]) -> None:
    if config[key] not in known:
        raise InputProblem(f"{key} {config[key]!r} is not known; use one of {', '.join(known)}")


def _check_keys(config: Config, required: set[str], optional: set[str]) -> None:
    missing, unknown = required - set(config), set(config) - required - optional
    if missing or unknown:
        problem = f"misses {sorted(missing)}" if missing else f"has unknown keys {sorted(unknown)}"
        raise InputProblem(
            f"configuration of kind {config.get('kind')!r} {problem}; see docs/model-format.md"
        )


def _check_tensors(tensors: dict[str, Array], required: set[str], optional: set[str]) -> None:
    missing, unknown = required - set(tensors), set(tensors) - required - optional
    if missing or unknown:
        problem = f"miss {sorted(missing)}" if missing else f"have unknown names {sorted(unknown)}"
        raise InputProblem(f"the tensors {problem}; see docs/model-format.md")
