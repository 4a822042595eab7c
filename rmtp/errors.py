"""Every error rmtp raises on purpose.

One base class, so that ``except rmtp.errors.RmtpError`` catches what a program can
get wrong. Each message names the line of the program and ends with the remedy.
"""

from __future__ import annotations

__all__ = [
    "AxisError",
    "BadParameter",
    "BudgetExceeded",
    "CyclicProgram",
    "DimensionMismatch",
    "DivergentExpectation",
    "NoInfiniteWidth",
    "NotConverged",
    "NotExact",
    "NotInvertible",
    "NotPSD",
    "NotSelfAdjoint",
    "OnSpectrum",
    "PointsFailed",
    "RmtpError",
    "TracedBranch",
    "UnboundInput",
    "UnsupportedOperation",
    "VanishingVector",
    "WrongSide",
    "ZeroDivisor",
]


class RmtpError(Exception):
    """Base class: what went wrong, where (a line of the program), and what to do.

    Parameters
    ----------
    problem : str
        One sentence.
    where : str, optional
        The instruction, as `print(program)` shows it.
    remedy : str, optional
        What the caller can do about it.
    """

    def __init__(self, problem: str, where: str = "", remedy: str = "") -> None:
        self.problem, self.where, self.remedy = problem, where, remedy
        super().__init__(problem, where, remedy)

    def __str__(self) -> str:
        at = f"\n  at   {self.where}" if self.where else ""
        cure = f"\n  try  {self.remedy}" if self.remedy else ""
        return f"{self.problem}{at}{cure}"

    def located(self, where: str) -> RmtpError:
        """The same error, with the line of the program filled in if it was unknown."""
        if not self.where:
            self.where = where
            self.args = (self.problem, self.where, self.remedy)
        return self


class BadParameter(RmtpError, ValueError):
    """A parameter outside its range: NaN, a negative std, an empty law."""


class DimensionMismatch(RmtpError, ValueError):
    """Vectors or matrices of different widths meet."""


class WrongSide(DimensionMismatch):
    """A matrix is applied on the side of its rows where its columns were meant."""


class AxisError(RmtpError, ValueError):
    """A finite named axis is missing, doubled, or of another length."""


class TracedBranch(RmtpError, TypeError):
    """Python tried to read the value of a symbolic vector or scalar (``if x > 0:``)."""


class UnboundInput(RmtpError, ValueError):
    """The input of a network has no value where one is needed."""


def unbound(name: str) -> UnboundInput:
    """The error for an input that is asked for its value."""
    return UnboundInput(f"the input {name} has no value", remedy="rmtp.nngp and rmtp.ntk give it values")


class UnsupportedOperation(RmtpError, TypeError):
    """A NumPy operation that is not an instruction of a tensor program."""


class CyclicProgram(RmtpError, ValueError):
    """A line needs itself."""


class NotPSD(RmtpError, ValueError):
    """A covariance with a negative eigenvalue, or one that is not symmetric."""


class NotExact(RmtpError, ArithmeticError):
    """``exact=True``, but some number on the way is not rational."""


class DivergentExpectation(RmtpError, ArithmeticError):
    """An expectation that is infinite or undefined, such as E exp(x**2)."""


class ZeroDivisor(RmtpError, ZeroDivisionError):
    """A divisor whose limit is zero."""


class VanishingVector(RmtpError, ArithmeticError):
    """A vector whose limit is identically zero meets a function discontinuous there."""


class NotSelfAdjoint(RmtpError, ValueError):
    """A spectrum was asked of a matrix that is not its own transpose."""


class NotInvertible(RmtpError, ArithmeticError):
    """An inverse that does not exist in the limit: the spectrum reaches 0."""


class OnSpectrum(RmtpError, ValueError):
    """A transform was asked on the spectrum itself, where it has two boundary values."""


class NoInfiniteWidth(RmtpError, ArithmeticError):
    """A network outside the theorem: its kernel does not converge, or not to a number."""


class BudgetExceeded(RmtpError, RuntimeError):
    """The work would pass the stated budget."""


class NotConverged(RmtpError, RuntimeError):
    """The requested accuracy was not reached within the budget."""


class PointsFailed(RmtpError, RuntimeError):
    """Some points of a parameter study have no value."""
