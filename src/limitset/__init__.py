"""limitset tells where a neural network goes, and proves it."""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

# Everyday names and the folder each lives in. They load on first use, so that `import limitset`,
# `limitset --help` and the checker do not pay for JAX (tests/test_import_cost.py).
_HOMES = {
    "Assembly": "networks",
    "AbstractFlow": "dynamics",
    "AbstractMap": "dynamics",
    "Certificate": "contraction",
    "DiagonalMetric": "contraction",
    "Elman": "networks",
    "Evidence": "_result",
    "ExplicitEuler": "dynamics",
    "ExponentialEuler": "dynamics",
    "Form": "networks",
    "GRU": "networks",
    "InputProblem": "_result",
    "LSTM": "networks",
    "RateNetwork": "networks",
    "Refuted": "contraction",
    "SemiImplicit": "dynamics",
    "Unknown": "contraction",
    "certify": "contraction",
    "check": "checker",
    "discretise": "dynamics",
    "fit": "training",
    "load": "io",
    "save": "io",
    "simulate": "dynamics",
}

if TYPE_CHECKING:
    from limitset._result import Evidence as Evidence
    from limitset._result import InputProblem as InputProblem
    from limitset.checker import check as check
    from limitset.contraction import Certificate as Certificate
    from limitset.contraction import DiagonalMetric as DiagonalMetric
    from limitset.contraction import Refuted as Refuted
    from limitset.contraction import Unknown as Unknown
    from limitset.contraction import certify as certify
    from limitset.dynamics import AbstractFlow as AbstractFlow
    from limitset.dynamics import AbstractMap as AbstractMap
    from limitset.dynamics import ExplicitEuler as ExplicitEuler
    from limitset.dynamics import ExponentialEuler as ExponentialEuler
    from limitset.dynamics import SemiImplicit as SemiImplicit
    from limitset.dynamics import discretise as discretise
    from limitset.dynamics import simulate as simulate
    from limitset.io import load as load
    from limitset.io import save as save
    from limitset.networks import GRU as GRU
    from limitset.networks import LSTM as LSTM
    from limitset.networks import Assembly as Assembly
    from limitset.networks import Elman as Elman
    from limitset.networks import Form as Form
    from limitset.networks import RateNetwork as RateNetwork
    from limitset.training import fit as fit


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version("limitset")
    if name in _HOMES:
        value = getattr(_import_module(f"limitset.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'limitset' has no attribute {name!r}; see docs/api for the list")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, "__version__"])
