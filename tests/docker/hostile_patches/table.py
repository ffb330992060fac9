"""All patches, and the lines of predictions that are none."""

from __future__ import annotations

from hostile_patches import Patch
from hostile_patches.forged import FORGED
from hostile_patches.greedy import ESCAPING, GREEDY
from hostile_patches.honest import BROKEN, HONEST

PATCHES: tuple[Patch, ...] = (*GREEDY, *FORGED, *ESCAPING, *BROKEN, *HONEST)
"""The long ones first, so that the others run beside them."""

ROWS: tuple[tuple[str, bytes, str], ...] = (
    ("a byte that is no UTF-8", b'"model_patch": "\xff"', "line 1"),
    ("half a surrogate", b'"model_patch": "\\udcff"', ""),
    ("no patch", b'"x": 1', "line 1: there is no model_patch"),
    ("null for a patch", b'"model_patch": null', ""),
    ("a number for a patch", b'"model_patch": 1', "model_patch must be a text"),
)
"""Lines of a predictions file that hold no patch: what they are, their end, and what our reader says against them
(nothing: no patch that can be run). The first and the third end the official harness's whole run without a report, so
they cannot be in its batch; the others are an error of their instance there, or an empty patch."""
