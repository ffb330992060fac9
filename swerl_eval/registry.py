"""Turns a name into a class: an entry of a seam's table, a plug-in, or `package.module:Class`.

A plug-in is an entry point of an installed distribution, in the group of its seam:

    [project.entry-points."swerl_eval.samplers"]
    my-sampler = "my_package.my_module:MySampler"
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from swerl_eval.core.errors import UsageError

GROUPS = {
    "sampler": "swerl_eval.samplers",
    "sandbox": "swerl_eval.sandboxes",
    "exporter": "swerl_eval.exporters",
    "tracker": "swerl_eval.trackers",
}
"""The group of entry points of each seam."""


def load(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """Return the class behind a name; only its module is imported.

    Args:
        kind: The seam: `sampler`, `sandbox`, `exporter` or `tracker`.
        name: A key of the table, else the name of a plug-in, else `package.module:Class`.
        table: The seam's built-in classes, `module:Class` by name.

    Raises:
        UsageError: There is no such class, or the plug-in cannot be loaded.
    """
    if name in table:
        return _imported(kind, name, table[name])
    plugins = _plugins(kind)
    if name in plugins:
        return _plugin(kind, plugins[name])
    module, _, attribute = name.partition(":")
    if not attribute or not module or module.startswith("."):
        known = sorted({*table, *plugins})
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        message = f"no {kind} {name!r}{hint} There are {', '.join(known)}, or package.module:Class"
        raise UsageError(message)
    return _imported(kind, name, name)


def _imported(kind: str, name: str, target: str) -> Any:
    module_name, _, attribute = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        message = f"{kind} {name!r}: no module {error.name!r}"
        raise UsageError(message) from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        message = f"{kind} {name!r}: {module_name} has no {attribute}"
        raise UsageError(message) from error


def _plugins(kind: str) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a seam by name; several distributions may have the same name."""
    plugins: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUPS[kind]) if kind in GROUPS else ():
        plugins.setdefault(point.name, []).append(point)
    return plugins


def _plugin(kind: str, points: list[EntryPoint]) -> Any:
    point = points[0]
    if len(points) > 1:
        message = (
            f"{kind} {point.name!r}: {' and '.join(map(_distribution, points))} both have one of this name; "
            "uninstall one, or use package.module:Class"
        )
        raise UsageError(message)
    try:
        return point.load()
    except Exception as error:
        message = (
            f"{kind} {point.name!r} ({point.value}) of the installed {_distribution(point)} cannot be loaded: "
            f"{type(error).__name__}: {error}; repair or uninstall it"
        )
        raise UsageError(message) from error


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "distribution"
