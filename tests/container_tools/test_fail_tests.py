"""The program that makes tests fail, under every Python of this machine that instance images may have."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "swerl_eval" / "container_tools" / "fail_tests.py"
PYENV = Path.home() / ".pyenv" / "versions"


def pythons() -> list[str]:
    """Those that pyenv has, from 3.5 on, and the running one."""
    found = [sys.executable, *map(str, sorted(PYENV.glob("3.*/bin/python")))]
    return list(dict.fromkeys(found))


def name_of(python: str) -> str:
    return "running" if python == sys.executable else Path(python).parents[1].name


@pytest.fixture(params=pythons(), ids=name_of)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


CALLS = r"""
import asyncio, importlib.util, inspect, json, sys

def outcome(function):
    try:
        if inspect.iscoroutinefunction(function):
            asyncio.new_event_loop().run_until_complete(function())
        else:
            list(function() or ())
    except AssertionError as error:
        return str(error)
    return "passed"

def walk(holder, prefix):
    for name, value in sorted(vars(holder).items()):
        if inspect.isclass(value) and value.__module__ == "module":
            for each in walk(value, prefix + name + "."):
                yield each
        elif inspect.isfunction(value):
            yield prefix + name, outcome(getattr(holder() if inspect.isclass(holder) else holder, name))

spec = importlib.util.spec_from_file_location("module", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps(dict(walk(module, ""))))
"""


def fail(python: str, *files: Path, message: str = "made to fail") -> str:
    done = subprocess.run([python, "-I", "-S", TOOL, message, *files], capture_output=True, text=True, check=True)
    return done.stdout


def outcomes(python: str, file: Path) -> dict[str, str]:
    """What each function of a module does when it is called."""
    done = subprocess.run([python, "-c", CALLS, file], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def written(tmp_path: Path, source: str | bytes) -> Path:
    file = tmp_path / "module.py"
    file.write_bytes(source if isinstance(source, bytes) else textwrap.dedent(source).encode())
    return file


SOURCES: dict[str, str | bytes] = {
    "a plain body": "def test_a():\n    x = 1\n    assert x\n",
    "a docstring": 'def test_a():\n    """One."""\n    x = 1\n',
    "a docstring of several lines": 'def test_a():\n    """One.\n\n    Two.\n    """\n    x = 1\n',
    "nothing but a docstring": 'def test_a():\n    """One."""\n',
    "nothing but a docstring of several lines": 'def test_a():\n    """One.\n\n    Two."""\n',
    "nothing but a docstring in a class": 'class TestIt:\n    def test_a(self):\n        """One.\n\n        """\n',
    "nothing but a docstring at the end of the file": 'def test_a():\n    """One."""',
    "one line": "def test_a(): pass\n",
    "one line with a docstring": 'def test_a(): "One."\n',
    "one line of two statements": 'def test_a(): "One."; x = 1; assert x\n',
    "no final newline": "def test_a():\n    assert True",
    "a decorator": "def same(x=None): return x\n\n@same\n@same\ndef test_a():\n    pass\n",
    "a decorated function first": "def same(x=()): return x\n\ndef test_a():\n    @same\n    def f(): pass\n    f()\n",
    "a class first": "def test_a():\n    class A(object):\n        def test_b(self): pass\n    A().test_b()\n",
    "a function first": "def test_a():\n    def test_b():\n        pass\n    test_b()\n",
    "a loop first": "def test_a():\n    for x in ():\n        pass\n",
    "a coroutine": "async def test_a():\n    pass\n",
    "a coroutine method": "class TestIt:\n    async def test_a(self):\n        '''One.'''\n        pass\n",
    "a generator": "def test_a():\n    yield 1\n",
    "nested classes": "class TestIt:\n    class TestInner:\n        def test_a(self):\n            pass\n"
    "\n    def test_b(self): pass\n",
    "under conditions": "if True:\n    def test_a():\n        pass\nelse:\n    def test_b():\n        pass\n"
    "try:\n    def test_c(): pass\nfinally:\n    x = 1\n",
    "tabs": "class TestIt:\n\tdef test_a(self):\n\t\tx = 1\n\n\tdef test_b(self):\n\t\t'''One.'''\n",
    "CRLF": b"def test_a():\r\n    '''One.'''\r\n    x = 1\r\n\r\ndef test_b():\r\n    '''One.'''\r\n",
    "CR alone": b"def test_a():\r    x = 1\r\rdef test_b():\r    x = 1\r",
    "form feeds": b"\x0cdef test_a():\n    x = '\x0c \xc2\x85 \xe2\x80\xa8'\n\x0c\ndef test_b():\n    x = 1\n",
    "letters beyond ASCII": "def test_a(): x = 'größe'; assert x\n\n\ndef test_b(): 'größe'; x = 1\n",
    "Latin-1": "# -*- coding: latin-1 -*-\ndef test_a(): 'größe'; x = 'é'\n".encode("latin-1"),
    "a byte order mark": b"\xef\xbb\xbfdef test_a():\n    x = 1\n",
    "a continued line": "def test_a():\n    x = 1 + \\\n        2\n",
    "a long signature": "def test_a(\n    x=1,\n    y=2,\n):\n    assert x\n",
    "a string of several lines first": "def test_a():\n    x = '''\n    y\n    '''\n",
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_every_test_function_fails_and_no_other(python: str, tmp_path: Path, source: str | bytes) -> None:
    others = "\n\ndef helper():\n    return []\n\n\nclass Other(object):\n    def check(self):\n        return []\n"
    file = written(tmp_path, source)
    content = file.read_bytes()
    ending = next((end for end in (b"\r\n", b"\r") if end in content), b"\n")
    file.write_bytes(content + others.encode().replace(b"\n", ending))
    before = outcomes(python, file)
    assert set(before.values()) == {"passed"}
    said = fail(python, file, message='it\'s "made" to fail')
    after = outcomes(python, file)
    assert after.keys() == before.keys()
    tests = [name for name in after if name.rpartition(".")[2].startswith("test")]
    assert {name: after[name] for name in tests} == dict.fromkeys(tests, 'it\'s "made" to fail')
    assert {name for name in after if after[name] == "passed"} == after.keys() - set(tests)
    assert int(said.removesuffix(" tests made to fail\n")) >= len(tests)  # one may stand where it is not defined


@pytest.mark.parametrize("source", ["def test_a():\n    '''One.'''\n    x = 1\n", "def test_a():\n    x = 1\n"])
def test_all_other_lines_stay_as_they_are(python: str, tmp_path: Path, source: str) -> None:
    file = written(tmp_path, source)
    fail(python, file)
    lines = file.read_text().splitlines(True)
    added = [line for line in lines if "made to fail" in line]
    assert len(added) == 1
    assert "".join(line for line in lines if line not in added) == source


UNREADABLE: dict[str, bytes] = {
    "no Python": b"def test_a(:\n",
    "bytes that are no text": b"def test_a():\n    x = '\xff'\n",
    "an unknown encoding": b"# coding: no-such-encoding\n",
    "a null byte": b"def test_a():\n    x = '\x00'\n",
    "nested too deeply": b"def test_a():\n    x = " + b"(" * 5000 + b")" * 5000 + b"\n",
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_left_alone_and_the_other_files_are_done(
    python: str, tmp_path: Path, content: bytes
) -> None:
    broken, good, missing = tmp_path / "broken.py", written(tmp_path, SOURCES["one line"]), tmp_path / "missing.py"
    broken.write_bytes(content)
    said = fail(python, broken, missing, tmp_path, good)
    assert broken.read_bytes() == content
    assert not missing.exists()
    assert said.count("left as it is") == 3
    assert said.endswith("1 tests made to fail\n")
    assert outcomes(python, good) == {"test_a": "made to fail"}


def test_a_link_is_followed_to_its_file_and_stays_a_link(python: str, tmp_path: Path) -> None:
    file = written(tmp_path, SOURCES["one line"])
    link = tmp_path / "link.py"
    link.symlink_to(file)
    fail(python, link)
    assert link.is_symlink()
    assert outcomes(python, file) == {"test_a": "made to fail"}


def test_the_bundled_suites_own_tests_all_fail(python: str, tmp_path: Path) -> None:
    """Real test files, with the parametrized, the nested and the plain."""
    packages = TOOL.parents[1] / "demo" / "packages"
    for number, file in enumerate(sorted(packages.glob("*/tests/test_*.py"))):
        copy = tmp_path / f"{number}.py"
        shutil.copy(file, copy)
        functions = sum(
            line.lstrip().startswith(("def test", "async def test")) for line in copy.read_text().split("\n")
        )
        assert functions > 0
        assert fail(python, copy) == f"{functions} tests made to fail\n"
        assert copy.read_text().count("raise AssertionError('made to fail')") == functions
