"""Render a small, line-based markup language to HTML."""

from inkwell.page import render_page
from inkwell.render import render

__all__ = ["render", "render_page"]

__version__ = "0.4.0"
