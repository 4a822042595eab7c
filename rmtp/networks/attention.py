"""Attention whose scores converge: averages over the width of products of keys and queries.

Rejected: scores ``q_p . k_q / sqrt(n)`` with independent matrices. They stay random, so with finitely many heads the output is
not Gaussian and the program not one of the language. With infinitely many heads and linear scores every head is one coordinate
of `many_headed_attention`; with softmax scores no closed form is known (Hron et al. 2020, 2006.10540).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ensembles import Dim
from ..errors import BadParameter
from ..handles import Scalar, Vector, as_node
from ..language import Gaussian
from .layers import bias, check_vector, linear
from .recurrent import length

Attention = Callable[[Any, Any], Any]


def softmax(scores: Any, mask: Any = None) -> Any:
    """``exp(s) / sum exp(s)`` along the last axis; where the mask is 0, the weight is 0.

    Parameters
    ----------
    scores : Scalar (queries, keys), or an array
    mask : array (queries, keys), optional

    Returns
    -------
    Scalar (queries, keys), or an array

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> rmtp.networks.softmax(np.zeros((2, 2)), np.tril(np.ones((2, 2))))
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    weights = np.exp(scores) if mask is None else np.exp(scores) * mask
    return weights / np.sum(weights, axis=-1)[:, None]


def linear_scores(scores: Any, mask: Any = None) -> Any:
    """The scores as they are, masked: linear attention, not normalised.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> rmtp.networks.linear_scores(np.ones((1, 2)), np.array([[1, 0]]))
    array([[1., 0.]])
    """
    return scores if mask is None else scores * mask


def self_attention(
    x: Vector,
    width: Dim,
    value_std: Any = 1,
    out_std: Any = 1,
    bias_std: Any = 0,
    *,
    score_std: Any = 1,
    heads: int = 1,
    attention: Attention = softmax,
    mask: Any = None,
) -> Vector:
    """Self-attention with keys and queries of one matrix, scaled by 1 / width.

    Law: ``y_q = sum over heads of O sum_p a(S)_qp V x_p / sqrt(heads) + b``, ``S_qp = mean(k_q * k_p)``, k = K x, where K, V, O
    are new in every head and have the entry variances score_std**2, value_std**2, out_std**2 over the number of columns.

    Parameters
    ----------
    x : Vector (width', T)
    width : Dim
    value_std, out_std, bias_std : number
    score_std : number
        Scores tend to ``score_std**2 * mean(x_q * x_p)``.
    heads : int
        NNGP and NTK do not depend on it: the scores of all heads have one limit.
    attention : callable (scores, mask) -> weights
        `softmax`, `linear_scores`, or any function of the (T, T) scores, queries first.
    mask : array (T, T), optional
        1 where a query (row) may look at a key (column), 0 elsewhere.

    Returns
    -------
    Vector (width, T)

    Raises
    ------
    AxisError
        If x is not a sequence.
    BadParameter
        If the mask is not 0 and 1, leaves a query nothing to look at, or does not fit.

    Notes
    -----
    TP II (2006.14548), Appendix D; Hron et al. 2020 (2006.10540), with scores scaled by 1 / width. Scores scaled by
    1 / sqrt(width) with independent keys and queries are not a program of the language: they stay random.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n, nets = rmtp.Dim("n"), rmtp.networks
    >>> net = lambda x: rmtp.readout(nets.self_attention(nets.dense(x, n), n)[:, 0])
    >>> rmtp.nngp(net, [[[1.0], [0.0]]]).round(12)  # softmax(1, 0)[0]**2
    array([[0.53444665]])
    """
    size = length(check_vector(x, "self_attention"), "self_attention")
    if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1:
        raise BadParameter(f"heads={heads!r}", remedy="a positive int")
    chosen = None if mask is None else _mask(mask, size)
    assert x.dim is not None
    total: Any = None
    for _ in range(heads):
        weights = attention(scores(Gaussian(width, x.dim, score_std) @ x), chosen)
        mixed = linear(x, width, value_std) @ as_node(weights).T  # type: ignore[attr-defined]
        term = linear(mixed, width, out_std, share=heads)
        total = term if total is None else total + term
    return bias(total, bias_std)


def many_headed_attention(
    x: Vector,
    width: Dim,
    value_std: Any = 1,
    out_std: Any = 1,
    bias_std: Any = 0,
    *,
    query_std: Any = 1,
    key_std: Any = 1,
    mask: Any = None,
) -> Vector:
    """Linear self-attention with infinitely many heads, scores ``q . k / sqrt(width)`` of independent matrices.

    Law: ``y_q = O ((Q x_q) * sum_p (K x_p) * (V x_p)) + b``, all four matrices independent. A coordinate of the product has
    the covariance and the tangent kernel of a head.

    Parameters
    ----------
    x : Vector (width', T)
    width : Dim
    value_std, out_std, bias_std, query_std, key_std : number
    mask : array (T, T), optional
        1 where a query (row) may look at a key (column), 0 elsewhere.

    Returns
    -------
    Vector (width, T)

    Raises
    ------
    AxisError
        If x is not a sequence.
    BadParameter
        If the mask is not 0 and 1, leaves a query nothing to look at, or does not fit.

    Notes
    -----
    The limit of Hron et al. 2020 (2006.10540) with identity attention: NNGP and NTK agree. A finite network of this form is
    not an attention layer with finitely many heads.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n, nets = rmtp.Dim("n"), rmtp.networks
    >>> net = lambda x: rmtp.readout(nets.many_headed_attention(nets.dense(x, n), n)[:, 0])
    >>> rmtp.nngp(net, [[[1.0], [2.0]]]).round(12)  # K_00 * sum_pq K_pq**2 = 1 * (1 + 4 + 4 + 16)
    array([[25.]])
    """
    size = length(check_vector(x, "many_headed_attention"), "many_headed_attention")
    seen = np.ones((size, size)) if mask is None else _mask(mask, size)
    queries, keys, values = (linear(x, width, std) for std in (query_std, key_std, value_std))
    return bias(linear(queries * ((keys * values) @ seen.T), width, out_std), bias_std)


def scores(queries: Vector, keys: Vector | None = None) -> Scalar:
    """``S_qp = mean over the width of queries_q * keys_p``.

    Parameters
    ----------
    queries : Vector (width, T)
    keys : Vector (width, T'), optional
        The queries themselves by default.

    Returns
    -------
    Scalar (T, T')

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> x = np.stack([rmtp.Normal(n), rmtp.Normal(n)], axis=1)
    >>> rmtp.limit(rmtp.networks.scores(x)).value.astype(int)
    array([[1, 0],
           [0, 1]])
    """
    keys = queries if keys is None else keys
    return np.mean(queries[:, :, None] * keys[:, None, :], axis=0)


def _mask(mask: Any, size: int) -> np.ndarray:
    array = np.asarray(mask)
    if array.shape != (size, size) or not np.all(np.isin(array, (0, 1))) or not np.all(array.any(axis=1)):
        raise BadParameter(
            f"a mask of shape {array.shape} for {size} positions",
            remedy=f"zeros and ones of shape {(size, size)}, a one in every row",
        )
    return array.astype(float)


__all__ = ["linear_scores", "many_headed_attention", "scores", "self_attention", "softmax"]
