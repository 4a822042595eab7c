"""The report of `rmtp reproduce`: one HTML file that needs nothing else, and the figures as PNG files."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from .. import plots
from ..comparison import ERRORS_ALLOWED, Z_BOUND, Row, false_alarm_rate
from .table import HEADER, Derivation, cells

_STYLE = """
body { font: 16px/1.5 Georgia, serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; font: 14px/1.4 Menlo, Consolas, monospace; margin: 1em 0; width: 100%; }
th, td { text-align: left; padding: 3px 10px; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #444; }
td.ok { color: #00734f; } td.FAIL { color: #fff; background: #b3202a; font-weight: bold; }
img { max-width: 100%; } .source { color: #666; font-style: italic; }
"""


def save_figures(results: Sequence[tuple[Derivation, Sequence[Row]]], out: Path) -> dict[str, bytes]:
    """Draw every figure, write it to ``out/NAME.png``, and return the PNG bytes by name.

    Examples
    --------
    >>> save_figures([], Path("."))
    {}
    """
    made: dict[str, bytes] = {}
    for derivation, rows in results:
        if derivation.figure is not None:
            png = base64.b64decode(plots.to_png_base64(derivation.figure(rows)))
            (out / f"{derivation.name}.png").write_bytes(png)
            made[derivation.name] = png
    return made


def html_report(
    results: Sequence[tuple[Derivation, Sequence[Row]]], figures: Mapping[str, bytes], version: str = ""
) -> str:
    """One self-contained HTML page: tables, figures as data, and how rows are judged.

    Parameters
    ----------
    results : sequence of (Derivation, rows)
    figures : mapping of str to bytes
        PNG by name of the derivation.
    version : str

    Returns
    -------
    str

    Examples
    --------
    >>> html_report([], {})[:15]
    '<!DOCTYPE html>'
    """
    everything = [row for _, rows in results for row in rows]
    failed = sum(not row.passed for row in everything)
    body = [
        "<h1>Known laws, derived again</h1>",
        f"<p>rmtp {escape(version)}: {len(everything)} rows, {len(everything) - failed} pass, {failed} fail.</p>",
        f"<p>{escape(judgement(everything))}</p>",
        "<ul>",
        *(f'<li><a href="#{d.name}">{escape(d.title)}</a></li>' for d, _ in results),
        "</ul>",
    ]
    for derivation, rows in results:
        body += [
            f'<h2 id="{derivation.name}">{escape(derivation.title)}</h2>',
            f'<p class="source">{escape(derivation.name)} · {escape(derivation.source)}</p>',
        ]
        if derivation.note:
            body.append(f"<p>{escape(derivation.note)}</p>")
        body += ["<table>", "<tr>" + "".join(f"<th>{escape(h)}</th>" for h in HEADER) + "</tr>"]
        for row in rows:
            *values, verdict = cells(row)
            body.append(
                "<tr>" + "".join(f"<td>{escape(v)}</td>" for v in values) + f'<td class="{verdict}">{verdict}</td></tr>'
            )
        body.append("</table>")
        if derivation.name in figures:
            data = base64.b64encode(figures[derivation.name]).decode("ascii")
            body.append(f'<img alt="{escape(derivation.title)}" src="data:image/png;base64,{data}">')
    head = f'<meta charset="utf-8"><title>rmtp reproduce</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def judgement(rows: Sequence[Row]) -> str:
    """How a row passes, and how often a correct table fails."""
    return (
        "A row passes if engine and theory are equal (both rational), or differ by at most "
        f"{ERRORS_ALLOWED} stated errors, and if the samples, extrapolated from two widths as limit + c/n, are within "
        f"|z| < {Z_BOUND} of the engine. With Gaussian tails a correct table of this size shows a failing sample "
        f"with probability {false_alarm_rate(rows):.1g}; seeds are fixed."
    )
