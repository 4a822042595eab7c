"""What one point of a study came to: numbers by name, and the same as text that any later run reads back bit by bit."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from .arguments import reals, shown
from .comparison import exactly
from .errors import BadParameter
from .results import Estimate

REMEDY = "return a finite number, an Estimate, an array, or a dict of them by name"
GIVEN = "given"  # the method of a number that states no error


def record(value: Any) -> dict[str, Estimate]:
    """What a function returned, as Estimates by name; a single value has the empty name.

    Raises
    ------
    BadParameter
        If it is no number, or not finite.

    Examples
    --------
    >>> record({"a": 1, "b": [1.0, 2.0]})
    {'a': Estimate(1, error=0, method='given'), 'b': Estimate(array([1., 2.]), error=0, method='given')}
    """
    if isinstance(value, Mapping):
        if not value:
            raise BadParameter("the function returns an empty dict", remedy=REMEDY)
        return {_name(name): _estimate(each) for name, each in value.items()}
    return {"": _estimate(value)}


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise BadParameter(f"the function returns a dict with the key {name!r}", remedy="names as keys")
    return name


def _estimate(value: Any) -> Estimate:
    if isinstance(value, Estimate):
        return Estimate(_number(value.value), _number(value.error), value.method, value.notes)
    return Estimate(_number(value), 0, GIVEN)


def _number(value: Any) -> Any:
    if isinstance(value, list | tuple):
        try:
            value = np.array(value)
        except ValueError:
            raise BadParameter(f"the function returns {shown(value)}", remedy=REMEDY) from None
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        value = value.item()
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufc":
            raise BadParameter(f"the function returns an array of {value.dtype}", remedy=REMEDY)
        finite = bool(np.all(np.isfinite(value)))
    elif isinstance(value, int | Fraction):
        reals(value, "the function returns", "numbers that a float can hold")
        finite = True
    elif isinstance(value, float | complex):
        finite = bool(np.isfinite(value))
    elif hasattr(value, "_mpf_"):
        finite = exactly(value) is not None
    else:
        raise BadParameter(f"the function returns {shown(value)}", remedy=REMEDY)
    if not finite:
        raise BadParameter(f"the function returns {shown(value)}, which is not finite", remedy=REMEDY)
    return value


# ---------------------------------------------------------------------------------------------
# as text


def dumps(values: Mapping[str, Estimate]) -> bytes:
    """A record as JSON: fractions as fractions, floats and arrays to the last bit."""
    plain = {
        name: {"value": _encoded(e.value), "error": _encoded(e.error), "method": e.method, "notes": list(e.notes)}
        for name, e in values.items()
    }
    return json.dumps(plain, indent=1).encode()


def loads(text: bytes) -> dict[str, Estimate]:
    """A record read back.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the text is no record.
    """
    return {
        name: Estimate(_decoded(e["value"]), _decoded(e["error"]), str(e["method"]), tuple(map(str, e["notes"])))
        for name, e in json.loads(text).items()
    }


def _encoded(value: Any) -> Any:
    match value:
        case bool() | int():
            return value
        case float():
            return {"float": value.hex()}
        case complex():
            return {"complex": [value.real.hex(), value.imag.hex()]}
        case Fraction():
            return {"fraction": str(value)}
        case np.ndarray():
            data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
            return {"array": data, "type": value.dtype.str, "shape": list(value.shape)}
        case _:
            sign, mantissa, exponent, bits = value._mpf_
            return {"mpf": [int(sign), hex(mantissa), int(exponent), int(bits)]}


def _decoded(value: Any) -> Any:
    match value:
        case bool() | int():
            return value
        case {"float": text}:
            return float.fromhex(text)
        case {"complex": [real, imag]}:
            return complex(float.fromhex(real), float.fromhex(imag))
        case {"fraction": text}:
            return Fraction(text)
        case {"array": text, "type": kind, "shape": shape}:
            return np.frombuffer(base64.b64decode(text), dtype=np.dtype(kind)).reshape(shape).copy()
        case {"mpf": [sign, mantissa, exponent, bits]}:
            import mpmath

            return mpmath.mp.make_mpf((sign, int(mantissa, 16), exponent, bits))
    raise ValueError(f"no number: {value!r}")
