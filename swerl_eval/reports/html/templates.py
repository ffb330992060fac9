"""Renders the pages: templates of `assets/`, with the style and the script in the page and their digests in its policy.

Values are data: every one is escaped, a missing one is an error, and none may stand in a script, a style or an
address. The policy lets nothing run, and nothing be fetched, but the page's own script and style.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from swerl_eval.core.codings import sendable

ASSETS = Path(__file__).parent / "assets"
POLICY = "default-src 'none'; script-src {script}; style-src {style}; img-src data:; base-uri 'none'; {more}"


@dataclass(frozen=True)
class PageKind:
    """What pages of one kind are made of, and what they may do beside running their script."""

    folders: tuple[Path, ...] = (ASSETS,)
    """Where templates, scripts and styles are looked for, in this order."""
    styles: tuple[str, ...] = ("page.css",)
    policy: str = "form-action 'none'"
    """The end of their policy."""


SELF_CONTAINED = PageKind()
"""Pages that are files: they ask nobody for anything."""


def render(template: str, scripts: Sequence[str] = (), kind: PageKind = SELF_CONTAINED, **values: object) -> str:
    """Return a page.

    Args:
        template: A template, which extends `layout.html.j2`.
        scripts: Scripts, in this order; they share one scope.
        kind: Where both are, and what the page may do.
        values: What the template needs.
    """
    return "".join(render_pieces(template, scripts, kind, **values))


def render_pieces(
    template: str, scripts: Sequence[str] = (), kind: PageKind = SELF_CONTAINED, **values: object
) -> Iterator[str]:
    """Yield a page piece by piece, as far as its values have come; see `render`."""
    own = {"policy": policy_of(scripts, kind), "script": _joined(scripts, kind), "style": _joined(kind.styles, kind)}
    # lone surrogates in names have no bytes in UTF-8
    yield from map(sendable, _environment(kind.folders).get_template(template).generate(**values, **own))


def policy_of(scripts: Sequence[str] = (), kind: PageKind = SELF_CONTAINED) -> str:
    """Return the policy of a page with these scripts, as it stands in the page itself."""
    script = _source(_joined(scripts, kind)) if scripts else "'none'"
    return POLICY.format(script=script, style=_source(_joined(kind.styles, kind)), more=kind.policy)


def _source(text: str) -> str:
    """Return how a policy names a script or style that stands in the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _joined(names: Sequence[str], kind: PageKind) -> str:
    return "\n".join(_asset(kind.folders, name) for name in names)


@cache
def _asset(folders: Sequence[Path], name: str) -> str:
    return next(folder / name for folder in folders if (folder / name).exists()).read_text(encoding="utf-8")


@cache
def _environment(folders: Sequence[Path]) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
