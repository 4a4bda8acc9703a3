"""A network -> a flow or a map, its trajectories and tangents."""

from limitset._system import AbstractFlow as AbstractFlow
from limitset._system import AbstractMap as AbstractMap

from ._augmented import Field as Field
from ._augmented import hopf_system as hopf_system
from ._bias_family import BiasFamily as BiasFamily
from ._discretise import discretise as discretise
from ._map_family import MapFamily as MapFamily
from ._map_family import gain_map_family as gain_map_family
from ._map_family import shift_map_family as shift_map_family
from ._scheme import SCHEMES as SCHEMES
from ._scheme import AbstractScheme as AbstractScheme
from ._scheme import EulerAssemblyMap as EulerAssemblyMap
from ._scheme import EulerMap as EulerMap
from ._scheme import ExplicitEuler as ExplicitEuler
from ._scheme import ExponentialAssemblyMap as ExponentialAssemblyMap
from ._scheme import ExponentialEuler as ExponentialEuler
from ._scheme import RateMap as RateMap
from ._scheme import SemiImplicit as SemiImplicit
from ._scheme import SemiImplicitMap as SemiImplicitMap
from ._simulate import Trajectory as Trajectory
from ._simulate import simulate as simulate
from ._simulate import simulate_batch as simulate_batch
