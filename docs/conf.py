"""Sphinx configuration."""

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

project = "rmtp"
author = "the rmtp authors"
copyright = "2026, the rmtp authors"
release = version = installed_version("rmtp")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "matplotlib.sphinxext.plot_directive",
    "_gallery",
]
html_theme = "alabaster"
html_theme_options = {
    "description": "Limits of wide random computations",
    "fixed_sidebar": True,
    "page_width": "1100px",
}
html_static_path = ["_static"]
html_show_sphinx = False
exclude_patterns = ["_build"]

napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
plot_include_source = True
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("png", 100)]
plot_pre_code = ""
suppress_warnings = ["ref.python"]  # the T of a shape (n, T) is a number of positions, not one of three attributes


def bars_are_absolute_values(*event: Any) -> None:
    """In a docstring |x| is a number, not a substitution."""
    lines: list[str] = event[-1]
    for k, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(``.*?``)", line)
            lines[k] = "".join(p if p.startswith("``") else re.sub(r"(?<!\\)\|", r"\\|", p) for p in parts)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", bars_are_absolute_values)
