"""Training of wide networks: scaling limits, their dynamics, and feature learning by the master theorem."""

from .abcnets import Networks, draw_networks
from .catalogue import LimitModel
from .limits import Dynamics, finite_dynamics, limit_dynamics
from .measure import Comparison, Slopes, compare, measure
from .scaling import ABC, Exponents, Report, classify, exponents, named, plane

__all__ = [
    "ABC",
    "Comparison",
    "Dynamics",
    "Exponents",
    "LimitModel",
    "Networks",
    "Report",
    "Slopes",
    "classify",
    "compare",
    "draw_networks",
    "exponents",
    "finite_dynamics",
    "limit_dynamics",
    "measure",
    "named",
    "plane",
]
