"""Training of wide networks: scaling limits, their dynamics, and feature learning by the master theorem."""

from .abcnets import Networks, draw_networks
from .catalogue import LimitModel
from .features import FeatureLearning, Unrolled, feature_learning, unroll
from .limits import Dynamics, finite_dynamics, limit_dynamics
from .measure import Comparison, Slopes, compare, measure
from .scaling import ABC, Exponents, Report, classify, exponents, named, plane

__all__ = [
    "ABC",
    "Comparison",
    "Dynamics",
    "Exponents",
    "FeatureLearning",
    "LimitModel",
    "Networks",
    "Report",
    "Slopes",
    "Unrolled",
    "classify",
    "compare",
    "draw_networks",
    "exponents",
    "feature_learning",
    "finite_dynamics",
    "limit_dynamics",
    "measure",
    "named",
    "plane",
    "unroll",
]
