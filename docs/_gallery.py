"""The directive ``example``: a script of examples/ with its first sentence and its figure, made when the docs are built."""

import ast
import contextlib
import io
import os
import runpy
import sys
from pathlib import Path
from typing import Any, ClassVar

EXAMPLES = Path(__file__).parent.parent / "examples"
LIBRARY = Path(__file__).parent.parent / "rmtp"


def first_sentence(script: Path) -> str:
    return (ast.get_docstring(ast.parse(script.read_text())) or "").split("\n\n")[0].replace("\n", " ")


def draw(script: Path, png: Path) -> None:
    """Run the script as from a shell, with the figure's name as its argument; not again while nothing has changed."""
    newest = max(path.stat().st_mtime for path in [script, *LIBRARY.rglob("*.py")])
    if png.exists() and png.stat().st_mtime > newest:
        return
    png.parent.mkdir(parents=True, exist_ok=True)
    argv = sys.argv
    sys.argv = [str(script), str(png)]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = argv


def setup(app: Any) -> dict[str, bool]:
    from docutils.statemachine import StringList  # here, since the tests import this file and do without Sphinx
    from sphinx.util.docutils import SphinxDirective

    class Example(SphinxDirective):
        """``.. example:: NAME``, with the option ``text`` for the sentence alone."""

        required_arguments = 1
        option_spec: ClassVar = {"text": lambda argument: True}

        def run(self) -> list[Any]:
            script = EXAMPLES / f"{self.arguments[0]}.py"
            self.env.note_dependency(str(script))
            sentence = first_sentence(script).replace("|", r"\|").replace("*", r"\*")
            lines = [f":download:`{script.name} <../examples/{script.name}>` {sentence}", ""]
            if "text" not in self.options:
                png = Path(self.env.app.outdir) / "plot_directive" / "gallery" / f"{script.stem}.png"
                draw(script, png)
                at = os.path.relpath(png, self.env.srcdir)
                lines += [f".. image:: {at}", f"   :alt: {script.stem}", "   :width: 92%", ""]
            nodes: list[Any] = self.parse_text_to_nodes(StringList(lines, source=str(script)))
            return nodes

    app.add_directive("example", Example)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
