"""A named figure -> theory and simulation of the same ensemble, as one stored Dataset."""

from limitset.panels._bifurcations import compute_bifurcations as compute_bifurcations
from limitset.panels._cells import compute_cells as compute_cells
from limitset.panels._correlations import compute_correlations as compute_correlations
from limitset.panels._diagram import Plane as Plane
from limitset.panels._diagram import compute_diagram as compute_diagram
from limitset.panels._exponents import compute_exponents as compute_exponents
from limitset.panels._marginal import compute_marginal as compute_marginal
from limitset.panels._memory import compute_memory as compute_memory
from limitset.panels._panel import VARIABLES as VARIABLES
from limitset.panels._panel import Effort as Effort
from limitset.panels._panel import Report as Report
from limitset.panels._panel import varied as varied
from limitset.panels._proof import compute_proof as compute_proof
from limitset.panels._registry import PANELS as PANELS
from limitset.panels._registry import Panel as Panel
from limitset.panels._spectra import compute_spectra as compute_spectra
from limitset.panels._transition import compute_transition as compute_transition
