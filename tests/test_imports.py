"""Imports go one way, importing costs little, and no file grows past what one reads in a sitting."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rmtp

PACKAGE = Path(rmtp.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the bottom to the top: a module imports only what stands before it.
ORDER = [
    *("errors", "arguments", "files", "progress", "special", "quantity"),
    *("nonlinearity", "chains", "catalogue"),
    *("powerseries", "cumulants", "ensembles", "laws", "instructions", "printing", "program"),
    *("shapes", "handles", "matrices", "language"),
    *("ring", "eigenlaws", "matrixlaws", "normal", "identities", "results", "formtext", "basis", "axes", "sweeps"),
    *("expect.wick", "expect.pieces", "expect.piecewise", "expect.hermite", "expect.quadrants", "expect.closed"),
    *("expect.products", "expect.orthants", "expect.onesided", "expect.mehler"),
    *(
        "expect.essential",
        "expect.integrand",
        "expect.radial",
        "expect.closed_forms",
        "expect.grid",
        "expect.quadrature",
        "expect.sobol",
    ),
    *("expect.multiprecision", "expect.gram", "expect.thresholds", "expect.stein", "expect.engine", "expect.gradients"),
    *(
        "arrays",
        "sample",
        "dyson",
        "dyson.copies",
        "dyson.linear",
        "dense",
        "plotmarks",
        "plots",
        "plotmaps",
        "plotiterations",
        "plotscalings",
        "zlaw",
        "uses",
    ),
    *("dyson.quantiles", "dyson.coefficients", "dyson.panels", "dyson.elimination", "dyson.couplings", "dyson.system"),
    *("dyson.closure", "dyson.continuation", "dyson.series", "dyson.implicit", "theorem", "limit", "memory"),
    *(
        "solving",
        "verify",
        "comparison",
        "grids",
        "formulas",
        "hints",
        "plotstudies",
        "claims",
        "records",
        "checkpoints",
        "studies",
    ),
    *("dyson.resolvent", "dyson.precision", "spectra", "spectra.arguments"),
    *("spectra.axis", "spectra.atoms", "spectra.support", "spectra.density"),
    *(
        "spectra.transforms",
        "spectra.symbols",
        "spectra.equation",
        "spectra.outliers",
        "spectra.law",
        "spectra.spectral",
        "spectra.free",
        "spectra.images",
        "spectra.build",
    ),
    *("backprop", "networks.layers", "networks.network", "networks.norms", "networks.recurrent"),
    *("networks.attention", "networks.graphs", "networks.masks", "networks.architectures", "networks.evaluate"),
    *(
        "kernels",
        "kernels.plan",
        "kernels.entries",
        "kernels.lines",
        "kernels.fusion",
        "kernels.trace",
        "kernels.sectors",
        "kernels.panels",
        "kernels.pairs",
    ),
    *(
        "kernels.simplify",
        "kernels.places",
        "kernels.gaps",
        "kernels.run",
        "kernels.rounding",
        "kernels.careful",
        "kernels.duals",
        "kernels.tangent",
        "kernels.gia",
        "kernels.entrywise",
        "kernels.store",
        "kernels.kernel",
    ),
    *(
        "kernels.api",
        "kernels.inspection",
        "networks.signal",
        "networks.trained",
        "networks.tangents",
        "networks.finite",
    ),
    *("networks.checks", "networks", "plotbands", "prediction", "likelihood", "regression", "sklearn"),
    *("amp.problems", "amp.observed", "amp.fresh", "amp.evolution", "amp.simulation", "amp.correction"),
    *("amp.algorithms", "amp.tabulated", "amp.denoisers", "amp.channels", "amp.spectral", "amp.fixedpoints", "amp"),
    *(
        "training.stack",
        "training.finite",
        "training.optimisers",
        "training.trajectory",
        "training.model",
        "training.linearised",
        "training.losses",
        "training.dynamics",
        "training.trainer",
    ),
    *(
        "training.catalogue",
        "training.parametrisations",
        "training.scaling",
        "training.abcnets",
        "training.particles",
        "training.limits",
        "training.measure",
    ),
    "training.features",
    "training",
    *("equations", "equations.writing", "equations.walk", "equations.system", "equations.present"),
    *("equations.algebraic", "equations.api", "equations.iterations", "equations.kernels"),
    *("reproduce", "cli", "__main__"),
]
RANK = {name: k for k, name in enumerate(ORDER)}

# Upward imports inside functions. Each is an exception with a reason.
DEFERRED: dict[tuple[str, str], str] = {
    (
        "spectra.law",
        "spectra.free",
    ): "law1 + law2 is the law of a new expression, whose class stands above its operators",
    (
        "spectra.spectral",
        "spectra.free",
    ): "subordination functions belong to a sum or product, which is built from the laws of its parts",
}


def name_of(path: Path) -> str:
    """The module's place in the order; the derivations of `reproduce` are one place."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[0] == "reproduce":
        return "reproduce"
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path):
    """(imported module, line, inside a function or not); only of rmtp itself."""
    tree = ast.parse(path.read_text())
    inside = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.walk(node)
    }
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    package = ["rmtp", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        targets: list[str] = []
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            targets = [f"{stem}.{a.name}" if is_module(f"{stem}.{a.name}") else stem for a in node.names]
        elif isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        for target in targets:
            if target == "rmtp" or target.startswith("rmtp."):
                yield target.removeprefix("rmtp").removeprefix("."), node.lineno, node in inside


def is_module(dotted: str) -> bool:
    if not dotted.startswith("rmtp."):
        return False
    path = PACKAGE.joinpath(*dotted.split(".")[1:])
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p)], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    own = name_of(path)
    if own == "expect":  # the package itself imports nothing
        assert not list(imports(path))
        return
    assert own in RANK, f"{own} has no place in the order of this test"
    upward = []
    for target, line, inside in imports(path):
        if target in ("", "expect") or own == target.split(".")[0] == "reproduce":  # names of a package
            continue
        rank = RANK.get("reproduce" if target.startswith("reproduce.") else target, len(ORDER))
        if rank >= RANK[own] and not (inside and (own, target) in DEFERRED):
            upward.append(f"{path.name}:{line} imports {target}{' inside a function' if inside else ''}")
    assert not upward


def test_every_module_of_the_order_exists():
    assert {name_of(p) for p in MODULES} - {"", "expect"} == set(ORDER)


def test_nothing_below_the_top_imports_the_package_itself():
    """`import rmtp` inside a module would make the order meaningless."""
    for path in MODULES:
        if name_of(path) not in ("", "reproduce", "cli", "__main__"):
            assert "rmtp" not in {i.split(".")[0] for i in outside_imports(path)}, path.name


def test_the_expectation_engine_never_sees_the_theorem():
    for path in (PACKAGE / "expect").glob("*.py"):
        names = {target for target, _, _ in imports(path)}
        assert not names & {"limit", "zlaw", "handles", "language", "sample", "verify", "printing"}, path.name


def test_only_plots_imports_matplotlib():
    """And reproduce, which writes figures, through it."""
    users = {name_of(p) for p in MODULES if "matplotlib" in {i.split(".")[0] for i in outside_imports(p)}}
    assert users <= {"plots"}


def outside_imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module


def test_dependencies_are_the_declared_ones():
    allowed = {"numpy", "scipy", "mpmath", "matplotlib", "tqdm", "rmtp", *sys.stdlib_module_names}
    symbolic = {name: {"sympy"} for name in ORDER if name == "quantity" or name.startswith("equations")}
    # modules of ours that need an extra, and nothing else does
    optional = {"sklearn": {"sklearn"}, "formulas": {"sympy"}, **symbolic}
    for path in MODULES:
        here = allowed | optional.get(name_of(path), set())
        assert {name.split(".")[0] for name in outside_imports(path)} <= here, path.name


def run(code: str):
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def test_import_is_silent_and_without_side_effects():
    code = """
import sys, mpmath, numpy as np, scipy.special, scipy.stats, warnings, random
def state():
    seeds = np.random.get_state()[1][:5].tolist(), random.getstate()
    return mpmath.mp.dps, np.geterr(), list(warnings.filters), seeds, sys.getrecursionlimit()
before = state()
import rmtp
assert state() == before
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""


@pytest.mark.parametrize(
    "module",
    ["matplotlib", "scipy.stats", "scipy.optimize", "scipy.interpolate", "tqdm", "IPython", "sklearn", "sympy"],
)
def test_import_is_light(module):
    done = run(f"import sys, rmtp; sys.exit({module!r} in sys.modules)")
    assert done.returncode == 0, f"import rmtp loads {module} {done.stderr}"


def test_a_first_limit_needs_no_plots():
    code = "import sys, numpy as np, rmtp; x = rmtp.Normal(rmtp.Dim('n')); rmtp.limit(np.mean(x * x))"
    assert run(f"{code}; sys.exit('matplotlib' in sys.modules)").returncode == 0


def test_public_names_have_docstrings_with_an_example():
    for name in dir(rmtp):
        thing = getattr(rmtp, name)
        if name.startswith("_") or isinstance(thing, type(rmtp)):
            continue
        assert thing.__doc__, name
        if name not in {"Matrix", "Scalar", "Vector"}:
            assert ">>>" in thing.__doc__, f"{name} has no example"


def test_errors_name_everything_they_export():
    classes = {k for k, v in vars(rmtp.errors).items() if isinstance(v, type) and issubclass(v, Exception)}
    assert classes == set(rmtp.errors.__all__)


def test_no_file_is_much_past_five_hundred_lines():
    """A longer file is usually a boundary in the wrong place; a catalogue of functions is data, and may be longer."""
    catalogue = {"nonlinearity.py", "closed.py"}
    long = {p.name: len(p.read_text().splitlines()) for p in MODULES if len(p.read_text().splitlines()) > 600}
    assert set(long) <= catalogue, long


def test_no_module_level_mutable_state():
    """Constants are written in capitals, and nothing outside functions is assigned a bare list, dict or set otherwise."""
    found = []
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(
                node.value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp
            ):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [ast.unparse(t) for t in targets]
                found += [f"{path.name}: {name}" for name in names if name != name.upper() and name != "__all__"]
    assert not found
