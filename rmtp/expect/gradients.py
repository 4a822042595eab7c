"""Expected gradients, which Z-Dot is made of: E[d Z / d hat] by derivatives where they are known, else by Stein's lemma."""

from __future__ import annotations

from collections import Counter

from ..ensembles import Number
from ..errors import UnsupportedOperation
from ..normal import Form, Mono, is_zero, plus, times
from ..ring import as_number
from .engine import METHODS, NESTED, Expectations, NeedsSampling
from .integrand import Integrand, Linear
from .stein import gaussian_variables, linked, solve_batch, solve_psd


class Gradients(Expectations):
    """Expectations, and those of derivatives in hats, over one table of atoms."""

    def gradient(self, form: Form, hats: list[int]) -> dict[int, Number]:
        """E[d form / d hat] for each hat, term by term, or on the points for the whole form."""
        try:
            return self._gradient_by_terms(form, hats)
        except NeedsSampling:
            if self.sampler is None:
                raise
        if self.options.zdot == "stein" or not all(self.atoms.smooth(mono) for mono in form.terms):
            return self._regressed(form, hats)
        self.note(METHODS.index("sobol"))
        return {h: as_number(slope) for h, slope in self.sampler.gradient(form, hats).items()}

    def orthogonal_gradient(self, form: Form, hats: list[int]) -> dict[int, Number]:
        """The same, such that on the points the form less its slopes times the hats is orthogonal to the hats."""
        try:
            return self._gradient_by_terms(form, hats)
        except NeedsSampling:
            if self.sampler is None:
                raise
            return self._regressed(form, hats)

    def _gradient_by_terms(self, form: Form, hats: list[int]) -> dict[int, Number]:
        out: dict[int, Number] = {}
        for mono, coefficient in form.terms.items():
            beneath = set(self.atoms.leaves(mono))
            for a, slope in self._term_gradient(mono, [h for h in hats if h in beneath]).items():
                # a denoiser made free of divergence has the slope 0, not 1e-17: else all memory would stay alive
                out[a] = plus(out.get(a, 0), coefficient * slope)
        return out

    def _term_gradient(self, mono: Mono, hats: list[int]) -> dict[int, Number]:
        """By derivatives where they exist, else by Stein's lemma."""
        choice = self.options.zdot
        smooth = choice != "stein" and self.atoms.smooth(mono)
        if choice == "derivative" and hats and not smooth:
            raise UnsupportedOperation(
                f"a function in {self.describe(mono)} jumps or has no known derivative", remedy='zdot="auto" or "stein"'
            )
        if choice == "derivative" or (smooth and self.atoms.depth(mono) <= NESTED):
            return {h: self.of_form(self.atoms.derivative(mono, h)) for h in hats}
        variables = self._variables(Form({mono: 1}), hats)
        slopes = self._known_slopes(mono, variables) if choice == "auto" else {}
        rest = [i for i in range(len(variables)) if i not in slopes]
        linear_cov = Integrand(1).linear_cov
        right = []
        for i in rest:
            form = Form({((a, 1),): c for a, c in variables[i]})
            value = self._deterministic(times(form, Form({mono: 1})))
            for j, slope in slopes.items():
                value = value - linear_cov(self.cov, variables[i], variables[j]) * slope
            right.append(value)
        cov = [[linear_cov(self.cov, variables[i], variables[j]) for j in rest] for i in rest]
        slopes |= dict(zip(rest, solve_psd(cov, right, self.ctx), strict=True))
        return self._distribute(variables, [slopes[i] for i in range(len(variables))], hats)

    def _known_slopes(self, mono: Mono, variables: list[Linear]) -> dict[int, Number]:
        """E[d mono / d v] by derivatives, for the variables in which every function on the way has one.

        A slope that an algorithm takes itself is then the same number, and cancels.
        """
        if self.atoms.depth(mono) > NESTED:
            return {}
        uses = Counter(a for v in variables for a, _ in v)
        out: dict[int, Number] = {}
        for i, v in enumerate(variables):
            own = next(((a, c) for a, c in v if uses[a] == 1 and not is_zero(c)), None)
            if own is not None and self.atoms.differentiable(mono, own[0]):
                out[i] = self.of_form(self.atoms.derivative(mono, own[0])) / own[1]
        return out

    def _regressed(self, form: Form, hats: list[int]) -> dict[int, Number]:
        """Stein's lemma as a regression on the points: what the points get wrong on both sides cancels."""
        assert self.sampler is not None
        variables = self._variables(form, hats)
        if not variables:
            return {}
        self.note(METHODS.index("sobol"))
        forms = [Form({((a, 1),): c for a, c in v}) for v in variables]
        gram, vector = self.sampler.regression(forms, form)
        return self._distribute(variables, [as_number(e) for e in solve_batch(gram, vector).T], hats)

    def _variables(self, form: Form, hats: list[int]) -> list[Linear]:
        """The affine Gaussian variables v of a form that matter for some hats.

        E[v_i M] = sum_j Cov(v_i, v_j) E[dM/dv_j] (theory 2); any solution is right when Cov(v) is singular.
        """
        variables = gaussian_variables(self.atoms, form, self.ctx is None)
        wanted = set(hats)
        if not any(a in wanted for v in variables for a, _ in v):
            return []
        families = [{self._family(a) for a, _ in v} for v in variables]
        return [variables[i] for i in linked(families, {self._family(h) for h in hats})]

    def _distribute(self, variables: list[Linear], slopes: list[Number], hats: list[int]) -> dict[int, Number]:
        wanted, out = set(hats), dict[int, Number]()
        for v, e in zip(variables, slopes, strict=True):
            for a, c in v:
                if a in wanted and not is_zero(e):
                    out[a] = out.get(a, 0) + c * e
        return out
