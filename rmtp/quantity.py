"""Numbers that have a name instead of a value: rational functions of symbols, as one more ring of the engine.

A `Quantity` adds, multiplies, divides and compares with zero exactly, which is all that the theorem asks of a number. It has no
value: `float` of it is an error, and so is an order that its form does not decide. No symbol is frozen to a number unnoticed.
Needs sympy, the extra ``equations``; nothing here is imported unless a symbol is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np

from .errors import BadParameter, NotExact, UnsupportedOperation, ZeroDivisor

_LONG, _FEW = 60, 3  # terms of a sum that is searched for another one, and of that one
_SHORT = 12  # a float with at most this many digits in its repr is read as that decimal


def rational(value: Any) -> Any:
    """An exact reading of a number: 0.3 means 3/10; a float such as 2 ** 0.5 is refused. Quantities are exact as they are."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, np.generic | np.ndarray):
        value = value.item()
    if isinstance(value, int | Fraction):
        return Fraction(value)
    if isinstance(value, float):
        dyadic = Fraction(value)
        if dyadic.denominator <= 2**20:
            return dyadic
        digits = repr(value)
        if len(digits.replace("-", "").replace(".", "")) <= _SHORT and "e" not in digits:
            return Fraction(digits)
    raise NotExact(
        f"the number {value!r} is not rational",
        remedy="give ints, Fractions or short decimals, and variance= instead of an irrational std=",
    )


def sympy_module() -> Any:
    """sympy, or an error that names the extra."""
    try:
        import sympy  # only symbols need it
    except ImportError:
        raise UnsupportedOperation("equations need sympy", remedy="pip install 'rmtp[sympy]'") from None
    return sympy


class Undecided(UnsupportedOperation):
    """A sign that depends on the values of the symbols."""


class Quantity:
    """A rational function of symbols with rational coefficients; never a constant, which is a Fraction."""

    __slots__ = ("_key", "element")

    def __init__(self, element: Any) -> None:
        self.element = element
        self._key: Any = None

    @property
    def symbols(self) -> tuple[Any, ...]:
        """The symbols it depends on."""
        field = self.element.field
        used = {
            k
            for p in (self.element.numer, self.element.denom)
            for m in p.itermonoms()
            for k, power in enumerate(m)
            if power
        }
        return tuple(field.symbols[k] for k in sorted(used))

    @property
    def expression(self) -> Any:
        """As an expression of sympy."""
        return self.element.as_expr()

    # -- arithmetic -------------------------------------------------------------------------------

    def _with(self, other: Any, operation: Any) -> Any:
        if isinstance(other, np.ndarray) or not isinstance(other, Quantity | int | Fraction | float | np.number):
            return NotImplemented
        a = self.element
        if isinstance(other, Quantity):
            b = other.element
            if a.field != b.field:
                shared = _field({*a.field.symbols, *b.field.symbols})
                a, b = _moved(a, shared), _moved(b, shared)
        else:
            b = _ground(a.field, rational(other))
        return made(operation(a, b))

    def __add__(self, other: Any) -> Any:
        return self._with(other, _sum)

    def __sub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: _sum(a, -b))

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: _sum(b, -a))

    def __mul__(self, other: Any) -> Any:
        return self._with(other, _product)

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, int | Fraction | float) and other == 0:
            raise ZeroDivisor(f"{self} divided by zero", remedy="divide by something that is not zero")
        return self._with(other, _quotient)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: _quotient(b, a))

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, exponent: Any) -> Any:
        if isinstance(exponent, Fraction) and exponent.denominator == 1:
            exponent = int(exponent)
        if not isinstance(exponent, int):
            raise UnsupportedOperation(
                f"({self}) ** {exponent}", remedy="rmtp.parameter(symbol) ** exponent, or a symbol for the root itself"
            )
        return Fraction(1) if exponent == 0 else made(_monic(self.element**exponent))

    def __neg__(self) -> Any:
        return Quantity(-self.element)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self if self.sign("an absolute value") > 0 else -self

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(
            hasattr(type(i), "__array_ufunc__") and not isinstance(i, Quantity | np.ndarray | np.generic)
            for i in inputs
        ):
            return NotImplemented
        raise UnsupportedOperation(
            f"np.{ufunc.__name__} of the symbol {self}",
            remedy=f"np.{ufunc.__name__}(rmtp.parameter(symbol)) in a program",
        )

    def terms(self) -> list[Any]:
        """The summands, if the denominator is one term; else the quantity itself."""
        field = self.element.field
        if len(self.element.denom) != 1:
            return [self]
        bottom = _power(self.element)
        return [made(_over(field.ring.from_dict({m: c}), bottom, field)) for m, c in self.element.numer.iterterms()]

    def through(self, other: Quantity) -> tuple[Any, Any] | None:
        """(c, rest) with ``self = c * other + rest`` and c one term, where that leaves fewer terms than there are."""
        best = None
        least = len(self.element.numer)
        if len(self.element.denom) != 1 or len(other.element.denom) != 1 or least > _LONG:
            return None
        for c in dict.fromkeys(a / b for a in self.terms() for b in other.terms()[:_FEW]):
            rest = self - c * other
            size = 1 + (len(rest.element.numer) if isinstance(rest, Quantity) else int(rest != 0))
            if size < least:
                best, least = (c, rest), size
        return best

    @property
    def unit(self) -> Any:
        """A factor that is cheap to divide by and fixes the sign: the quantity itself if it is one term, else 1 or -1."""
        if len(self.element.numer) == 1 and len(self.element.denom) == 1:
            return self
        return Fraction(1 if self.element.numer.LC > 0 else -1)

    # -- comparisons ------------------------------------------------------------------------------

    def key(self) -> Any:
        """A hashable value: equal keys mean equal functions, whatever other symbols were around."""
        if self._key is None:
            names = [s.name for s in self.element.field.symbols]
            self._key = tuple(
                frozenset((tuple((names[k], power) for k, power in enumerate(m) if power), c) for m, c in p.iterterms())
                for p in (self.element.numer, self.element.denom)
            )
        return self._key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def sign(self, what: str = "a sign") -> int:
        """1 or -1 where all terms agree, given which symbols are positive.

        Raises
        ------
        Undecided
            If the form does not show it.
        """
        signs = []
        for p in (self.element.numer, self.element.denom):
            positive = [s.is_positive for s in p.ring.symbols]
            fixed = all(positive[k] or power % 2 == 0 for m in p.itermonoms() for k, power in enumerate(m) if power)
            here = {c > 0 for _, c in p.iterterms()}
            if not fixed or len(here) != 1:
                raise Undecided(
                    f"{what} of {self}, which depends on the values of the symbols",
                    remedy="give numbers where a program branches on them",
                )
            signs.append(1 if here.pop() else -1)
        return signs[0] * signs[1]

    def _order(self, other: Any) -> int:
        difference = self - other
        if isinstance(difference, Quantity):
            return difference.sign()
        return (difference > 0) - (difference < 0)

    def __lt__(self, other: Any) -> bool:
        return self._order(other) < 0

    def __le__(self, other: Any) -> bool:
        return self._order(other) <= 0

    def __gt__(self, other: Any) -> bool:
        return self._order(other) > 0

    def __ge__(self, other: Any) -> bool:
        return self._order(other) >= 0

    def __float__(self) -> float:
        raise UnsupportedOperation(
            f"the value of the symbol {self}", remedy="rmtp.derive, which keeps symbols, or numbers instead of them"
        )

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return str(self.expression)

    __repr__ = __str__


def _laurent(*elements: Any) -> bool:
    """Whether the denominators are single terms: then no common divisor of polynomials need be searched."""
    return all(len(e.denom) == 1 for e in elements)


def _over(numer: Any, monomial: tuple[int, ...], field: Any) -> Any:
    """numer / monomial in lowest terms, the denominator with the coefficient 1."""
    if not numer:
        return field.zero
    least = [min(powers) for powers in zip(*numer.itermonoms(), monomial, strict=True)]
    if any(least):
        numer = numer.ring.from_dict(
            {tuple(a - b for a, b in zip(m, least, strict=True)): c for m, c in numer.iterterms()}
        )
        monomial = tuple(a - b for a, b in zip(monomial, least, strict=True))
    return field.raw_new(numer, numer.ring.from_dict({monomial: numer.ring.domain.one}))


def _monic(element: Any) -> Any:
    """A fraction over a single term in the form that `_over` gives."""
    if len(element.denom) != 1:
        return element
    ((monomial, coefficient),) = element.denom.iterterms()
    return _over(element.numer.quo_ground(coefficient), monomial, element.field)


def _power(element: Any) -> tuple[int, ...]:
    (monomial,) = element.denom.itermonoms()
    return tuple(monomial)


def _sum(a: Any, b: Any) -> Any:
    if not _laurent(a, b):
        return _monic(a + b)
    m, n = _power(a), _power(b)
    both = tuple(map(max, m, n))
    p, q = (e.numer.mul_monom(tuple(x - y for x, y in zip(both, own, strict=True))) for e, own in ((a, m), (b, n)))
    return _over(p + q, both, a.field)


def _product(a: Any, b: Any) -> Any:
    if not _laurent(a, b):
        return _monic(a * b)
    return _over(a.numer * b.numer, tuple(x + y for x, y in zip(_power(a), _power(b), strict=True)), a.field)


def _quotient(a: Any, b: Any) -> Any:
    if not _laurent(a, b) or len(b.numer) != 1:
        return _monic(a / b)
    ((monomial, coefficient),) = b.numer.iterterms()
    numer = a.numer.mul_monom(_power(b)).quo_ground(coefficient)
    return _over(numer, tuple(x + y for x, y in zip(_power(a), monomial, strict=True)), a.field)


def made(element: Any) -> Any:
    """The number of a field element: a Fraction where it is constant."""
    if element.numer.is_ground and element.denom.is_ground:
        top, bottom = element.numer.coeff(1), element.denom.coeff(1)
        return Fraction(int(top.numerator), int(top.denominator)) / Fraction(
            int(bottom.numerator), int(bottom.denominator)
        )
    return Quantity(element)


def _field(symbols: Iterable[Any]) -> Any:
    from sympy import QQ
    from sympy.polys.fields import FracField

    ordered = tuple(sorted(symbols, key=lambda s: s.name))
    if len({s.name for s in ordered}) < len(ordered):
        raise BadParameter(
            f"two symbols of one name among {', '.join(s.name for s in ordered)}",
            remedy="one object per symbol: sympy tells Symbol('x') and Symbol('x', positive=True) apart",
        )
    return FracField(ordered, QQ, "lex")


def _moved(element: Any, field: Any) -> Any:
    """The same fraction over more symbols, in the same form."""
    return field.raw_new(element.numer.set_ring(field.ring), element.denom.set_ring(field.ring))


def _ground(field: Any, value: Fraction) -> Any:
    from sympy import QQ

    return field.raw_new(field.ring.ground_new(QQ(value.numerator, value.denominator)), field.ring.one)


def of_symbol(symbol: Any) -> Quantity:
    """The quantity that is one symbol of sympy."""
    field = _field([symbol])
    return Quantity(field.gens[0])


def symbol(name: str, *, positive: bool = True) -> Quantity:
    """A parameter without a value, for `derive`: it stands wherever a program takes a number.

    Parameters
    ----------
    name : str
        An identifier; ``lambda_2`` prints as a Greek letter with a subscript in LaTeX. Two symbols of one name are the same.
    positive : bool
        Assumed of its value: ratios and variances are, others need not be.

    Returns
    -------
    Quantity
        A number with +, -, \\*, / and integer powers, exact; it has no value, and ``limit`` refuses it.

    Raises
    ------
    BadParameter
        If the name is not an identifier.
    UnsupportedOperation
        If sympy is not installed (extra ``equations``).

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> rho = rmtp.symbol("rho")
    >>> n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=rho)
    >>> W, v = rmtp.Gaussian(m, n), rmtp.Normal(n)
    >>> rmtp.derive(np.mean((W.T @ (W @ v)) ** 2)).value
    rho**2 + rho
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise BadParameter(f"symbol({name!r})", remedy="an identifier, such as sigma or delta_0")
    sympy = sympy_module()
    return of_symbol(sympy.Symbol(name, positive=True) if positive else sympy.Symbol(name, real=True))


def given(value: Any) -> Any:
    """A user's number; an expression of sympy becomes a quantity, if it is a rational function of symbols.

    Raises
    ------
    UnsupportedOperation
        If it is not.
    """
    if not hasattr(value, "free_symbols") or not hasattr(value, "as_numer_denom"):
        return value
    sympy = sympy_module()
    if value.is_Rational:
        return Fraction(int(value.p), int(value.q))
    symbols = sorted(value.free_symbols, key=lambda s: s.name)
    try:
        if not symbols:
            raise sympy.CoercionFailed
        return made(_monic(_field(symbols).from_expr(value)))
    except (sympy.CoercionFailed, ValueError, NotImplementedError):
        raise UnsupportedOperation(
            f"{value} is not a rational function of symbols", remedy="a symbol for what is not rational"
        ) from None


def is_symbolic(value: Any) -> bool:
    """Whether a number, or an entry of an array of numbers, has no value."""
    if isinstance(value, np.ndarray):
        return value.dtype == object and any(isinstance(v, Quantity) for v in value.ravel())
    if isinstance(value, list | tuple):
        return any(is_symbolic(v) for v in value)
    return isinstance(value, Quantity)


def quantity_text(value: Quantity, latex: bool = False) -> str:
    """A quantity as a factor: in brackets if it is a sum."""
    expression = value.expression
    text = sympy_module().latex(expression) if latex else str(expression)
    if not expression.is_Add:
        return text
    return rf"\left({text}\right)" if latex else f"({text})"
