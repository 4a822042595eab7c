"""Training of wide networks: linearised dynamics, and networks of finite width to hold against them."""

from .dynamics import Path, evolve
from .finite import Ensemble, ensemble, stacked
from .linearised import from_kernels, linearise, linearised
from .losses import Loss, class_targets, huber, logistic, softmax_cross_entropy, squared
from .model import Linearised
from .optimisers import Flow, GradientDescent, HeavyBall, Nesterov, response
from .trainer import Training, train
from .trajectory import Trajectory

__all__ = [
    "Ensemble",
    "Flow",
    "GradientDescent",
    "HeavyBall",
    "Linearised",
    "Loss",
    "Nesterov",
    "Path",
    "Training",
    "Trajectory",
    "class_targets",
    "ensemble",
    "evolve",
    "from_kernels",
    "huber",
    "linearise",
    "linearised",
    "logistic",
    "response",
    "softmax_cross_entropy",
    "squared",
    "stacked",
    "train",
]
