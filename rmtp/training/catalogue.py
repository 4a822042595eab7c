"""The limit models of wide networks under gradient descent: what the signs of three exponents say.

A scaling has a limit in which something happens exactly if features neither diverge nor the change of the output is lost beside
its initial value. Within that band the signs of the exponents of f_0 and of the kernel, whether the kernel evolves, and whether
f_0 is as large as one update decide which limit it is. There are thirteen combinations, and a fourteenth, IC-MF, which no
scaling reaches and a correction of the initial function does.
Golikov 2020 (2006.06574), section 3 and Table 1.
"""

from __future__ import annotations

from dataclasses import dataclass

NAMES = {  # (kernel evolves, f_0 ~ update, sign of the kernel's exponent, sign of f_0's) -> the paper's word for it
    (True, False, -1, -1): "post-MF",
    (True, False, 0, -1): "MF",
    (True, False, 1, -1): "sym-MF",
    (True, False, 1, 0): "sym-default",
    (True, False, 1, 1): "pre-sym",
    (False, True, -1, -1): "post-NTK",
    (False, True, 0, 0): "NTK",
    (False, True, 1, 1): "pre-NTK",
    (False, False, -1, -1): "post-MF-NTK",
    (False, False, 0, -1): "MF-NTK",
    (False, False, 1, -1): "barycenter",
    (False, False, 1, 0): "NTK-sym",
    (False, False, 1, 1): "pre-NTK-sym",
    (True, True, 0, 0): "IC-MF",
}
GRADIENTS = {-1: "-y/2", 0: "logistic", 1: "sign"}
_SIZES = {-1: "0", 0: "finite", 1: "infinite"}


@dataclass(frozen=True)
class Layers:
    """What is seen in the limit of the two layers of a network with one hidden layer: all, if they learn at one rate.

    Attributes
    ----------
    first, readout : bool
        Whether it moves: its updates are not lost beside the other's, or beside its initial values.
    starts : bool
        Whether the initial readout is not lost beside its first update.
    """

    first: bool = True
    readout: bool = True
    starts: bool = True


@dataclass(frozen=True)
class LimitModel:
    """One limit of gradient descent with the logistic loss, by the signs that define it.

    Attributes
    ----------
    initial, kernel : int
        Signs of the exponents of f_0 and of the tangent kernel: -1 vanishes, 0 is finite, 1 diverges.
    evolves : bool
        The kernel changes by a share of itself: features are learned.
    balanced : bool
        f_0 is as large as its change in one step.

    Examples
    --------
    >>> model = LimitModel(initial=-1, kernel=0, evolves=True, balanced=False)
    >>> model.name, model.state, model.first_gradient, model.later_gradient
    ('MF', 'particles', '-y/2', 'logistic')
    """

    initial: int
    kernel: int
    evolves: bool
    balanced: bool

    @property
    def name(self) -> str:
        """The paper's name."""
        return NAMES[self.evolves, self.balanced, self.kernel, self.initial]

    @property
    def corrected(self) -> bool:
        """Whether it takes an initial correction: a kernel that evolves beside an f_0 that is not lost."""
        return self.evolves and self.balanced

    @property
    def properties(self) -> dict[str, str | bool]:
        """The row of the paper's table: sizes of f_0 and of the kernel, and the two properties.

        Examples
        --------
        >>> LimitModel(0, 0, False, True).properties
        {'f_0': 'finite', 'K_0': 'finite', 'kernel evolves': False, 'f_0 ~ update': True}
        """
        return {
            "f_0": _SIZES[self.initial],
            "K_0": _SIZES[self.kernel],
            "kernel evolves": self.evolves,
            "f_0 ~ update": self.balanced,
        }

    @property
    def first_gradient(self) -> str:
        """The gradient of the loss at f_0: "-y/2" where it vanishes, "sign" (-y where y f < 0) where it diverges."""
        return GRADIENTS[self.initial]

    @property
    def later_gradient(self) -> str:
        """The gradient of the loss after the first step, where the output is as large as the kernel."""
        return GRADIENTS[self.kernel]

    @property
    def state(self) -> str:
        """What the limit has to remember."""
        if not self.evolves:
            return "kernel + g_0" if self.balanced else "kernel"
        if self.balanced:
            return "particles + g_0"
        return "particles" if self.kernel >= 0 else "non-interacting particles"

    @property
    def needs_initial(self) -> bool:
        """Whether the trajectory depends on the Gaussian initial function g_0."""
        return self.balanced or self.initial >= 0

    @property
    def equations(self) -> str:
        """The limit as text; n is the width over a reference width d*, at which sigma and eta are given.

        Examples
        --------
        >>> print(LimitModel(0, 0, False, True).equations)
        f_k = F_k
        F_0 = g_0
        F_k+1(x) = F_k(x) - eta sigma^2 d* mean_data[ Theta(x, x') g_k(x') ]
        Theta(x, x') = E[phi(w.x) phi(w.x')] + E[phi'(w.x) phi'(w.x')] x.x',  constant
        g_0 ~ GP(0, sigma^2 d* E[phi(w.x) phi(w.x')])
        gradient: -y / (1 + exp(y F_k))
        """
        return self.text(Layers())

    def text(self, layers: Layers) -> str:
        """`equations` where layers learn at rates of their own.

        Examples
        --------
        >>> print(LimitModel(0, 0, False, True).text(Layers(first=False)).splitlines()[3])
        Theta(x, x') = E[phi(w.x) phi(w.x')],  constant
        """
        return "\n".join(_lines(self, _TEXT, layers))

    @property
    def two_layers(self) -> str:
        """The limit of "mean field" with two hidden layers; w and a are independent particles.

        Examples
        --------
        >>> print(LimitModel(-1, 0, True, False).two_layers.splitlines()[2])
        h_k(x) = - eta sigma sum_{s<k} mean_data[ g_s u_s(x') E[ phi(w_s.x') phi(w_k.x) ] ],  u_s = a_s phi'(h_s)
        """
        return "\n".join(_two_layers(self))

    def latex(self, layers: Layers = Layers()) -> str:
        """The limit equations as a LaTeX ``aligned`` block.

        Examples
        --------
        >>> print(LimitModel(-1, -1, False, False).latex())
        \\begin{aligned}
        f_k &= n^{\\kappa} F_k \\\\
        F_0 &= 0 \\\\
        F_{k+1}(x) &= F_k(x) - \\eta \\sigma^2 d^* \\, \\mathbb{E}_{x'}[\\Theta(x, x') g_k(x')] \\\\
        \\Theta(x, x') &= \\mathbb{E}\\,\\varphi \\varphi + \\mathbb{E}\\,\\varphi' \\varphi' \\, x \\cdot x' \\\\
        g_k &= -y/2
        \\end{aligned}
        """
        return "\\begin{aligned}\n" + " \\\\\n".join(_lines(self, _LATEX, layers)) + "\n\\end{aligned}"


_TEXT = {
    "finite": "f_k = F_k",
    "scaled": "f_k = n^kappa F_k",
    "zero": "F_0 = 0",
    "initial": "F_0 = g_0",
    "kernel": "F_k+1(x) = F_k(x) - eta sigma^2 d* mean_data[ Theta(x, x') g_k(x') ]",
    "theta": "Theta(x, x') = {0},  constant",
    "theta readout": "E[phi(w.x) phi(w.x')]",
    "theta first": "E[phi'(w.x) phi'(w.x')] x.x'",
    "output": "F_k(x) = sigma d* E[ a_k phi(w_k.x) ],  (a_0, w_0) ~ N(0, I)",
    "output from 0": "F_k(x) = sigma d* E[ a_k phi(w_k.x) ],  a_0 = 0, w_0 ~ N(0, I)",
    "frozen": "a_k = a_0",
    "corrected": "f_k(x) = F_k(x) + g_0(x)",
    "readout": "a_k+1 = a_k - eta sigma mean_data[ g_k phi(w_k.x) ]",
    "features": "w_k+1 = w_k - eta sigma mean_data[ g_k a_k phi'(w_k.x) x ]",
    "process": "g_0 ~ GP(0, sigma^2 d* E[phi(w.x) phi(w.x')])",
    "one": "gradient: {0}",
    "two": "gradient: {0} at step 0, then {1}",
    "-y/2": "-y/2",
    "logistic": "-y / (1 + exp(y {0}))",
    "sign": "-y 1[y {0} < 0]",
    "g_0": "g_0",
    "F_k": "F_k",
    "f_k": "f_k",
}
_LATEX = {
    "finite": r"f_k &= F_k",
    "scaled": r"f_k &= n^{\kappa} F_k",
    "zero": r"F_0 &= 0",
    "initial": r"F_0 &= g_0",
    "kernel": r"F_{k+1}(x) &= F_k(x) - \eta \sigma^2 d^* \, \mathbb{E}_{x'}[\Theta(x, x') g_k(x')]",
    "theta": r"\Theta(x, x') &= {0}",
    "theta readout": r"\mathbb{E}\,\varphi \varphi",
    "theta first": r"\mathbb{E}\,\varphi' \varphi' \, x \cdot x'",
    "output": r"F_k(x) &= \sigma d^* \, \mathbb{E}[a_k \varphi(w_k x)], \quad (a_0, w_0) \sim N(0, I)",
    "output from 0": r"F_k(x) &= \sigma d^* \, \mathbb{E}[a_k \varphi(w_k x)], \quad a_0 = 0,\ w_0 \sim N(0, I)",
    "frozen": r"a_k &= a_0",
    "corrected": r"f_k(x) &= F_k(x) + g_0(x)",
    "readout": r"a_{k+1} &= a_k - \eta \sigma \, \mathbb{E}_x[g_k \varphi(w_k x)]",
    "features": r"w_{k+1} &= w_k - \eta \sigma \, \mathbb{E}_x[g_k a_k \varphi'(w_k x) x]",
    "process": r"g_0 &\sim GP(0, \sigma^2 d^* \, \mathbb{E}\,\varphi(w x) \varphi(w x'))",
    "one": r"g_k &= {0}",
    "two": r"g_0 &: {0}, \qquad g_k : {1} \quad (k \ge 1)",
    "-y/2": r"-y/2",
    "logistic": r"-y / (1 + e^{y {0}})",
    "sign": r"-y \, 1[y {0} < 0]",
    "g_0": r"g_0",
    "F_k": r"F_k",
    "f_k": r"f_k",
}


def _two_layers(model: LimitModel) -> list[str]:
    out = [
        _TEXT["corrected" if model.corrected else "finite"],
        "F_k(x) = sigma d* E[ a_k phi(h_k(x)) ],  a_0 ~ N(0, 1), w_0 ~ N(0, I)",
        "h_k(x) = - eta sigma sum_{s<k} mean_data[ g_s u_s(x') E[ phi(w_s.x') phi(w_k.x) ] ],  u_s = a_s phi'(h_s)",
        "b_k(x) = - eta sigma sum_{s<k} mean_data[ g_s phi(w_s.x') E[ u_s(x') u_k(x) ] ]",
        "a_k+1 = a_k - eta sigma mean_data[ g_k phi(h_k) ]",
        "w_k+1 = w_k - eta sigma mean_data[ g_k b_k phi'(w_k.x) x ]",
    ]
    logistic = _TEXT["logistic"].replace("{0}", "f_k" if model.corrected else "F_k")
    if not model.corrected:
        return [*out, _TEXT["two"].replace("{0}", "-y/2").replace("{1}", logistic)]
    process = "g_0 ~ GP(0, sigma^2 d* K),  K the NNGP of a network with two hidden layers"
    return [*out, process, _TEXT["one"].replace("{0}", logistic)]


def _lines(model: LimitModel, words: dict[str, str], layers: Layers) -> list[str]:
    out = [words["corrected" if model.corrected else "scaled" if model.kernel else "finite"]]
    if model.evolves:
        out += [words["output" if layers.starts else "output from 0"], words["readout" if layers.readout else "frozen"]]
        out.append(words["features"])
    else:
        parts = [words["theta readout"]] * layers.readout + [words["theta first"]] * layers.first
        theta = words["theta"].replace("{0}", " + ".join(parts))
        out += [words["initial" if model.balanced else "zero"], words["kernel"], theta]
    if model.needs_initial:
        out.append(words["process"])
    later = words[model.later_gradient].replace("{0}", words["f_k" if model.corrected else "F_k"])
    if model.balanced or model.first_gradient == model.later_gradient == "-y/2":
        return [*out, words["one"].replace("{0}", later)]
    first = words[model.first_gradient].replace("{0}", words["g_0"])
    return [*out, words["two"].replace("{0}", first).replace("{1}", later)]


IC_MF = LimitModel(0, 0, True, True)
