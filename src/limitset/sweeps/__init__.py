"""A function + named parameter axes -> a labelled xarray Dataset in a zarr store, resumable."""

from limitset.sweeps._sweep import SweepProgress as SweepProgress
from limitset.sweeps._sweep import sweep as sweep
