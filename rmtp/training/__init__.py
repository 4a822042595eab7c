"""Training of wide networks: linearised dynamics, scaling limits, feature learning; finite networks beside them."""

from .abcnets import Networks, draw_networks
from .catalogue import LimitModel
from .dynamics import Path, evolve
from .features import FeatureLearning, Unrolled, feature_learning, unroll
from .finite import Ensemble, ensemble, stacked
from .limits import Dynamics, finite_dynamics, limit_dynamics
from .linearised import from_kernels, linearise, linearised
from .losses import Loss, class_targets, huber, logistic, softmax_cross_entropy, squared
from .measure import Comparison, Slopes, compare, measure
from .model import Linearised
from .optimisers import Flow, GradientDescent, HeavyBall, Nesterov, response
from .parametrisations import ABC, named, plane
from .scaling import Exponents, Report, classify, exponents
from .trainer import Training, train
from .trajectory import Trajectory

__all__ = [
    "ABC",
    "Comparison",
    "Dynamics",
    "Ensemble",
    "Exponents",
    "FeatureLearning",
    "Flow",
    "GradientDescent",
    "HeavyBall",
    "LimitModel",
    "Linearised",
    "Loss",
    "Nesterov",
    "Networks",
    "Path",
    "Report",
    "Slopes",
    "Training",
    "Trajectory",
    "Unrolled",
    "class_targets",
    "classify",
    "compare",
    "draw_networks",
    "ensemble",
    "evolve",
    "exponents",
    "feature_learning",
    "finite_dynamics",
    "from_kernels",
    "huber",
    "limit_dynamics",
    "linearise",
    "linearised",
    "logistic",
    "measure",
    "named",
    "plane",
    "response",
    "softmax_cross_entropy",
    "squared",
    "stacked",
    "train",
    "unroll",
]
