"""Renders the prompt templates: the bundled ones, those in a folder of the user, or those of the package `swerl`."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any, ClassVar, Protocol

import jinja2

from swerl_eval.core.diffs import sha256
from swerl_eval.core.errors import UsageError

LOCALIZE = "localize"
REPAIR = "repair"
THINKING_SYSTEM = "thinking_system"
GUIDE = "guide"
REPRODUCE = "reproduce"
REGRESS = "regress"
PUBLISHED = (LOCALIZE, REPAIR, THINKING_SYSTEM)
"""Templates that the method's authors published; a folder of the user needs these."""
OWN = (GUIDE, REPRODUCE, REGRESS)
"""Templates of the stages that were never published; where a folder lacks one, the bundled one is used."""
NAMES = (*PUBLISHED, *OWN)
SWERL = "swerl"


class Prompts(Protocol):
    """A set of templates, one for each name in `NAMES`."""

    def render(self, name: str, **values: object) -> str:
        """Return the template filled in. Raises `UsageError` when a value is missing that it needs."""
        ...

    def fingerprints(self) -> dict[str, str]:
        """Return the SHA-256 of each template's text, for the manifest."""
        ...


def bundled_folder() -> Path:
    """Return the folder of the bundled templates: in the wheel, else in the checkout."""
    in_wheel = Path(__file__).parent / "_prompts"
    return in_wheel if in_wheel.is_dir() else Path(__file__).parent.parent / "prompts"


def load_prompts(location: str) -> Prompts:
    """Load templates.

    Args:
        location: Empty for the bundled ones, `swerl`, or a folder with one `<name>.jinja` for each name.

    Raises:
        UsageError: A template is missing or malformed, or the package `swerl` is not installed.
    """
    if location == SWERL:
        return _SwerlPrompts()
    return _FolderPrompts(Path(location) if location else bundled_folder())


class _FolderPrompts:
    def __init__(self, folder: Path) -> None:
        missing = [f"{name}.jinja" for name in PUBLISHED if not (folder / f"{name}.jinja").is_file()]
        if missing:
            message = f"{folder} has no {', '.join(missing)}; a prompts folder needs one template for each use"
            raise UsageError(message)
        self._folder = folder
        self._texts = {name: _template(folder, name).read_text(encoding="utf-8") for name in NAMES}
        # Values are data: an issue's text is never read as a template. Nothing is escaped, since the result is a
        # prompt and no page.
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
        self._templates: dict[str, jinja2.Template] = {}
        for name, text in self._texts.items():
            try:
                self._templates[name] = environment.from_string(text)
            except jinja2.TemplateSyntaxError as error:
                message = f"{folder / name}.jinja, line {error.lineno}: {error.message}"
                raise UsageError(message) from error

    def render(self, name: str, **values: object) -> str:
        try:
            return self._templates[name].render(values).strip()
        except jinja2.UndefinedError as error:
            message = f"{self._folder / name}.jinja: {error.message}; it may use {', '.join(sorted(values))}"
            raise UsageError(message) from error

    def fingerprints(self) -> dict[str, str]:
        return {name: sha256(text) for name, text in self._texts.items()}


class _SwerlPrompts:
    """The published templates, read as data from an installed `swerl`, since importing its code has requirements."""

    _CONSTANTS: ClassVar = {
        LOCALIZE: ("agentless_mini/utils/prompts.py", "LOCALIZATION"),
        REPAIR: ("core/prompts.py", "AGENTLESS_REPAIR"),
        THINKING_SYSTEM: ("core/prompts.py", "THINKING_SYSTEM"),
    }
    _VALUES: ClassVar = {"tree": "structure", "limit": "n", "files": "content"}

    def __init__(self) -> None:
        spec = importlib.util.find_spec(SWERL)
        if spec is None or not spec.submodule_search_locations:
            message = "--prompts swerl needs the package `swerl` (facebookresearch/swe-rl) installed beside this one"
            raise UsageError(message)
        self._own = _FolderPrompts(bundled_folder())
        root = Path(spec.submodule_search_locations[0])
        self._texts = {name: _text_constant(root / file, key) for name, (file, key) in self._CONSTANTS.items()}

    def render(self, name: str, **values: object) -> str:
        if name in OWN:
            return self._own.render(name, **values)
        if name == THINKING_SYSTEM:
            return self._texts[name]
        renamed = {self._VALUES.get(key, key): value for key, value in values.items()}
        try:
            return self._texts[name].format(**renamed).strip()
        except (KeyError, IndexError, ValueError) as error:
            message = f"the installed `swerl`'s text {self._CONSTANTS[name][1]} needs {error}; use --prompts FOLDER"
            raise UsageError(message) from error

    def fingerprints(self) -> dict[str, str]:
        return self._own.fingerprints() | {name: sha256(text) for name, text in self._texts.items()}


def _template(folder: Path, name: str) -> Path:
    own = folder / f"{name}.jinja"
    return own if own.is_file() or name in PUBLISHED else bundled_folder() / f"{name}.jinja"


def _text_constant(file: Path, name: str) -> str:
    """Return the text of a module-level `NAME = "..."` or `NAME = "...".strip()`."""
    tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            value: Any = node.value
            stripped = (
                isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "strip"
            )
            text = ast.literal_eval(value.func.value if stripped else value)
            return str(text).strip() if stripped else str(text)
    message = f"the installed `swerl` has no text {name} in {file.name}; use --prompts FOLDER"
    raise UsageError(message)
