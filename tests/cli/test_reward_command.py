from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = str(Path(sys.executable).parent / "swerl-eval")
BEFORE = "def f(x):\n    return x\n"
AFTER = "def f(x):\n    return x + 1\n"


def answer(replacement: str) -> str:
    edit = f"```python\n### m.py\n<<<<<<< SEARCH\n    return x\n=======\n{replacement}\n>>>>>>> REPLACE\n```"
    return f"<think>t</think>\n<solution>\n{edit}\n</solution>"


RIGHT, NEAR, WRONG = answer("    return x + 1"), answer("    return x + 2"), "no tags at all"
CONTEXT = {"code_context": {"m.py": BEFORE}, "oracle_new_content": {"m.py": AFTER}}


def reward(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, "reward", *map(str, arguments)], capture_output=True, text=True, check=False)


def write(path: Path, lines: list[dict]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_rewards_come_in_the_order_of_the_answers_with_a_summary(tmp_path: Path, workers: int) -> None:
    lines = [
        {"instance_id": f"i{number}", "output": text, **CONTEXT} for number, text in enumerate([RIGHT, NEAR, WRONG])
    ]
    done = reward(write(tmp_path / "a.jsonl", lines), "-o", tmp_path / "out.jsonl", "-j", workers)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["instance_id"] for row in rows] == ["i0", "i1", "i2"]
    # the two diffs are 61 letters each and differ in one
    diff = "@@ -1,2 +1,2 @@\n def f(x):\n-    return x\n+    return x + 1"
    assert [row["reward"] for row in rows] == [1.0, (len(diff) - 1) / len(diff), -1.0]
    assert rows[2]["error"] == "<think> occurs 0 times instead of once"
    assert "3 answers: mean reward 0.3" in done.stderr
    assert "1 format errors (33.3 %)" in done.stderr
    assert "0.9 to 1.0         2  ████" in done.stderr


def test_the_oracle_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    oracle = write(tmp_path / "o.jsonl", [{"instance_id": "i", **CONTEXT}])
    answers = write(tmp_path / "a.jsonl", [{"instance_id": "i", "output": RIGHT}] * 2)
    done = reward(answers, "--oracle", oracle)
    assert done.stdout == '{"instance_id":"i","reward":1.0}\n' * 2


def test_a_missing_last_fence_counts_only_when_strict(tmp_path: Path) -> None:
    unfenced = RIGHT.replace("REPLACE\n```", "REPLACE")
    answers = write(tmp_path / "a.jsonl", [{"output": unfenced, **CONTEXT}])
    assert json.loads(reward(answers).stdout) == {"reward": 1.0}
    assert json.loads(reward(answers, "--strict").stdout)["reward"] == -1.0


def test_a_file_is_read_as_pythons_json_reads_it(tmp_path: Path) -> None:
    """As predictions are: a byte order mark, blank lines and NaN are no faults."""
    line = json.dumps({"instance_id": "i", "output": RIGHT, "score": float("nan"), **CONTEXT})
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + line.encode() + b"\r\n\n")
    assert reward(tmp_path / "a.jsonl").stdout == '{"instance_id":"i","reward":1.0}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"output": "x"}\n',
            "line 1: code_context: expected path -> text, or JSON text of that, and found NoneType; "
            "correct it, or pass --oracle FILE",
        ),
        ('{"output": 3}\n', "line 1: output must be a text"),
        ('{"output": "x", "code_context": {}, "oracle_new_content": {}}\n{torn', "line 2: "),
    ],
)
def test_bad_input_is_named_before_any_reward_is_computed(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    done = reward(tmp_path / "a.jsonl", "-o", tmp_path / "out.jsonl")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
