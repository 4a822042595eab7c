"""Training of wide networks: linearised dynamics, and networks of finite width to hold against them."""

from .dynamics import Path, evolve
from .linearised import Linearised, from_kernels, linearise, linearised
from .losses import Loss, class_targets, huber, logistic, softmax_cross_entropy, squared
from .optimisers import Flow, GradientDescent, HeavyBall, Nesterov, response
from .trajectory import Trajectory

__all__ = [
    "Flow",
    "GradientDescent",
    "HeavyBall",
    "Linearised",
    "Loss",
    "Nesterov",
    "Path",
    "Trajectory",
    "class_targets",
    "evolve",
    "from_kernels",
    "huber",
    "linearise",
    "linearised",
    "logistic",
    "response",
    "softmax_cross_entropy",
    "squared",
]
