"""A network whose output is weights -> a map on weight space; organisms made of such networks."""

from limitset.replication._applied_particle import Particle as Particle
from limitset.replication._escape import collapse_radius as collapse_radius
from limitset.replication._escape import escape_amplitude as escape_amplitude
from limitset.replication._escape import escape_steps as escape_steps
from limitset.replication._exact import exact_kappa as exact_kappa
from limitset.replication._exact import is_exact_replicator as is_exact_replicator
from limitset.replication._exact import project_exactly as project_exactly
from limitset.replication._fixpoint_class import FixpointClass as FixpointClass
from limitset.replication._fixpoint_class import FixpointLabels as FixpointLabels
from limitset.replication._fixpoint_class import LabelOrder as LabelOrder
from limitset.replication._fixpoint_class import SecondaryTest as SecondaryTest
from limitset.replication._fixpoint_class import classify as classify
from limitset.replication._interactions import add_noise as add_noise
from limitset.replication._interactions import attack as attack
from limitset.replication._interactions import imitate as imitate
from limitset.replication._interactions import melt as melt
from limitset.replication._interactions import secondary_training_step as secondary_training_step
from limitset.replication._linear_theory import deviation as deviation
from limitset.replication._linear_theory import kappa_gradient as kappa_gradient
from limitset.replication._organism import ORGANISM_SPEC as ORGANISM_SPEC
from limitset.replication._organism import Organism as Organism
from limitset.replication._organism import draw_organism as draw_organism
from limitset.replication._organism import drop as drop
from limitset.replication._organism import edge_count as edge_count
from limitset.replication._organism import edge_places as edge_places
from limitset.replication._organism import edge_weights as edge_weights
from limitset.replication._organism import forward as forward
from limitset.replication._organism import forward_expanded as forward_expanded
from limitset.replication._organism import plain_network as plain_network
from limitset.replication._organism import unstack_edges as unstack_edges
from limitset.replication._organism_tasks import AbstractOrganismTask as AbstractOrganismTask
from limitset.replication._organism_tasks import AdditionTask as AdditionTask
from limitset.replication._organism_tasks import ArrayTask as ArrayTask
from limitset.replication._organism_tasks import task_loss as task_loss
from limitset.replication._organism_tasks import task_score as task_score
from limitset.replication._organism_training import Alternation as Alternation
from limitset.replication._organism_training import OrganismEpoch as OrganismEpoch
from limitset.replication._organism_training import OrganismTraining as OrganismTraining
from limitset.replication._organism_training import start_training as start_training
from limitset.replication._organism_training import train_organism as train_organism
from limitset.replication._particle import apply_to as apply_to
from limitset.replication._particle import ask as ask
from limitset.replication._particle import draw_particles as draw_particles
from limitset.replication._particle import flatten as flatten
from limitset.replication._particle import kappa as kappa
from limitset.replication._particle import matrices as matrices
from limitset.replication._particle import questions as questions
from limitset.replication._particle_spec import ParticleSpec as ParticleSpec
from limitset.replication._plain import PlainNetwork as PlainNetwork
from limitset.replication._plain import draw_plain as draw_plain
from limitset.replication._plain import forward_plain as forward_plain
from limitset.replication._plain import hidden_activations as hidden_activations
from limitset.replication._plain import layer_inputs as layer_inputs
from limitset.replication._plain_training import PlainTraining as PlainTraining
from limitset.replication._plain_training import train_plain as train_plain
from limitset.replication._position import PositionCode as PositionCode
from limitset.replication._positional import PositionalReplicators as PositionalReplicators
from limitset.replication._positional import (
    find_positional_replicators as find_positional_replicators,
)
from limitset.replication._projection import Projection as Projection
from limitset.replication._projection import project_to_replicator as project_to_replicator
from limitset.replication._pruning import PruningRule as PruningRule
from limitset.replication._pruning import drop_lowest as drop_lowest
from limitset.replication._pruning import find_replicators as find_replicators
from limitset.replication._pruning import rank_particles as rank_particles
from limitset.replication._pruning import zero_smallest_parameters as zero_smallest_parameters
from limitset.replication._reduction import AbstractReduction as AbstractReduction
from limitset.replication._reduction import Spec as Spec
from limitset.replication._reduction import Weightwise as Weightwise
from limitset.replication._reductions import Aggregating as Aggregating
from limitset.replication._reductions import Recurrent as Recurrent
from limitset.replication._representable import (
    RepresentableReplicator as RepresentableReplicator,
)
from limitset.replication._representable import representable_replicator as representable_replicator
from limitset.replication._self_application import SelfApplication as SelfApplication
from limitset.replication._self_application_spectrum import (
    SelfApplicationSpectrum as SelfApplicationSpectrum,
)
from limitset.replication._self_application_spectrum import (
    self_application_spectrum as self_application_spectrum,
)
from limitset.replication._self_training import SelfTraining as SelfTraining
from limitset.replication._self_training import imitation_gradient as imitation_gradient
from limitset.replication._self_training import replication_gradient as replication_gradient
from limitset.replication._self_training import self_training_step as self_training_step
from limitset.replication._soup import SoupEvents as SoupEvents
from limitset.replication._soup import SoupOrder as SoupOrder
from limitset.replication._soup import SoupRules as SoupRules
from limitset.replication._soup import SoupRun as SoupRun
from limitset.replication._soup import evolve_soup as evolve_soup
from limitset.replication._trainers import AbstractTrainer as AbstractTrainer
from limitset.replication._trainers import FullBatch as FullBatch
from limitset.replication._trainers import RowByRow as RowByRow
from limitset.replication._training_rates import SelfTrainingRates as SelfTrainingRates
from limitset.replication._training_rates import self_training_rates as self_training_rates
from limitset.replication._training_run import SelfTrainingRun as SelfTrainingRun
from limitset.replication._training_run import replication_error as replication_error
from limitset.replication._training_run import self_train as self_train
