"""A model -> one record of what is known of it, each number with its evidence."""

from limitset.dossier._advice import Advice as Advice
from limitset.dossier._advice import advise as advise
from limitset.dossier._ensemble import Theory as Theory
from limitset.dossier._ensemble import theory_of as theory_of
from limitset.dossier._gates import GateStatistics as GateStatistics
from limitset.dossier._gates import gate_statistics as gate_statistics
from limitset.dossier._monitor import PhaseMonitor as PhaseMonitor
from limitset.dossier._monitor import PhaseSample as PhaseSample
from limitset.dossier._phase_point import PhasePoint as PhasePoint
from limitset.dossier._phase_point import phase_point as phase_point
from limitset.dossier._rest import Rest as Rest
from limitset.dossier._rest import find_rest as find_rest
