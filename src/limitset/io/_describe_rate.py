"""Rate networks, assemblies of them, and the maps that they run as."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Array

from limitset._result import InputProblem
from limitset._system import AbstractFlow, AbstractMap
from limitset.dynamics import (
    SCHEMES,
    AbstractScheme,
    BackwardEuler,
    EulerAssemblyMap,
    ExponentialAssemblyMap,
    RateMap,
    SemiImplicitMap,
)
from limitset.io._entries import (
    Config,
    Tensors,
    activation_name,
    check_keys,
    check_tensors,
    check_word,
    finite,
    shaped,
    stored_number,
)
from limitset.networks import ACTIVATIONS, Assembly, Form, RateNetwork

_AssemblyMap = SemiImplicitMap | EulerAssemblyMap | ExponentialAssemblyMap
_SPLIT = ("keep", "gain", "propagator")
_EXTRA = {
    "rate": {name: ("keep", "gain") for name in ("explicit_euler", "exponential_euler")},
    "assembly": {
        "semi_implicit": _SPLIT,
        "cayley": _SPLIT,
        "rotation": _SPLIT,
        "explicit_euler": ("gain", "transition"),
        "exponential_euler": ("transition", "response"),
    },
}
_ASSEMBLY_MAPS: dict[str, Callable[..., _AssemblyMap]] = {
    "semi_implicit": SemiImplicitMap,
    "cayley": SemiImplicitMap,
    "rotation": SemiImplicitMap,
    "explicit_euler": EulerAssemblyMap,
    "exponential_euler": ExponentialAssemblyMap,
}


def describe_rate(system: RateNetwork | RateMap) -> tuple[Config, Tensors]:
    """A rate network, or the map made of it."""
    if isinstance(system, RateNetwork):
        return {**_rate_config(system), "discretisation": None}, _rate_tensors(system, "")
    config, tensors = describe_rate(system.network)
    return _discretised(config, tensors, system, "rate")


def describe_assembly(system: Assembly | _AssemblyMap) -> tuple[Config, Tensors]:
    """An assembly of rate networks, or the map made of it."""
    if isinstance(system, Assembly):
        modules = system.modules
        tensors = {"coupling": np.asarray(system.coupling)}
        for index, module in enumerate(modules):
            tensors |= _rate_tensors(module, f"module_{index}.")
        configs = [_rate_config(m) for m in modules]
        return {"kind": "assembly", "modules": configs, "discretisation": None}, tensors
    config, tensors = describe_assembly(system.assembly)
    return _discretised(config, tensors, system, "assembly")


def rebuild_rate(config: Config, tensors: dict[str, Array]) -> AbstractFlow | AbstractMap:
    """The system that a description determines."""
    check_keys(config, {"kind", "form", "activation", "leak", "time_constant"}, {"discretisation"})
    scheme = _scheme(config, "rate")
    extra = _EXTRA["rate"][scheme.name] if scheme else ()
    check_tensors(tensors, {"weight", *extra}, {"bias", "input_weight"})
    network = _rate_network(config, tensors, "")
    if scheme is None:
        return network
    keep, gain = (shaped(tensors, name, ()) for name in ("keep", "gain"))
    return RateMap(network, keep, gain, scheme)


def rebuild_assembly(config: Config, tensors: dict[str, Array]) -> AbstractFlow | AbstractMap:
    """The system that a description determines."""
    check_keys(config, {"kind", "modules"}, {"discretisation"})
    modules = config["modules"]
    if not isinstance(modules, list) or not all(isinstance(m, dict) for m in modules):
        raise InputProblem("modules is not a list of objects; give one rate configuration each")
    scheme = _scheme(config, "assembly")
    extra = _EXTRA["assembly"][scheme.name] if scheme else ()
    prefixes = [f"module_{i}." for i in range(len(modules))]
    optional = {p + n for p in prefixes for n in ("bias", "input_weight")}
    check_tensors(tensors, {"coupling", *extra, *(p + "weight" for p in prefixes)}, optional)
    for module in modules:
        check_keys(module, {"kind", "form", "activation", "leak", "time_constant"}, set())
        if module["kind"] != "rate":
            raise InputProblem(f"module kind {module['kind']!r} is not known here; use 'rate'")
    pairs = zip(modules, prefixes, strict=True)
    assembly = Assembly([_rate_network(m, tensors, p) for m, p in pairs], tensors["coupling"])
    if scheme is None:
        return assembly
    size = assembly.state_size
    shapes = {"keep": (size,), "gain": (size,)}
    arrays = {n: shaped(tensors, n, shapes.get(n, (size, size))) for n in extra}
    return _ASSEMBLY_MAPS[scheme.name](assembly, **arrays, scheme=scheme)


def _rate_config(network: RateNetwork) -> Config:
    return {
        "kind": "rate",
        "form": network.form.value,
        "activation": activation_name(network.activation),
        "leak": float(network.leak),
        "time_constant": float(network.time_constant),
    }


def _rate_tensors(network: RateNetwork, prefix: str) -> Tensors:
    names = ("weight", "input_weight", "bias")
    return {prefix + name: np.asarray(getattr(network, name)) for name in names}


def _discretised(
    config: Config,
    tensors: Tensors,
    system: RateMap | _AssemblyMap,
    kind: str,
) -> tuple[Config, Tensors]:
    scheme = {"scheme": system.scheme.name, "step": float(system.scheme.step)}
    extra = {n: np.asarray(getattr(system, n)) for n in _EXTRA[kind][system.scheme.name]}
    return {**config, "discretisation": scheme}, {**tensors, **extra}


def _rate_network(config: Config, tensors: dict[str, Array], prefix: str) -> RateNetwork:
    check_word(config, "activation", list(ACTIVATIONS))
    check_word(config, "form", [form.value for form in Form])
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
        leak=stored_number(config, "leak", weight.dtype),
        time_constant=stored_number(config, "time_constant", weight.dtype),
    )


def implicit_scheme(config: Config, tensors: dict[str, Array]) -> BackwardEuler | None:
    """Backward Euler, if it is the discretisation; other schemes are left to their kinds."""
    given = config.get("discretisation")
    if not isinstance(given, dict) or given.get("scheme") != "backward_euler":
        return None
    step = _step(given)
    if "step" not in tensors:
        raise InputProblem("the tensors miss ['step']; see docs/model-format.md")
    stored = shaped(tensors, "step", ())
    if not 0 < float(stored) < float("inf"):
        raise InputProblem(f"tensor step is {float(stored)}; give a positive, finite number")
    return BackwardEuler(step)


def _scheme(config: Config, kind: str) -> AbstractScheme | None:
    given = config.get("discretisation")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise InputProblem("discretisation needs exactly the keys 'scheme' and 'step'")
    step = _step(given)
    check_word(given, "scheme", list(_EXTRA[kind]))
    return SCHEMES[given["scheme"]](step)


def _step(given: Config) -> float:
    if set(given) != {"scheme", "step"}:
        raise InputProblem("discretisation needs exactly the keys 'scheme' and 'step'")
    step = finite(given["step"])
    if step is None or not step > 0:
        raise InputProblem(f"step is {given['step']!r}; give a positive number in units of time")
    return step
