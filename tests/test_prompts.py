from __future__ import annotations

import hashlib
import importlib
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.edits import REPAIR as REPAIR_LENIENCES
from swerl_eval.core.edits import STRICT, find_blocks
from swerl_eval.core.errors import UsageError
from swerl_eval.prompts import (
    GUIDE,
    LOCALIZE,
    NAMES,
    OWN,
    REGRESS,
    REPAIR,
    REPRODUCE,
    THINKING_SYSTEM,
    bundled_folder,
    load_prompts,
)

ROOT = Path(__file__).parent.parent
VALUES: dict[str, dict[str, Any]] = {
    LOCALIZE: {"problem_statement": "It is broken.", "tree": "pkg/\n    a.py", "limit": 4},
    REPAIR: {"problem_statement": "It is broken.", "files": "### pkg/a.py\nx = 1\n"},
    GUIDE: {"problem_statement": "It is broken.", "tree": "tests/\n    test_a.py"},
    REPRODUCE: {"problem_statement": "It is broken.", "guide": "tests/test_a.py", "text": "def test_a(): ..."},
    REGRESS: {"problem_statement": "It is broken.", "tests": "tests/test_a.py::test_a"},
    THINKING_SYSTEM: {},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled templates, to be changed."""
    return Path(shutil.copytree(bundled_folder(), tmp_path / "prompts"))


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_template_shows_every_value_and_leaves_no_marker(name: str) -> None:
    text = load_prompts("").render(name, **VALUES[name])
    for value in VALUES[name].values():
        assert str(value).strip() in text
    assert "{{" not in text
    assert "{%" not in text
    assert text == text.strip()


def test_the_example_of_the_repair_prompt_is_an_edit_in_the_published_format() -> None:
    text = load_prompts("").render(REPAIR, problem_statement="", files="")
    assert find_blocks(text, STRICT) == find_blocks(text, REPAIR_LENIENCES)
    assert [(edit.path, edit.search, edit.replace) for edit in find_blocks(text, STRICT)] == [
        ("package/module.py", ("    total = price",), ("    total = price * quantity",))
    ]


def test_the_thinking_prompt_asks_for_the_tags_that_answers_are_read_by() -> None:
    text = load_prompts("").render(THINKING_SYSTEM)
    places = [text.index(tag) for tag in ("<think>", "</think>", "<solution>", "</solution>")]
    assert places == sorted(places)


@pytest.mark.parametrize("name", [LOCALIZE, REPAIR])
@pytest.mark.parametrize(
    "text", ["{{ limit }}", "{% if x %}", "{# note #}", "{{ undefined_name }}", "%s {0} {tree}", "<b>&"]
)
def test_an_issue_that_looks_like_a_template_is_data(name: str, text: str) -> None:
    rendered = load_prompts("").render(name, **{**VALUES[name], "problem_statement": f"See {text} here"})
    assert f"See {text} here" in rendered


@pytest.mark.parametrize("missing", ["problem_statement", "tree", "limit"])
def test_a_value_that_is_missing_is_an_error_that_names_file_and_value(missing: str) -> None:
    values = {key: value for key, value in VALUES[LOCALIZE].items() if key != missing}
    with pytest.raises(UsageError) as caught:
        load_prompts("").render(LOCALIZE, **values)
    assert str(caught.value) == (
        f"{bundled_folder() / 'localize'}.jinja: '{missing}' is undefined; it may use {', '.join(sorted(values))}"
    )


def test_a_folder_of_the_users_own_is_rendered_and_fingerprinted(folder: Path) -> None:
    text = "Issue: {{ problem_statement }} / {{ files }}\n"
    (folder / "repair.jinja").write_text(text, encoding="utf-8")
    prompts = load_prompts(str(folder))
    assert prompts.render(REPAIR, problem_statement="a", files="b") == "Issue: a / b"
    assert prompts.fingerprints() == {
        REPAIR: hashlib.sha256(text.encode()).hexdigest(),
        **{name: load_prompts("").fingerprints()[name] for name in (LOCALIZE, THINKING_SYSTEM, *OWN)},
    }


def test_the_fingerprints_are_those_of_the_files() -> None:
    assert load_prompts("").fingerprints() == {
        name: hashlib.sha256((bundled_folder() / f"{name}.jinja").read_bytes()).hexdigest() for name in NAMES
    }


def test_a_folder_that_lacks_templates_is_refused_with_their_names(folder: Path) -> None:
    (folder / "repair.jinja").unlink()
    (folder / "thinking_system.jinja").unlink()
    with pytest.raises(UsageError) as caught:
        load_prompts(str(folder))
    assert str(caught.value) == (
        f"{folder} has no repair.jinja, thinking_system.jinja; a prompts folder needs one template for each use"
    )


def test_a_template_with_a_mistake_is_named_with_its_line(folder: Path) -> None:
    (folder / "repair.jinja").write_text("one\n{% if %}\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_prompts(str(folder))
    assert str(caught.value).startswith(f"{folder / 'repair'}.jinja, line 2: ")


SWERL_REPAIR = '"""Fix this:\n{problem_statement}\nin\n{content}\nno more"""'
SWERL_LOCALIZATION = '"""\nIssue {problem_statement}\nTree {structure}\nAt most {n}\n""".strip()'


@pytest.fixture
def swerl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `swerl` on the path, laid out as the published one; its code must never run."""
    package = tmp_path / "installed" / "swerl"
    for part in ("core", "agentless_mini/utils"):
        (package / part).mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    for part in ("core/__init__.py", "agentless_mini/__init__.py", "agentless_mini/utils/__init__.py"):
        (package / part).write_text("raise RuntimeError('this code was run')\n", encoding="utf-8")
    (package / "core" / "prompts.py").write_text(
        "raise RuntimeError('this code was run')\n"
        f"AGENTLESS_REPAIR = {SWERL_REPAIR}\n"
        'THINKING_SYSTEM = """\nThink with {braces}.\n""".strip()\n',
        encoding="utf-8",
    )
    (package / "agentless_mini" / "utils" / "prompts.py").write_text(
        f"from swerl.core.prompts import AGENTLESS_REPAIR as REPAIR\n\nLOCALIZATION = {SWERL_LOCALIZATION}\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path / "installed")
    yield package
    sys.modules.pop("swerl", None)


@pytest.mark.usefixtures("swerl")
def test_the_texts_of_an_installed_swerl_are_read_as_data_and_filled_in() -> None:
    prompts = load_prompts("swerl")
    issue = "See {n} and {{ x }}"
    assert prompts.render(LOCALIZE, problem_statement=issue, tree="a/\n  b.py", limit=5) == (
        f"Issue {issue}\nTree a/\n  b.py\nAt most 5"
    )
    assert prompts.render(REPAIR, problem_statement=issue, files="### a.py\n{}\n") == (
        f"Fix this:\n{issue}\nin\n### a.py\n{{}}\n\nno more"
    )
    assert prompts.render(THINKING_SYSTEM) == "Think with {braces}."


@pytest.mark.usefixtures("swerl")
def test_the_fingerprints_of_an_installed_swerl_are_those_of_its_texts() -> None:
    assert load_prompts("swerl").fingerprints() == {
        LOCALIZE: hashlib.sha256(b"Issue {problem_statement}\nTree {structure}\nAt most {n}").hexdigest(),
        REPAIR: hashlib.sha256(b"Fix this:\n{problem_statement}\nin\n{content}\nno more").hexdigest(),
        THINKING_SYSTEM: hashlib.sha256(b"Think with {braces}.").hexdigest(),
        **{name: load_prompts("").fingerprints()[name] for name in OWN},  # never released, so our own
    }


def test_a_text_of_swerl_that_wants_another_value_is_an_error_that_names_both(swerl: Path) -> None:
    (swerl / "core" / "prompts.py").write_text(
        'AGENTLESS_REPAIR = "{problem_statement} {surprise}"\nTHINKING_SYSTEM = "x"\n', encoding="utf-8"
    )
    with pytest.raises(UsageError, match="AGENTLESS_REPAIR needs 'surprise'; use --prompts FOLDER"):
        load_prompts("swerl").render(REPAIR, problem_statement="a", files="b")


def test_a_swerl_without_the_text_is_an_error_that_names_it(swerl: Path) -> None:
    (swerl / "agentless_mini" / "utils" / "prompts.py").write_text("OTHER = 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"no text LOCALIZATION in prompts\.py; use --prompts FOLDER"):
        load_prompts("swerl")
    (swerl / "agentless_mini" / "utils" / "prompts.py").unlink()
    with pytest.raises(UsageError, match=r"no text LOCALIZATION in prompts\.py; use --prompts FOLDER"):
        load_prompts("swerl")


def test_without_swerl_installed_the_choice_of_its_prompts_says_so() -> None:
    importlib.invalidate_caches()
    if importlib.util.find_spec("swerl") is not None:
        pytest.skip("swerl is installed here")
    with pytest.raises(UsageError, match="needs the package `swerl` "):
        load_prompts("swerl")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("building the wheel needs hatchling: pip install hatchling editables")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_carries_the_prompts_and_uses_them(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    carried = tmp_path / "swerl_eval" / "_prompts"
    assert {file.name: file.read_bytes() for file in carried.iterdir()} == {
        file.name: file.read_bytes() for file in (ROOT / "prompts").iterdir()
    }
    program = (
        "from swerl_eval import prompts\nprint(prompts.bundled_folder(), len(prompts.load_prompts('').fingerprints()))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"{carried} {len(NAMES)}\n"


def test_the_wheel_carries_the_demo_and_the_type_marker_and_nothing_from_outside_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for part in ("py.typed", "demo/completions.jsonl", "demo/suite/sweb.yaml", "demo/images/base.Dockerfile"):
        assert f"swerl_eval/{part}" in names
    packaged = ROOT / "swerl_eval" / "demo"
    expected = {
        f"swerl_eval/demo/{file.relative_to(packaged).as_posix()}"
        for file in packaged.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if name.startswith("swerl_eval/demo/")} == expected
    assert {name.split("/")[0] for name in names} == {"swerl_eval", wheel.name.split("-py3")[0] + ".dist-info"}
    assert not [name for name in names if name.endswith(".pyc")]
