"""A system -> a contraction certificate; certified systems + wiring -> one certified system."""

from ._certificate import Answer as Answer
from ._certificate import Attempt as Attempt
from ._certificate import Certificate as Certificate
from ._certificate import Float32Gap as Float32Gap
from ._certificate import Refuted as Refuted
from ._certificate import Unknown as Unknown
from ._certificate import explain as explain
from ._certify import THEOREMS as THEOREMS
from ._certify import certify as certify
from ._decay import measure_distances as measure_distances
from ._initialise import delay_line_assembly as delay_line_assembly
from ._metric import AbstractMetric as AbstractMetric
from ._metric import DiagonalMetric as DiagonalMetric
from ._metric import QuadraticMetric as QuadraticMetric
from ._parametrise import AbsoluteValueWeight as AbsoluteValueWeight
from ._parametrise import AbstractWeightParametrisation as AbstractWeightParametrisation
from ._parametrise import SingularValueWeight as SingularValueWeight
from ._parametrise import SkewCoupling as SkewCoupling
from ._parametrise import StableAssembly as StableAssembly
from ._parametrise import WeightAndScale as WeightAndScale
from ._parametrise import random_stable_assembly as random_stable_assembly
from ._single_layer import AbsoluteValue as AbsoluteValue
from ._single_layer import SingularValue as SingularValue
from ._skew_feedback import SkewFeedback as SkewFeedback
from ._theorem import AbstractTheorem as AbstractTheorem
from ._vertices import Vertices as Vertices
