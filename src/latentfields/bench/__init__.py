"""Studies: the tables of the papers at several scales, each one configuration, one folder and one command.

Free of heavy imports, for the command line.
"""

from latentfields.bench.autoencoders import AutoencodersStudyConfig
from latentfields.bench.convergence import ConvergenceStudyConfig
from latentfields.bench.fields import FieldsStudyConfig
from latentfields.bench.igae import IgaeStudyConfig
from latentfields.bench.lrf import LrfStudyConfig
from latentfields.bench.reconstruction import ReconstructionStudyConfig
from latentfields.bench.study import Findings, run_study

__all__ = [
    "AutoencodersStudyConfig",
    "ConvergenceStudyConfig",
    "FieldsStudyConfig",
    "Findings",
    "IgaeStudyConfig",
    "LrfStudyConfig",
    "ReconstructionStudyConfig",
    "run_study",
]
