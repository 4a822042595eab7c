"""State evolution: first-order methods on random data, in the limit of infinite size."""

from .algorithms import (
    amp,
    fista,
    gamp,
    gradient_descent,
    heavy_ball,
    invariant_amp,
    ista,
    lasso_amp,
    logistic_loss,
    minibatch_descent,
    nesterov,
    power_iteration,
    proximal_gradient,
    spiked_amp,
    spiked_wishart_amp,
    squared_loss,
    tanh_loss,
)
from .channels import Channel, gaussian, logistic, numerical, phase_retrieval, poisson, probit, rectified, sign
from .correction import Corrected, onsager
from .denoisers import Denoiser, linear, normalised, posterior_mean, soft
from .evolution import Trajectory, state_evolution
from .problems import (
    Problem,
    bernoulli_gauss,
    generalised_linear_model,
    informed_start,
    linear_model,
    minibatches,
    random_start,
    spiked_wigner,
    spiked_wishart,
    three_point,
)
from .simulation import Comparison, Simulation, compare, simulate
