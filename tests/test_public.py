"""What is public is on one page, documented, and nothing else is."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "api.rst").read_text()
PACKAGES = ("rmtp", "rmtp.amp", "rmtp.networks", "rmtp.training")  # no code of their own: they gather names
MODULES = (*PACKAGES, "rmtp.regression", "rmtp.sklearn", "rmtp.plots", "rmtp.errors", "rmtp.reproduce")


def public():
    for name in MODULES:
        module = importlib.import_module(name)
        for item in module.__all__:
            yield name, item, getattr(module, item)


def on_the_page():
    """Names in directives, roles and literals of api.rst, by the module they are said of."""
    module, found = "rmtp", set()
    for line in PAGE.splitlines():
        if match := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = match[1]
        elif match := re.match(r"\.\. automodule:: (\S+)", line):
            module = match[1]
            found |= {(module, item) for item in importlib.import_module(module).__all__}
        elif match := re.match(r"(?:\.\. (?:auto(?:function|class)|py:data)::| {13}) *(\S+)$", line):
            path, _, item = match[1].rpartition(".")
            found.add((path or module, item))
        else:
            found |= {(module, item) for item in re.findall(r":(?:func|class|data):`(\w+)`", line)}
            found |= {(module, item) for item in re.findall(r"``(\w+)``", line)}
            for path in re.findall(r"``(rmtp[\w.]*)``", line):
                head, _, item = path.rpartition(".")
                found.add((head, item))
    return found


def test_every_public_name_is_on_the_page():
    named = on_the_page()
    same = {id(value) for module, item, value in public() if (module, item) in named}  # one function under two names
    missing = {(module, item) for module, item, value in public() if id(value) not in same}
    assert not missing, sorted(missing)


def test_what_the_page_documents_exists():
    for module, item in on_the_page():
        if f"`{item}`" in PAGE or f":: {item}\n" in PAGE:  # a role or a directive, not a literal
            assert f"``{item}``" in PAGE or hasattr(importlib.import_module(module), item), (module, item)


@pytest.mark.parametrize("name", MODULES)
def test_the_list_of_a_module_is_sorted_and_holds(name):
    module = importlib.import_module(name)
    assert list(module.__all__) == sorted(set(module.__all__), key=lambda s: (not s.isupper(), not s[0].isupper(), s))
    assert all(hasattr(module, item) for item in module.__all__)


@pytest.mark.parametrize("name", PACKAGES)
def test_nothing_leaks_from_a_package(name):
    """What is not in the list is private or one of its own modules, which Python puts there."""
    module = importlib.import_module(name)
    for item, value in vars(module).items():
        if not item.startswith("_") and item not in module.__all__:
            assert inspect.ismodule(value) and value.__name__ == f"{name}.{item}", item


def test_everything_public_is_documented():
    """Functions with an example that the doctests run; classes are made by functions or are results, and may have none."""
    bare = []
    for module, item, value in public():
        if inspect.ismodule(value) or isinstance(value, str | tuple):
            continue
        text = inspect.getdoc(value) or ""
        if not text or (inspect.isfunction(value) and ">>>" not in text):
            bare.append((module, item))
    assert not bare


def test_every_example_is_in_the_gallery():
    listed = re.findall(r"^\.\. example:: (\w+)$", (DOCS / "gallery.rst").read_text(), re.M)
    scripts = [path.stem for path in (DOCS.parent / "examples").glob("*.py")]
    assert sorted(listed) == sorted(scripts)
    for script in scripts:
        source = (DOCS.parent / "examples" / f"{script}.py").read_text()
        assert source.startswith('"""') and "with plots.style():" in source and "savefig(sys.argv[1]" in source, script
