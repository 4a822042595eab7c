"""Laws known so far, derived again from the engine, compared with theory and with finite matrices."""

from ..comparison import Row, false_alarm_rate
from .evolution import EVOLUTION
from .iterations import ITERATIONS
from .jacobians import JACOBIANS
from .kernels import KERNELS
from .language import LANGUAGE
from .laws import LAWS
from .networks import NETWORKS
from .report import html_report, save_figures
from .scaling import SCALING
from .spectra import SPECTRA
from .systems import SYSTEMS
from .table import Claim, Derivation, check, table_text
from .training import TRAINING

DERIVATIONS: tuple[Derivation, ...] = (
    *SPECTRA,
    *LAWS,
    *SYSTEMS,
    *JACOBIANS,
    *NETWORKS,
    *KERNELS,
    *TRAINING,
    *SCALING,
    *ITERATIONS,
    *EVOLUTION,
    *LANGUAGE,
)

__all__ = [
    "DERIVATIONS",
    "Claim",
    "Derivation",
    "Row",
    "check",
    "false_alarm_rate",
    "html_report",
    "save_figures",
    "table_text",
]
