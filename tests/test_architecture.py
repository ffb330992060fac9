"""The rules about who imports whom, read from the source. Every violation is named by file and line."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "swerl_eval"
EXTERNAL = "another package"

ROOMS: dict[str, tuple[str, ...]] = {
    # the package itself: importing it does nothing
    "swerl_eval": (),
    # pure: no files, clock, network
    "swerl_eval.core": ("swerl_eval.core",),
    "swerl_eval.ports": ("swerl_eval.core",),
    # single modules that every room may need
    "swerl_eval.config": ("swerl_eval.config", "swerl_eval.core"),
    "swerl_eval.registry": ("swerl_eval.core.errors",),
    "swerl_eval.progress": (),
    "swerl_eval.shutdown": ("swerl_eval.core.errors",),
    "swerl_eval.prompts": ("swerl_eval.core",),
    # what knows package swebench; what knows the run folder; what decides on who is next
    "swerl_eval.official": ("swerl_eval.core", "swerl_eval.official"),
    "swerl_eval.records": ("swerl_eval.core", "swerl_eval.records"),
    "swerl_eval.scheduling": ("swerl_eval.core", "swerl_eval.records", "swerl_eval.scheduling"),
    # what stands behind the seams
    "swerl_eval.samplers": (
        "swerl_eval.core",
        "swerl_eval.ports",
        "swerl_eval.records.json_files",
        "swerl_eval.samplers",
    ),
    # an engine in this process is sized by its checkpoint and the machine
    "swerl_eval.samplers.vllm": (
        "swerl_eval.core",
        "swerl_eval.ports",
        "swerl_eval.preflight.checkpoint",
        "swerl_eval.preflight.footprint",
        "swerl_eval.preflight.hardware",
        "swerl_eval.samplers",
    ),
    "swerl_eval.sources": (
        "swerl_eval.core",
        "swerl_eval.official",
        "swerl_eval.ports",
        "swerl_eval.records.atomic",
        "swerl_eval.records.json_files",
        "swerl_eval.sources",
    ),
    "swerl_eval.trackers": ("swerl_eval.core", "swerl_eval.ports", "swerl_eval.progress", "swerl_eval.trackers"),
    "swerl_eval.sandboxes": ("swerl_eval.core", "swerl_eval.ports", "swerl_eval.sandboxes"),
    # the nodes of a cluster need this version of the package
    "swerl_eval.sandboxes.ray": ("swerl_eval", "swerl_eval.core", "swerl_eval.ports", "swerl_eval.sandboxes"),
    "swerl_eval.reports": (
        "swerl_eval.core",
        "swerl_eval.official",
        "swerl_eval.ports",
        "swerl_eval.records",
        "swerl_eval.reports",
    ),
    # the method: no stage sees an answer
    "swerl_eval.stages": (
        "swerl_eval.core",
        "swerl_eval.official.grading",
        "swerl_eval.ports",
        "swerl_eval.progress",
        "swerl_eval.prompts",
        "swerl_eval.records",
        "swerl_eval.scheduling",
        "swerl_eval.stages",
    ),
    # what may see the answers
    "swerl_eval.evaluation": (
        "swerl_eval.core",
        "swerl_eval.evaluation",
        "swerl_eval.official",
        "swerl_eval.ports",
        "swerl_eval.progress",
        "swerl_eval.records",
        "swerl_eval.scheduling",
    ),
    "swerl_eval.settings": (
        "swerl_eval.core",
        "swerl_eval.evaluation",
        "swerl_eval.ports",
        "swerl_eval.prompts",
        "swerl_eval.stages",
    ),
    "swerl_eval.run_context": (
        "swerl_eval.core",
        "swerl_eval.evaluation",
        "swerl_eval.ports",
        "swerl_eval.progress",
        "swerl_eval.records",
        "swerl_eval.scheduling",
        "swerl_eval.settings",
        "swerl_eval.stages",
    ),
    "swerl_eval.instance_run": (
        "swerl_eval.core",
        "swerl_eval.records",
        "swerl_eval.run_context",
        "swerl_eval.settings",
        "swerl_eval.stages",
    ),
    "swerl_eval.pipeline": (
        "swerl_eval.core",
        "swerl_eval.instance_run",
        "swerl_eval.progress",
        "swerl_eval.run_context",
        "swerl_eval.records",
        "swerl_eval.scheduling",
        "swerl_eval.settings",
    ),
    # before a run: asks as the stages do, and sends nothing
    "swerl_eval.preflight": (
        "swerl_eval.core",
        "swerl_eval.ports",
        "swerl_eval.preflight",
        "swerl_eval.progress",
        "swerl_eval.prompts",
        "swerl_eval.records",
        "swerl_eval.scheduling",
        "swerl_eval.stages",
    ),
    # programs that other Pythons run inside containers; nobody imports them
    "swerl_eval.container_tools": (),
    # trainers call the reward by similarity; nothing of a run is within its reach
    "swerl_eval.integrations": ("swerl_eval.core", "swerl_eval.integrations"),
    # the reward by execution is a small composition root: it opens a dataset and a sandbox, and leaves the answers to
    # the evaluation
    "swerl_eval.integrations.execution": (
        "swerl_eval.compose",
        "swerl_eval.config",
        "swerl_eval.core",
        "swerl_eval.evaluation",
        "swerl_eval.integrations",
        "swerl_eval.ports",
        "swerl_eval.progress",
        "swerl_eval.scheduling",
        "swerl_eval.stages.read_candidates",
    ),
    # rows for a trainer: a small composition root too; the stage makes the prompts, the evaluation reads the answers
    "swerl_eval.integrations.rows": (
        "swerl_eval.api.own_loop",
        "swerl_eval.compose",
        "swerl_eval.config",
        "swerl_eval.core",
        "swerl_eval.evaluation.rewards",
        "swerl_eval.prompts",
        "swerl_eval.samplers",
        "swerl_eval.stages.repair",
        "swerl_eval.stages.sampling",
    ),
    # the composition root sees what stands behind the seams
    "swerl_eval.compose": (
        "swerl_eval",
        "swerl_eval.config",
        "swerl_eval.core",
        "swerl_eval.evaluation",
        "swerl_eval.ports",
        "swerl_eval.progress",
        "swerl_eval.records",
        "swerl_eval.registry",
        "swerl_eval.reports",
        "swerl_eval.samplers",
        "swerl_eval.sandboxes",
        "swerl_eval.scheduling",
        "swerl_eval.settings",
        "swerl_eval.sources",
        "swerl_eval.stages",
    ),
    # what others see of a run while it goes on
    "swerl_eval.tracking": (
        "swerl_eval.config",
        "swerl_eval.core",
        "swerl_eval.ports",
        "swerl_eval.progress",
        "swerl_eval.records",
        "swerl_eval.registry",
        "swerl_eval.trackers",
    ),
    # carries out a run with the parts that it has from there
    "swerl_eval.runner": (
        "swerl_eval.compose",
        "swerl_eval.config",
        "swerl_eval.core",
        "swerl_eval.evaluation",
        "swerl_eval.pipeline",
        "swerl_eval.ports",
        "swerl_eval.progress",
        "swerl_eval.prompts",
        "swerl_eval.records",
        "swerl_eval.reports",
        "swerl_eval.scheduling",
        "swerl_eval.settings",
        "swerl_eval.shutdown",
        "swerl_eval.sources.user_files",
        "swerl_eval.tracking",
    ),
    # for callers in Python: carries out runs as the command line does, without a display
    "swerl_eval.api": (
        "swerl_eval.api",
        "swerl_eval.compose",
        "swerl_eval.config",
        "swerl_eval.core",
        "swerl_eval.progress",
        "swerl_eval.records",
        "swerl_eval.reports",
        "swerl_eval.runner",
        "swerl_eval.settings",
        "swerl_eval.sources.user_files",
    ),
    "swerl_eval.demo": (
        "swerl_eval.compose",
        "swerl_eval.config",
        "swerl_eval.core.errors",
        "swerl_eval.demo",
        "swerl_eval.records.atomic",
        "swerl_eval.sandboxes",
    ),
    # the top: may see everything, and nobody else may see it
    "swerl_eval.cli": ("swerl_eval.",),
}
"""What the modules below a name may import of this package: modules, or folders with all below them."""

LIBRARIES: dict[str, dict[str, bool]] = {
    "docker": dict.fromkeys(
        (
            "swerl_eval.sandboxes.docker.disk_budget",  # its client's address and version of the API, for sizes
            "swerl_eval.sandboxes.docker.sandbox",
            "swerl_eval.sandboxes.docker.container_run",
            "swerl_eval.sandboxes.docker.engine",
            "swerl_eval.sandboxes.docker.images",
            "swerl_eval.sandboxes.docker.image_check",
            "swerl_eval.sandboxes.docker.removal",
            "swerl_eval.sandboxes.docker.pulls",  # its logins and names, for a pull that can be stopped
        ),
        True,
    ),
    "openai": {"swerl_eval.samplers.openai.sampler": True, "swerl_eval.samplers.openai.exchange": True},
    "httpx": {"swerl_eval.samplers.openai.exchange": True},
    "httpx2": {"swerl_eval.samplers.openai.exchange": True},
    "vllm": dict.fromkeys(
        (
            "swerl_eval.samplers.vllm.engine_process",
            "swerl_eval.samplers.vllm.sampler",
            "swerl_eval.samplers.vllm.cpu_platform",
            "swerl_eval.samplers.vllm.engine_settings",
        ),
        False,
    ),
    "transformers": {"swerl_eval.samplers.vllm.sampler": False},
    "wandb": {"swerl_eval.trackers.wandb": False},
    "mlflow": {"swerl_eval.trackers.mlflow": False},
    "tensorboard": {"swerl_eval.trackers.tensorboard": False},
    "trackio": {"swerl_eval.trackers.trackio": False},
    "ray": {"swerl_eval.sandboxes.ray.cluster": False, "swerl_eval.sandboxes.ray.fleet": False},
    "psutil": {},
    "torch": {},
    "swebench": {
        "swerl_eval.official.harness": False,
        "swerl_eval.official.grading": False,
        "swerl_eval.sources.datasets": False,
    },
    "datasets": {"swerl_eval.sources.datasets": False},
    "huggingface_hub": {"swerl_eval.sources.datasets": False},
    "inspect_ai": dict.fromkeys(
        (
            "swerl_eval.reports.exports.inspect_log",
            "swerl_eval.reports.exports.inspect_samples",
            "swerl_eval.reports.exports.inspect_spec",
        ),
        False,
    ),
    "IPython": {"swerl_eval.api.notebook": False},
    "starlette": {"swerl_eval.cli.view.server": True},
    "uvicorn": {"swerl_eval.cli.view.command": False},
    "pandas": {},
    "trl": {},
    "verl": {},
    "vl_convert": {"swerl_eval.reports.html.drawing": False},
    "pyarrow": dict.fromkeys(
        (
            "swerl_eval.api.tables",
            "swerl_eval.reports.exports.parquet_table",
            "swerl_eval.sources.row_files",
        ),
        False,
    ),
    "pygit2": {
        "swerl_eval.core.diffs": True,
        "swerl_eval.sources.snapshots": True,
        "swerl_eval.demo.repositories": True,
    },
    "numpy": {"swerl_eval.core.reward.suffixes": True, "swerl_eval.core.metrics": False},
}
"""Heavy or foreign libraries: who may import them, and whether at the top of the module."""

CORE_LIBRARIES: dict[str, str] = {
    "pygit2": "diffs as git prints them",
    "unidiff": "reads diffs, as the published reward does",
    "numpy": "suffix arrays of large texts, resampling; imported only when they are needed",
}
NOT_PURE = {
    "asyncio", "datetime", "glob", "http", "io", "logging", "os", "pathlib", "secrets", "shutil", "socket", "sqlite3",
    "subprocess", "tempfile", "time", "urllib", "uuid",
}  # fmt: skip
"""Parts of the standard library with files, clock, environment, network or chance in them."""

COME_WITH: dict[str, str] = {
    "requests": "docker",
    "urllib3": "docker",
    "httpx": "openai",
    "httpx2": "openai",
    "transformers": "vllm",
    "IPython": "ipykernel",
    "datasets": "swebench",
    "huggingface_hub": "swebench",
    # Python 3.10 does not know whose it is
    "vl_convert": "vl-convert-python",
}
"""Packages that are imported and not declared by this name, and the declared one that brings them."""


@dataclass(frozen=True)
class Import:
    """One imported module."""

    importer: str
    target: str
    where: str
    lazy: bool
    """Within a function."""
    typing_only: bool


@cache
def modules() -> dict[str, Path]:
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts[:3] != ("swerl_eval", "demo", "packages"):
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def place(module: str, node: ast.AST) -> str:
    return f"{modules()[module].relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for module in modules() for found in _imports_below(module, tree_of(module), False, False))


def _imports_below(module: str, node: ast.AST, lazy: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for target in _targets(module, child):
            yield Import(module, target, place(module, child), lazy, typing_only)
        inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        guarded = typing_only or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        yield from _imports_below(module, child, inside, guarded)


def _targets(module: str, node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
            kept = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*kept, *([base] if base else [])])
        return sorted({f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules() else base for alias in node.names})
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        # by name: importlib's own functions, and wrappers of them that are named alike
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in {"import_module", "__import__", "imported"} and isinstance(node.args[0].value, str):
            return [node.args[0].value]
    return []


def room_of(module: str) -> str:
    rooms = [room for room in ROOMS if within(module, room) and (room != "swerl_eval" or module == room)]
    return max(rooms, key=len, default="")


def within(module: str, allowed: str) -> bool:
    """`a.b` is within `a.b` and `a`, but the package itself holds only itself; `a.` is all below a."""
    if allowed.endswith("."):
        return module.startswith(allowed)
    return module == allowed or (allowed != "swerl_eval" and module.startswith(allowed + "."))


def ours(target: str) -> bool:
    return target == "swerl_eval" or target.startswith("swerl_eval.")


def top(target: str) -> str:
    return target.partition(".")[0]


def foreign() -> list[Import]:
    """Imports of what is neither this package nor the standard library."""
    return [found for found in imports() if not ours(found.target) and top(found.target) not in sys.stdlib_module_names]


def listed(violations: list[str]) -> str:
    return "\n" + "\n".join(violations)


def test_the_reader_of_imports_sees_all_kinds_of_them() -> None:
    seen = {(found.importer, found.target, found.lazy) for found in imports()}
    assert ("swerl_eval.compose", "swerl_eval.sandboxes", False) in seen
    assert ("swerl_eval.reports.swebench_report", "swerl_eval.official.grading", False) in seen
    assert ("swerl_eval.official.harness", "swebench.harness.grading", True) in seen
    assert ("swerl_eval.cli.app", "swerl_eval.cli.runs", True) in seen
    assert ("swerl_eval", "swerl_eval.core", True) in seen
    assert ("swerl_eval", "swerl_eval.api.running") in {(i.importer, i.target) for i in imports() if i.typing_only}
    assert len(modules()) > 40


def test_every_module_has_a_room() -> None:
    assert not [module for module in modules() if not room_of(module)]


def test_no_arrow_between_modules_is_forbidden() -> None:
    violations = [
        f"{found.where}: {found.importer} must not import {found.target}"
        for found in imports()
        if ours(found.target)
        and not any(within(found.target, allowed) for allowed in ROOMS[room_of(found.importer)])
        # the package's own lazy attributes
        and not (found.importer == "swerl_eval" and (found.lazy or found.typing_only))
    ]
    assert not violations, listed(violations)


def test_only_the_evaluation_the_gold_sampler_and_the_composition_root_may_name_an_answer() -> None:
    allowed = {
        "swerl_eval.core.types",  # defines it
        "swerl_eval.ports",  # says which part gives it
        "swerl_eval.sources.datasets",  # makes it of a row
        "swerl_eval.samplers.gold",
        "swerl_eval.compose",
    }
    violations = [
        place(module, node)
        for module in modules()
        if module not in allowed and not within(module, "swerl_eval.evaluation")
        for node in ast.walk(tree_of(module))
        if (isinstance(node, ast.Name) and node.id == "Oracle")
        or (isinstance(node, ast.alias) and node.name == "Oracle")
        or (isinstance(node, ast.Attribute) and node.attr == "oracle")
    ]
    assert not violations, listed(violations)


def test_only_the_evaluation_stores_gold_patches_and_only_reports_read_them() -> None:
    reader = re.compile(r"swerl_eval\.(evaluation|reports|cli|records\.run_folder)\b")
    violations = [
        place(module, node)
        for module in modules()
        if not reader.match(module)
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Attribute) and node.attr == "gold_patches"
    ]
    assert not violations, listed(violations)


def test_stages_know_no_concrete_sampler_source_or_sandbox() -> None:
    concrete = re.compile(r"swerl_eval\.(samplers|sources|sandboxes)\b")
    violations = [
        f"{place(module, node)}: {node.value}"
        for module in modules()
        if within(module, "swerl_eval.stages") or module in {"swerl_eval.pipeline", "swerl_eval.ports"}
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and concrete.search(node.value)
    ]
    violations += [
        f"{found.where}: {found.target}"
        for found in imports()
        if within(found.importer, "swerl_eval.stages") and concrete.match(found.target)
    ]
    assert not violations, listed(violations)


def test_nothing_imports_the_command_line_but_itself_and_the_entry_point() -> None:
    violations = [
        f"{found.where}: {found.importer} imports {found.target}"
        for found in imports()
        if within(found.target, "swerl_eval.cli") and not within(found.importer, "swerl_eval.cli")
    ]
    assert not violations, listed(violations)
    entry = re.search(r'^swerl-eval = "(.+):(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert entry is not None
    assert callable(getattr(importlib.import_module(entry[1]), entry[2]))


def test_core_imports_the_standard_library_and_a_few_pure_libraries() -> None:
    violations = [
        f"{found.where}: {found.target}"
        for found in foreign()
        if within(found.importer, "swerl_eval.core") and top(found.target) not in CORE_LIBRARIES
    ]
    assert not violations, listed(violations)


def test_core_has_no_files_clock_environment_network_or_unseeded_chance() -> None:
    violations = [
        f"{found.where}: {found.target}"
        for found in imports()
        if within(found.importer, "swerl_eval.core") and top(found.target) in NOT_PURE
    ]
    for module in modules():
        if not within(module, "swerl_eval.core"):
            continue
        for node in ast.walk(tree_of(module)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"open", "input", "print"}
            ):
                violations.append(f"{place(module, node)}: {node.func.id}()")
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "random" and node.attr != "Random":
                violations.append(
                    f"{place(module, node)}: random.{node.attr} has a state that no seed was handed in for"
                )
            if isinstance(node, ast.ImportFrom) and node.module == "random":
                violations.append(f"{place(module, node)}: write random.Random")
    assert not violations, listed(violations)


def test_ports_import_core_and_the_standard_library_only() -> None:
    violations = [f"{found.where}: {found.target}" for found in foreign() if found.importer == "swerl_eval.ports"]
    assert not violations, listed(violations)


def test_heavy_and_foreign_libraries_stay_in_their_rooms_and_are_imported_late() -> None:
    violations = []
    for found in imports():
        allowed = LIBRARIES.get(top(found.target))
        if allowed is None or found.typing_only:
            continue
        if found.importer not in allowed:
            violations.append(f"{found.where}: {found.importer} must not import {found.target}")
        elif not found.lazy and not allowed[found.importer]:
            violations.append(f"{found.where}: {found.target} must be imported where it is used, not at the top")
    assert not violations, listed(violations)


def test_no_right_to_a_library_is_kept_that_nobody_uses() -> None:
    used = {(found.importer, top(found.target)) for found in imports()}
    assert not [
        (module, library)
        for library, allowed in LIBRARIES.items()
        for module in allowed
        if (module, library) not in used
    ]


def _environment_uses(module: str) -> Iterator[tuple[ast.AST, str]]:
    tree = tree_of(module)
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "getenvb", "putenv"}:
            yield node, ast.unparse(parents.get(node, node))
        elif isinstance(node, ast.ImportFrom) and node.module == "os" and node.names:
            for alias in node.names:
                if alias.name in {"environ", "environb", "getenv", "getenvb", "putenv"}:
                    yield node, ast.unparse(node)


def test_only_the_configuration_reads_the_environment() -> None:
    exceptions = {
        # a write: keeps swebench's import from reading a .env file of whatever folder the user stands in
        ("swerl_eval.official.harness", "os.environ.setdefault"),
        # a write: keeps a cluster that is started here from sending usage statistics; Ray has no argument for it
        ("swerl_eval.sandboxes.ray.cluster", "os.environ.setdefault"),
    }
    uses = [(module, node, text) for module in modules() for node, text in _environment_uses(module)]
    violations = [
        f"{place(module, node)}: {text}"
        for module, node, text in uses
        if module != "swerl_eval.config.environment" and (module, text) not in exceptions
    ]
    assert not violations, listed(violations)
    assert {(module, text) for module, _, text in uses} >= exceptions
    read = {text for module, _, text in uses if module == "swerl_eval.config.environment"}
    assert read == {"os.environ.get", "os.environ.items"}


def test_only_the_command_line_prints_and_exits() -> None:
    violations = []
    for module in modules():
        if within(module, "swerl_eval.cli") or within(
            module, "swerl_eval.container_tools"
        ):  # the latter are programs too
            continue
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "exit", "quit", "sys.exit", "input"}:
                violations.append(f"{place(module, node)}: {ast.unparse(node.func)}()")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.stderr", "sys.stdin"}:
                violations.append(f"{place(module, node)}: {ast.unparse(node)}")
            if isinstance(node, ast.Name) and node.id in {"SystemExit", "Console"}:
                violations.append(f"{place(module, node)}: {node.id}")
        violations += [
            f"{found.where}: {found.target}"
            for found in imports()
            if found.importer == module and top(found.target) in {"rich", "typer", "click"}
        ]
    assert not violations, listed(violations)


def _cycles(edges: dict[str, set[str]]) -> set[frozenset[str]]:
    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(edges.get(start, ()))
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting += edges.get(module, ())
        return seen

    reach = {module: reached(module) for module in edges}
    return {
        frozenset(other for other in reach[module] if module in reach.get(other, ()))
        for module in edges
        if module in reach[module]
    }


def _edges() -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {module: set() for module in modules()}
    for found in imports():
        if found.target in edges and not found.typing_only:
            edges[found.importer].add(found.target)
    edges["swerl_eval"].clear()  # its lazy attribute
    return edges


def test_the_search_for_cycles_finds_them() -> None:
    assert _cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == {frozenset("abc")}
    assert _cycles({"a": {"a"}, "b": {"c"}, "c": set()}) == {frozenset("a")}


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert _cycles(_edges()) == set()


def test_every_imported_package_is_declared_or_comes_with_a_declared_one() -> None:
    declared = {
        re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-") for line in requires("swerl-eval") or []
    }
    distributions = packages_distributions()
    violations = []
    for found in foreign():
        if found.target == "tomllib":
            continue  # the standard library's from 3.11 on; before, tomli is declared
        package = COME_WITH.get(top(found.target), top(found.target))
        names = {name.lower().replace("_", "-") for name in distributions.get(package, [package])}
        if not names & declared:
            violations.append(f"{found.where}: {found.target} is not declared in pyproject.toml")
    assert not violations, listed(violations)


def loaded_by(program: str) -> set[str]:
    """Names of the packages that a fresh process has loaded after running a program, the standard library left out."""
    report = (
        "\nimport json, sys\n"
        "names = sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))\n"
        "sys.stdout.write('\\nLOADED ' + json.dumps(names))\n"
    )
    bare = "import sys\nbefore = set(sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-c", bare + program + report], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.rpartition("LOADED ")[2]))


def test_importing_the_package_loads_nothing_but_it() -> None:
    assert loaded_by("import swerl_eval") - loaded_by("") == {"swerl_eval"}


@pytest.mark.parametrize("command", [(), ("run",), ("evaluate",), ("view",), ("images", "pull")])
def test_help_answers_without_loading_anything_heavy(command: tuple[str, ...]) -> None:
    loaded = loaded_by(
        f"sys.argv = ['swerl-eval', *{command!r}, '--help']\n"
        "from swerl_eval.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
    )
    assert "typer" in loaded
    heavy = {
        *LIBRARIES,
        "jinja2",
        "yaml",
        "requests",
        "orjson",
        "unidiff",
        "filelock",
        "tenacity",
        "anyio",
    }
    assert not loaded & heavy


def test_the_core_loads_without_the_libraries_of_the_other_rooms() -> None:
    names = [
        module
        for module in modules()
        if within(module, "swerl_eval.core") and module != "swerl_eval.core.reward.suffixes"
    ]
    loaded = loaded_by("import " + ", ".join(names))
    third_party = {
        "docker",
        "openai",
        "swebench",
        "datasets",
        "pydantic",
        "requests",
        "rich",
        "typer",
        "numpy",
        "anyio",
    }
    assert not loaded & third_party
