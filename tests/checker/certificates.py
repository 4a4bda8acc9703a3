"""A small writer of certificates, on its own: NumPy floats with slack, nothing of limitset.

It knows nothing of the prover. Bounds are floating point values times `1 + SLACK`, so an accepted
certificate was accepted on the checker's own arithmetic.
"""

import base64
import copy
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SLACK = 1e-9
Array = np.ndarray
Document = dict[str, Any]
HIGHEST = {"tanh": 1.0, "relu": 1.0, "sigmoid": 0.25, "softplus": 1.0, "identity": 1.0}
LOWEST = {"identity": 1.0}
AT_ZERO = {"sigmoid": 0.5, "softplus": 0.6931471805599455}
SUPREMUM = {"tanh": 1.0, "sigmoid": 1.0}


def up(value: float) -> str:
    return (float(value) + abs(float(value)) * SLACK).hex()


def down(value: float) -> str:
    return (float(value) - abs(float(value)) * SLACK).hex()


def tensor(array: Any, dtype: str | None = None) -> Document:
    array = np.asarray(array)
    dtype = dtype or array.dtype.name
    raw = array.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    return {"dtype": dtype, "shape": list(array.shape), "data": base64.b64encode(raw).decode()}


def canonical(document: Document) -> bytes:
    text = json.dumps(document, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False)
    return (text + "\n").encode("ascii")


def seal(document: Document) -> Document:
    document = {key: value for key, value in copy.deepcopy(document).items() if key != "digest"}
    digest = hashlib.sha256(canonical(document)).hexdigest()
    return {**document, "digest": f"sha256:{digest}"}


def write(document: Document, path: Path, sealed: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(canonical(seal(document) if sealed else document))
    return path


def rate_config(**changes: Any) -> Document:
    config = {
        "kind": "rate",
        "form": "hopfield",
        "activation": "tanh",
        "leak": 1.0,
        "time_constant": 1.0,
    }
    return {**config, **changes}


def whiten(matrix: Array, scale: Array) -> Array:
    return scale[:, None] * np.asarray(matrix, np.float64) / scale


def module_bound(
    theorem: str,
    activation: str,
    weight: Array,
    scale: Array,
    keep: Array | None = None,
    gain: Array | None = None,
) -> float:
    """The bound that the theorem gives, in floating point; `keep` and `gain` make it a factor."""
    low, high = LOWEST.get(activation, 0.0), HIGHEST[activation]
    V, own = whiten(weight, scale), np.diag(np.asarray(weight, np.float64))
    is_map = keep is not None
    c = np.zeros(len(V)) if keep is None else keep
    d = np.ones(len(V)) if gain is None else gain
    if theorem == "singular_value":
        return float(np.abs(c).max() + np.abs(d).max() * high * np.linalg.norm(V, 2))
    ends = np.stack([c + d * low * own, c + d * high * own])
    B = np.abs(d)[:, None] * high * np.abs(V)
    np.fill_diagonal(B, np.abs(ends).max(0) if is_map else ends.max(0))
    return float(np.linalg.norm(B, 2) if is_map else np.linalg.eigvalsh((B + B.T) / 2)[-1])


def certificate(
    config: Document,
    arrays: dict[str, Array],
    theorem: str,
    value: float,
    scale: Array,
    modules: list[tuple[str, float]],
    coupling: tuple[float, ...] = (),
    *,
    is_flow: bool,
) -> Document:
    claim = (
        {"time": "continuous", "rate": down(value)}
        if is_flow
        else {"time": "discrete", "factor": up(value)}
    )
    return {
        "format": "limitset-certificate/1",
        "statement": "contraction",
        "region": "all states and inputs",
        "theorem": theorem,
        "claim": claim,
        "network": {"config": config, "tensors": {k: tensor(v) for k, v in arrays.items()}},
        "metric": {"kind": "diagonal", "scale": tensor(np.asarray(scale, np.float64))},
        "witness": {
            "modules": [{"theorem": t, "bound": up(b)} for t, b in modules],
            "coupling": [up(c) for c in coupling],
        },
        "float32": None,
        "model": None,
        "prover": {"library": "test", "numpy": "2", "python": "3", "blas": "none"},
    }


def rate_arrays(
    seed: int, n: int, m: int = 2, norm: float = 0.5, dtype: Any = np.float64
) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(n, n))
    weight *= norm / np.linalg.norm(weight, 2)
    return {
        "weight": weight.astype(dtype),
        "input_weight": rng.normal(size=(n, m)).astype(dtype),
        "bias": rng.normal(size=n).astype(dtype),
    }


def rate_flow(theorem: str, config: Document, arrays: dict[str, Array], scale: Array) -> Document:
    bound = module_bound(theorem, config["activation"], arrays["weight"], scale)
    bound += abs(bound) * SLACK
    value = (config["leak"] - bound) / config["time_constant"]
    config = {**config, "discretisation": None}
    modules = [(theorem, bound)]
    return certificate(config, arrays, theorem, value - SLACK, scale, modules, is_flow=True)


def rate_map(
    theorem: str,
    config: Document,
    arrays: dict[str, Array],
    scale: Array,
    keep: float,
    gain: float,
) -> Document:
    dtype, n = arrays["weight"].dtype, len(scale)
    arrays = {**arrays, "keep": np.array(keep, dtype), "gain": np.array(gain, dtype)}
    constants = (np.full(n, float(arrays[name])) for name in ("keep", "gain"))
    bound = module_bound(theorem, config["activation"], arrays["weight"], scale, *constants)
    rule = {"scheme": "explicit_euler", "step": 1.0 - keep}
    config = {**config, "discretisation": rule}
    value = bound * (1 + 2 * SLACK)
    return certificate(config, arrays, theorem, value, scale, [(theorem, bound)], is_flow=False)


def elman(theorem: str, activation: str, arrays: dict[str, Array], scale: Array) -> Document:
    n = len(scale)
    names = {"weight": "weight_hh_l0", "input_weight": "weight_ih_l0", "bias": "bias_ih_l0"}
    renamed = {names[key]: value for key, value in arrays.items()}
    renamed["bias_hh_l0"] = arrays["bias"] / 2
    bound = module_bound(theorem, activation, arrays["weight"], scale, np.zeros(n), np.ones(n))
    config = {"kind": "elman", "activation": activation}
    value = bound * (1 + 2 * SLACK)
    return certificate(config, renamed, theorem, value, scale, [(theorem, bound)], is_flow=False)


def skew_coupling(seed: int, sizes: list[int], scale: Array, strength: float = 1.0) -> Array:
    """`L = M^-1 K` with K skew and zero diagonal blocks, so that `M L + L^T M = 0`."""
    K = strength * np.random.default_rng(seed).normal(size=(sum(sizes), sum(sizes)))
    K = K - K.T
    for stop, size in zip(np.cumsum(sizes), sizes, strict=True):
        K[stop - size : stop, stop - size : stop] = 0.0
    return K / scale[:, None] ** 2


def assembly(
    scheme: str | None,
    *,
    sizes: list[int],
    seed: int = 0,
    theorem: str = "singular_value",
    activation: str = "tanh",
    form: str = "hopfield",
    step: float = 0.1,
    strength: float = 1.0,
    norm: float = 0.5,
    scale: Array | None = None,
    coupling: Array | None = None,
    dtype: Any = np.float64,
) -> Document:
    """A certified assembly; explicit schemes need a small `strength`."""
    n, rng = sum(sizes), np.random.default_rng(seed + 1000)
    scale = np.exp(rng.uniform(-0.5, 0.5, n)) if scale is None else scale
    parts = np.split(np.arange(n), np.cumsum(sizes)[:-1])
    L = skew_coupling(seed, sizes, scale, strength) if coupling is None else coupling
    arrays, configs, drives = {"coupling": L.astype(dtype)}, [], []
    for i, size in enumerate(sizes):
        module = rate_arrays(seed + i, size, norm=norm, dtype=np.float64)
        own = scale[parts[i]]
        module["weight"] = module["weight"] / own[:, None] * own  # |V|_2 = norm
        module = {key: value.astype(dtype) for key, value in module.items()}
        arrays |= {f"module_{i}.{key}": value for key, value in module.items()}
        configs.append(rate_config(form=form, activation=activation, time_constant=1.0 + i / 4))
        drives.append(module["weight"])
    tau = np.repeat([c["time_constant"] for c in configs], sizes)
    keep, gain = (1 - step / tau).astype(dtype), (step / tau).astype(dtype)
    exact = arrays["coupling"].astype(np.float64)
    values = {"keep": keep.astype(np.float64), "gain": gain.astype(np.float64)}

    def bounds(with_map: bool) -> list[float]:
        return [
            module_bound(
                theorem,
                activation,
                drives[i],
                scale[part],
                *((values["keep"][part], values["gain"][part]) if with_map else ()),
            )
            for i, part in enumerate(parts)
        ]

    def norm_of(matrix: Array) -> float:
        return float(np.linalg.norm(whiten(matrix, scale), 2))

    if scheme is None:
        H = whiten(exact, scale)
        found, defect = bounds(False), np.linalg.eigvalsh((H + H.T) / 2)[-1] + 1e-12
        rates = [(1 - b) / c["time_constant"] for b, c in zip(found, configs, strict=True)]
        value, norms = min(rates) - defect - 1e-6, [defect]
    elif scheme == "semi_implicit":
        propagator = np.linalg.inv(np.eye(n) - step * exact).astype(dtype)
        arrays |= {"keep": keep, "gain": gain, "propagator": propagator}
        found, norms = bounds(True), [norm_of(propagator)]
        value = max(found) * norms[0] * (1 + 4 * SLACK)
    elif scheme == "explicit_euler":
        transition = (np.diag(1 - step / tau) + step * exact).astype(dtype)
        arrays |= {"gain": gain, "transition": transition}
        found, norms = bounds(False), [norm_of(transition)]
        gains = [values["gain"][part].max() for part in parts]
        value = norms[0] + max(g * b for g, b in zip(gains, found, strict=True)) + 1e-8
    else:
        generator = step * (exact - np.diag(1 / tau))
        terms, term = [np.eye(n)], np.eye(n)
        for k in range(1, 30):
            term = term @ generator / k
            terms.append(term)
        response = step * sum(t / (k + 1) for k, t in enumerate(terms)) / tau
        arrays |= {
            "transition": np.sum(terms, axis=0).astype(dtype),
            "response": response.astype(dtype),
        }
        found = bounds(False)
        norms = [norm_of(arrays["transition"]), norm_of(arrays["response"])]
        value = norms[0] + norms[1] * max(found) + 1e-8
    rule = None if scheme is None else {"scheme": scheme, "step": step}
    config = {"kind": "assembly", "modules": configs, "discretisation": rule}
    modules = [(theorem, b) for b in found]
    is_flow = scheme is None
    return certificate(
        config, arrays, "skew_feedback", value, scale, modules, tuple(norms), is_flow=is_flow
    )


def decode(entry: Document) -> Array:
    raw = base64.b64decode(entry["data"])
    return np.frombuffer(raw, np.dtype(entry["dtype"]).newbyteorder("<")).reshape(entry["shape"])


class _Size(NamedTuple):
    """Bounds of entries, and of the norm: `slope r + offset` for units of the norm r."""

    entries: Array
    slope: float
    offset: float

    def plus(self, other: "_Size") -> "_Size":
        return _Size(
            self.entries + other.entries, self.slope + other.slope, self.offset + other.offset
        )

    def times(self, number: float) -> "_Size":
        return _Size(self.entries * number, self.slope * number, self.offset * number)

    def weighed(self, weights: Array) -> "_Size":
        top = np.abs(weights).max()
        return _Size(np.abs(weights) * self.entries, top * self.slope, top * self.offset)

    def through(self, matrix: tuple[Array, float]) -> "_Size":
        magnitude, spread = matrix
        return _Size(magnitude @ self.entries, spread * self.slope, spread * self.offset)

    def settled(self, scale: Array, radius: float) -> "_Size":
        alone = _still(self.entries, scale)
        return alone if alone.offset < self.slope * radius + self.offset else self

    def norm(self, scale: Array, radius: float) -> float:
        return min(_still(self.entries, scale).offset, self.slope * radius + self.offset)


def _still(entries: Array, scale: Array) -> _Size:
    return _Size(entries, 0.0, float(np.linalg.norm(scale * entries)))


def _spread(matrix: Array, scale: Array) -> float:
    return float(np.linalg.norm(whiten(np.abs(matrix), scale), 2))


def _place(modules: list[Any], index: int, arrays: dict[str, Array]) -> slice:
    sizes = [len(arrays[weight]) for _, _, (weight, _) in modules]
    return slice(sum(sizes[:index]), sum(sizes[: index + 1]))


def _joined(parts: list[_Size], scale: Array, radius: float) -> _Size:
    entries = np.concatenate([part.entries for part in parts])
    offset = float(np.linalg.norm([part.offset for part in parts]))
    whole = _Size(entries, max(part.slope for part in parts), offset)
    return whole.settled(scale, radius)


def add_float32(
    document: Document,
    input_bound: float = 1.0,
    alpha: float = 2.0**-20,
    *,
    by_drive: bool = False,
) -> Document:
    """The float32 section, from the formulas in plain float64 with slack.

    `by_drive`: the ball follows from the linear part and a bounded drive, not from contraction.
    """
    document = copy.deepcopy(document)
    config = document["network"]["config"]
    arrays = {k: decode(v).astype(float) for k, v in document["network"]["tensors"].items()}
    s, q = decode(document["metric"]["scale"]), float.fromhex(document["claim"]["factor"])
    n, u, eta = len(s), 2.0**-24, 2.0**-120

    def gamma(k: int) -> float:
        return k * u / (1 - k * u)

    if config["kind"] == "elman":
        modules = [("firing_rate", config["activation"], ["weight_hh_l0", "weight_ih_l0"])]
        biases = [["bias_ih_l0", "bias_hh_l0"]]
        keep, gain = np.zeros(n), np.ones(n)
    elif config["kind"] == "rate":
        modules = [(config["form"], config["activation"], ["weight", "input_weight"])]
        biases = [["bias"]]
        keep, gain = np.full(n, arrays["keep"]), np.full(n, arrays["gain"])
    else:
        modules, biases = [], []
        keep, gain = (
            arrays.get(name, fill) for name, fill in (("keep", np.zeros(n)), ("gain", np.ones(n)))
        )
        for i, c in enumerate(config["modules"]):
            names = [f"module_{i}.weight", f"module_{i}.input_weight"]
            modules.append((c["form"], c["activation"], names))
            biases.append([f"module_{i}.bias"])
    explicit = "transition" in arrays

    spreads = {w: _spread(arrays[w], s[_place(modules, k, arrays)]) for k, (_, _, (w, _)) in
               enumerate(modules)}  # fmt: skip

    def step(R: float) -> tuple[float, float, float]:
        ys, eys, y0s, drives = [], [], [], []
        for k, ((form, activation, (w, e)), own) in enumerate(zip(modules, biases, strict=True)):
            part = _place(modules, k, arrays)
            W, U = (np.abs(arrays[w]), spreads[w]), np.abs(arrays[e])
            share = R / np.sqrt(len(modules))
            x, terms = _Size(R / s[part], 1.0, 0.0), sum(U.shape) + 4
            c = _still(U.sum(1) * input_bound + sum(np.abs(arrays[b]) for b in own), s[part])
            tiny = _still(np.full(len(U), eta), s[part])

            def value(v: _Size, a: str = activation, part: slice = part, share: float = share):
                flat = _still(np.full(len(v.entries), AT_ZERO.get(a, 0.0)), s[part])
                grown = v.times(HIGHEST[a]).plus(flat)
                top = np.minimum(SUPREMUM.get(a, np.inf), grown.entries)
                return _Size(top, grown.slope, grown.offset).settled(s[part], share)

            zero = _still(np.zeros(len(U)), s[part])
            if form == "hopfield":
                r = value(x)
                er = r.times(alpha).plus(tiny)
                v = r.plus(er).through(W).plus(c).settled(s[part], share)
                ev = er.through(W).plus(v.times(gamma(terms))).plus(tiny.times(terms))
                v0 = value(zero).through(W).plus(c)
            else:
                z = x.through(W).plus(c).settled(s[part], share)
                ez = z.times(gamma(terms)).plus(tiny.times(terms))
                v = value(z.plus(ez))
                ev = ez.times(HIGHEST[activation]).plus(v.times(alpha)).plus(tiny)
                v0 = value(c)
            if explicit:
                y = v.weighed(gain[part])
                ey = ev.weighed(gain[part]).plus(y.times(gamma(1)) if "gain" in arrays else zero)
            else:
                y = x.weighed(keep[part]).plus(v.plus(ev).weighed(gain[part]))
                ey = ev.weighed(gain[part]).plus(y.times(gamma(4))).plus(tiny.times(4))
            ys.append(y)
            eys.append(ey)
            y0s.append(v0.weighed(gain[part]))
            drives.append(v.weighed(gain[part]))
        y, ey, y0, driven = (_joined(v, s, R) for v in (ys, eys, y0s, drives))
        tiny = _still(np.full(n, eta), s)
        if "propagator" in arrays:
            P = (np.abs(arrays["propagator"]), _spread(arrays["propagator"], s))
            y = y.plus(ey).through(P)
            ey = ey.through(P).plus(y.times(gamma(n + 1))).plus(tiny.times(n + 1))
            y0 = y0.through(P)
        elif explicit:
            T = (np.abs(arrays["transition"]), _spread(arrays["transition"], s))
            kept, terms = _Size(R / s, 0.0, R).through(T), n + 2
            if "response" in arrays:
                Q = (np.abs(arrays["response"]), _spread(arrays["response"], s))
                y, ey, y0, terms = y.plus(ey).through(Q), ey.through(Q), y0.through(Q), 2 * n + 2
            else:
                y = y.plus(ey)
            ey = ey.plus(kept.plus(y).times(gamma(terms))).plus(tiny.times(terms))
        return ey.norm(s, R), y0.norm(s, R), driven.norm(s, R)

    norms = [float.fromhex(norm) for norm in document["witness"]["coupling"]]
    kept = norms[0] if explicit else (norms or [1.0])[0] * np.abs(keep).max()
    p, R = norms[-1] if norms and "gain" not in arrays or "propagator" in arrays else 1.0, 1.0
    for _ in range(200):
        error, moved, driven = step(R)
        R = 1.01 * ((p * driven + error) / (1 - kept) if by_drive else (moved + error) / (1 - q))
    # The checker bounds norms of nonnegative matrices by a few power steps, a little above them.
    error = 1.01 * step(R)[0]
    document["float32"] = {
        "input_bound": float(input_bound).hex(),
        "activation_error": float(alpha).hex(),
        "state_radius": float(R).hex(),
        "rounding": up(error),
        "gap": up(2 * error / (1 - q) * (1 + 1e-8)),
    }
    return document
