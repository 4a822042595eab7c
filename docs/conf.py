"""Sphinx configuration."""

from importlib.metadata import version as installed_version

project = "rmtp"
author = "the rmtp authors"
copyright = "2026, the rmtp authors"
release = version = installed_version("rmtp")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx.ext.doctest"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Limits of wide random computations",
    "fixed_sidebar": True,
    "page_width": "1060px",
}
html_show_sphinx = False
exclude_patterns = ["_build"]

napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "__init__, __weakref__"}

# every page imports what its examples use; these two lines are understood
doctest_global_setup = "import numpy as np\nimport rmtp"
