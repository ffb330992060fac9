"""Renders the pages: templates of `assets/`, with the style and the script in the page and their digests in its policy.

Values are data: every one is escaped, a missing one is an error, and none may stand in a script, a style or an
address. The policy lets nothing run, and nothing be fetched, but the page's own script and style.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import jinja2

ASSETS = Path(__file__).parent / "assets"
STYLE = "page.css"
POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data:; base-uri 'none'; form-action 'none'"
)


def render(template: str, scripts: Sequence[str] = (), **values: object) -> str:
    """Return a page.

    Args:
        template: A template of `assets/`, which extends `layout.html.j2`.
        scripts: Scripts of `assets/`, in this order; they share one scope.
        values: What the template needs.
    """
    return "".join(render_pieces(template, scripts, **values))


def render_pieces(template: str, scripts: Sequence[str] = (), **values: object) -> Iterator[str]:
    """Yield a page piece by piece, as far as its values have come; see `render`."""
    script, style = "\n".join(map(_asset, scripts)), _asset(STYLE)
    policy = POLICY.format(script=_source(script) if script else "'none'", style=_source(style))
    yield from _environment().get_template(template).generate(**values, policy=policy, script=script, style=style)


def _source(text: str) -> str:
    """Return how a policy names a script or style that stands in the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
