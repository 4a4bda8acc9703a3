"""A named experiment with replicators -> its numbers as one stored, resumable Dataset."""

from limitset.experiments._experiment import Experiment as Experiment
from limitset.experiments._experiment import Report as Report
from limitset.experiments._experiment import Row as Row
from limitset.experiments._experiment import read_settings as read_settings
from limitset.experiments._registry import EXPERIMENTS as EXPERIMENTS
