"""Infinitely wide networks as scikit-learn kernels and estimators. Needs ``pip install rmtp[sklearn]``.

scikit-learn hands over one row of numbers per input; a convolutional network reshapes it: ``x.reshape(8, 8, 1)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.gaussian_process.kernels import Kernel
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as missing:
    raise ImportError("rmtp.sklearn needs scikit-learn 1.6 or newer: pip install rmtp[sklearn]") from missing

from .ensembles import Dim
from .errors import BadParameter
from .language import relu
from .likelihood import factor
from .networks.layers import Output, dense, readout
from .regression import KINDS, check_kind, conditional, ensemble_covariance, kernel_diagonal, kernels, one_hot


def relu_network(x: Any) -> Output:
    """The default network: three hidden ReLU layers, weights of variance 2 / fan_in, biases of variance 0.01.

    Examples
    --------
    >>> import rmtp
    >>> rmtp.nngp(relu_network, [[1.0, -1.0]]).round(12)
    array([[1.015]])
    """
    n = Dim("n")
    for _ in range(3):
        x = relu(dense(x, n, 2**0.5, 0.1))
    return readout(x)


class NetworkKernel(Kernel):
    """The NNGP kernel or the NTK of a network, as a kernel of ``sklearn.gaussian_process``.

    It has no hyperparameters: ``theta`` is empty, and in a sum or product with other kernels only theirs are optimised.

    Parameters
    ----------
    net : callable, optional
        As for ``rmtp.nngp``; `relu_network` by default.
    kind : {"nngp", "ntk"}

    Examples
    --------
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from sklearn.gaussian_process.kernels import WhiteKernel
    >>> gp = GaussianProcessRegressor(NetworkKernel() + WhiteKernel(0.1))
    >>> gp.fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0]).kernel_.k1
    NetworkKernel(net=relu_network, kind='nngp')
    """

    def __init__(self, net: Callable[[Any], Any] | None = None, kind: str = "nngp") -> None:
        self.net = net
        self.kind = kind

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """K(X, Y), and with `eval_gradient` its gradient (N, N, 0).

        Raises
        ------
        BadParameter
            If a gradient is asked between two data sets, as by scikit-learn's kernels.
        """
        if eval_gradient and Y is not None:
            raise BadParameter("a gradient of K(X, Y)", remedy="gradients are of K(X, X): leave Y out")
        k = kernels(self.net or relu_network, X, Y, (check_kind(self.kind),))[self.kind]
        return (k, np.empty((*k.shape, 0))) if eval_gradient else k

    def diag(self, X: Any) -> np.ndarray:
        """The diagonal of K(X, X)."""
        return kernel_diagonal(self.net or relu_network, X, self.kind)

    def is_stationary(self) -> bool:
        """False: it depends on where the inputs are."""
        return False

    def __repr__(self) -> str:
        net = self.net or relu_network
        return f"NetworkKernel(net={getattr(net, '__name__', repr(net))}, kind={self.kind!r})"


class _NetworkEstimator(BaseEstimator):
    """What regression and classification share: kernels, a factor, weights."""

    net: Any
    kind: str
    noise: float
    jitter: float

    def _solve(self, X: np.ndarray, targets: np.ndarray) -> None:
        check_kind(self.kind)
        found = kernels(self.net or relu_network, X, None, KINDS[: 1 + (self.kind == "ntk")])
        self.X_fit_ = X
        self.factor_ = factor(found[self.kind], self.noise, self.jitter)
        self.dual_coef_ = self.factor_.solve(targets)
        self.nngp_ = found["nngp"] if self.kind == "ntk" else None

    def _cross(self, X: Any, wanted: tuple[str, ...]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Validated inputs, and kernels of them with the training inputs."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return X, kernels(self.net or relu_network, X, self.X_fit_, wanted)

    def _outputs(self, X: Any) -> np.ndarray:
        """Means in the unit of the targets of `_solve`."""
        _, cross = self._cross(X, (self.kind,))
        return np.asarray(cross[self.kind] @ self.dual_coef_)

    def _outputs_and_std(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        X, cross = self._cross(X, KINDS if self.kind == "ntk" else ("nngp",))
        own = kernel_diagonal(self.net or relu_network, X)
        if self.nngp_ is None:
            _, variance = conditional(self.factor_, cross["nngp"], own)
        else:
            weights = self.factor_.solve(cross["ntk"].T).T
            _, variance = ensemble_covariance(weights, self.nngp_, cross["nngp"], own)
        return np.asarray(cross[self.kind] @ self.dual_coef_), np.sqrt(variance)


class NetworkRegressor(RegressorMixin, _NetworkEstimator):
    """Regression with an infinitely wide network: Bayesian ("nngp") or trained by gradient flow ("ntk").

    Parameters
    ----------
    net : callable, optional
        As for ``rmtp.nngp``; by default `relu_network`. Inputs should be of order 1, as after a StandardScaler.
    kind : {"nngp", "ntk"}
    noise : float
        Variance of the observations, or ridge; with `normalize_y` in the unit of the variance of y.
    jitter : float
        See ``rmtp.regression.factor``.
    normalize_y : bool
        Regress on (y - mean) / std, as the prior has mean 0 and the scale of the network.

    Attributes
    ----------
    X_fit_, factor_, dual_coef_
        Training inputs, the factor of their kernel, and the weights of ``K(x, X_fit_) @ dual_coef_``.

    Examples
    --------
    >>> model = NetworkRegressor(noise=1e-6).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0])
    >>> mean, std = model.predict([[1.0], [3.0]], return_std=True)
    >>> mean.round(2), bool(std[0] < std[1])
    (array([ 1., -1.]), True)
    """

    def __init__(
        self,
        net: Callable[[Any], Any] | None = None,
        kind: str = "nngp",
        noise: float = 1e-2,
        jitter: float = 0.0,
        normalize_y: bool = True,
    ) -> None:
        self.net = net
        self.kind = kind
        self.noise = noise
        self.jitter = jitter
        self.normalize_y = normalize_y

    def fit(self, X: Any, y: Any) -> NetworkRegressor:
        """Fit to X (N, d) and y (N,) or (N, C).

        Raises
        ------
        NotPSD
            If the kernel with its noise is singular.
        """
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        y = np.asarray(y, dtype=float)
        self.y_mean_, self.y_std_ = np.zeros(y.shape[1:]), np.ones(y.shape[1:])
        if self.normalize_y:
            spread = y.std(axis=0)
            self.y_mean_, self.y_std_ = y.mean(axis=0), np.where(spread > 0, spread, 1.0)
        self._solve(X, (y - self.y_mean_) / self.y_std_)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Means (M,) or (M, C); with `return_std` also standard deviations of the function, without noise.

        Returns
        -------
        ndarray, or two
        """
        mean, std = self._outputs_and_std(X) if return_std else (self._outputs(X), None)
        mean = self.y_mean_ + self.y_std_ * mean
        return mean if std is None else (mean, np.multiply.outer(std, self.y_std_))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class NetworkClassifier(ClassifierMixin, _NetworkEstimator):
    """Classification with an infinitely wide network, by one regression per class on centred one-hot targets.

    The class of the largest output wins. Outputs are no probabilities, so that there is no ``predict_proba``.

    Parameters
    ----------
    net : callable, optional
        As for ``rmtp.nngp``; by default `relu_network`.
    kind : {"nngp", "ntk"}
    noise : float
        Variance of the targets' noise, or ridge.
    jitter : float

    Attributes
    ----------
    classes_ : ndarray (C,)
    X_fit_, factor_, dual_coef_

    Notes
    -----
    Lee et al., Deep Neural Networks as Gaussian Processes (2018), arXiv:1711.00165, section 3.

    Examples
    --------
    >>> NetworkClassifier().fit([[0.0], [1.0], [2.0]], ["low", "low", "high"]).predict([[0.5], [2.5]]).tolist()
    ['low', 'high']
    """

    def __init__(
        self,
        net: Callable[[Any], Any] | None = None,
        kind: str = "nngp",
        noise: float = 1e-2,
        jitter: float = 0.0,
    ) -> None:
        self.net = net
        self.kind = kind
        self.noise = noise
        self.jitter = jitter

    def fit(self, X: Any, y: Any) -> NetworkClassifier:
        """Fit to X (N, d) and labels y (N,).

        Raises
        ------
        NotPSD
            If the kernel with its noise is singular.
        BadParameter
            If there is one class only.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        targets, self.classes_ = one_hot(y)
        self._solve(X, targets)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Outputs (M, C); for two classes the difference (M,), positive for the second."""
        out = self._outputs(X)
        return out[:, 1] - out[:, 0] if len(self.classes_) == 2 else out

    def predict(self, X: Any) -> np.ndarray:
        """Labels (M,)."""
        best = np.argmax(self._outputs(X), axis=1)
        return np.asarray(self.classes_[best])


__all__ = ["NetworkClassifier", "NetworkKernel", "NetworkRegressor", "relu_network"]
