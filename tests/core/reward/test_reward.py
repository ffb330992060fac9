"""swerl_eval.core.reward: exact values, golden vectors, and what odd input gives."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import json
import re
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import swerl_eval as swerl
from swerl_eval.core import reward
from swerl_eval.core.edits import REWARD, STRICT, find_blocks
from swerl_eval.core.reward import (
    FormatError,
    apply_code_change,
    calculate_reward,
    calculate_reward_unidiff,
    calculate_search_replace_reward,
    extract_thought_solution,
    generate_unified_diff,
    get_filelevel_diff,
    get_normalized_patch,
    parse_search_replace,
)

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT.parent / "shared" / "golden"
DATASET = ROOT.parent / "shared" / "data" / "SWE-bench_Verified.parquet"

CONTEXT = {
    "shop/cart.py": "def total(items):\n    result = 0\n    for item in items:\n"
    "        result += item\n    return result\n"
}
ORACLE = {"shop/cart.py": "def total(items):\n    return sum(items)\n"}
EDIT = """```python
### shop/cart.py
<<<<<<< SEARCH
    result = 0
    for item in items:
        result += item
    return result
=======
    return sum(items)
>>>>>>> REPLACE
```"""


def answer(*blocks, thought="Let sum() do it."):
    return f"<think>\n{thought}\n</think>\n<solution>\n" + "\n\n".join(blocks) + "\n</solution>"


def block(path, search, replace):
    return f"```python\n### {path}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n```"


def error_of(output, context=None, **options):
    value, metadata = calculate_search_replace_reward(context or CONTEXT, ORACLE, output, **options)
    assert value == -1.0
    assert metadata.keys() == {"error"}
    return metadata["error"]


# --- the method's example -------------------------------------------------------------------------------------------


def test_the_oracles_own_change_is_1_with_its_closing_fence():
    value, metadata = swerl.core.reward.calculate_search_replace_reward(CONTEXT, ORACLE, answer(EDIT))
    assert value == 1.0
    assert metadata.keys() == {"similarities", "thought", "answer"}
    assert metadata["thought"] == "Let sum() do it."
    assert metadata["answer"] == EDIT
    diff = (
        "@@ -1,5 +1,2 @@\n def total(items):\n-    result = 0\n-    for item in items:\n"
        "-        result += item\n-    return result\n+    return sum(items)"
    )
    assert metadata["similarities"] == [
        {"path": "shop/cart.py", "pred_change": diff, "oracle_change": diff, "similarity": 1.0}
    ]


def test_and_1_without_its_closing_fence_unless_strict():
    output = answer(EDIT.removesuffix("\n```"))
    assert calculate_search_replace_reward(CONTEXT, ORACLE, output)[0] == 1.0
    assert "SEARCH/REPLACE" in error_of(output, strict=True)


def test_the_documented_example_runs():
    text = (ROOT / "docs" / "reward.md").read_text(encoding="utf-8")
    exec(
        compile(re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[0], "docs/reward.md", "exec"),
        {},
    )


def test_a_partly_right_change_has_difflibs_ratio():
    value, metadata = calculate_search_replace_reward(CONTEXT, ORACLE, answer(EDIT.replace("sum(items)", "max(items)")))
    (only,) = metadata["similarities"]
    matcher = difflib.SequenceMatcher(None, only["pred_change"], only["oracle_change"], autojunk=False)
    assert value == matcher.ratio() == 138 / 140


# --- golden vectors -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reward_cases():
    if not GOLDEN.is_dir():
        pytest.skip("the project's reference values (../shared/golden) are not part of the repository")
    spec = importlib.util.spec_from_file_location("reward_cases", GOLDEN / "reward_cases.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def golden(name):
    return [json.loads(line) for line in (GOLDEN / name).read_text(encoding="utf-8").splitlines()]


def test_search_replace_values_are_the_references(reward_cases):
    rows = golden("golden_search_replace.jsonl")
    compared = 0
    for row, (_, context, oracle, output) in zip(rows, reward_cases.cases(rows[0]["seed"], len(rows)), strict=True):
        if reward_cases.key(context, oracle, output) != row["key"]:
            continue
        value, metadata = calculate_search_replace_reward(context, oracle, output, strict=True)
        assert value == pytest.approx(row["reward"], rel=0, abs=1e-15), row["index"]
        assert ("error" in metadata) == row["error"], row["index"]
        compared += 1
    if not compared:
        pytest.skip("the reference values were made with the standard library of another Python")


def test_unified_diff_values_are_the_references(reward_cases):
    if not DATASET.is_file():
        pytest.skip("the dataset (../shared/data) is not part of the repository")
    parquet = pytest.importorskip("pyarrow.parquet")
    patches = sorted(parquet.read_table(DATASET, columns=["patch"]).column("patch").to_pylist())
    rows = golden("golden_unidiff.jsonl")
    compared = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = reward_cases.unidiff_cases(patches, rows[0]["seed"], len(rows))
        for row, (_, oracle, predicted) in zip(rows, cases, strict=True):
            if reward_cases.key(oracle, predicted, "") != row["key"]:
                continue
            value, _ = calculate_reward_unidiff(oracle, predicted)
            assert value == pytest.approx(row["reward"], rel=0, abs=1e-15), row["index"]
            compared += 1
    if not compared:
        pytest.skip("the reference values were made with another dataset")


# --- the parts ------------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        "```",
        "``",
        "`",
        "\n",
        "\n\n",
        "### ",
        "###",
        "f.py",
        "<<<<<<< SEARCH",
        "<<<<<<< SEARCH\n",
        "\n=======\n",
        "=======",
        ">>>>>>> REPLACE",
        "\n>>>>>>> REPLACE\n```",
        "```py\n### f\n<<<<<<< SEARCH\n",
        "x\n=======\n",
        " ",
        "\r",
        "\x0b",
        "\x85",
        "\u2028",
        "\x1c",
        "\ud800",
    ]
)


@settings(max_examples=3000, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_strict_blocks_are_those_of_the_published_expression(text):
    published = r"```.*?\n### (.*)\n<<<<<<< SEARCH\n([\s\S]*?)\n=======\n([\s\S]*?)\n>>>>>>> REPLACE\n```"
    assert published == reward.SEARCH_REPLACE_REGEX
    found = [(edit.path, "\n".join(edit.search), "\n".join(edit.replace)) for edit in find_blocks(text, STRICT)]
    assert found == re.findall(published, text)


@settings(max_examples=1000, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_leniency_adds_a_last_block_and_changes_no_other(text):
    strict, lenient = find_blocks(text, STRICT), find_blocks(text, REWARD)
    assert lenient[: len(strict)] == strict
    assert len(lenient) - len(strict) in {0, 1}


@pytest.mark.parametrize("text", ["```" * 300_000 + "\n", "```\n### f\n<<<<<<< SEARCH\n" * 40_000, "```\n" * 300_000])
def test_hostile_answers_are_read_in_linear_time(text):
    start = time.thread_time()
    assert parse_search_replace(text) == {}
    assert time.thread_time() - start < 5


def test_edits_are_grouped_by_path_in_order():
    text = "\n".join([block("a", "1", "2"), block("b", "3", "4"), block("a", "5\n6", "7\n")])
    assert parse_search_replace(text) == {"a": [("1", "2"), ("5\n6", "7\n")], "b": [("3", "4")]}


@pytest.mark.parametrize("tag", ["<think>", "</think>", "<solution>", "</solution>"])
def test_each_tag_is_needed_exactly_once(tag):
    assert tag in error_of(answer(EDIT).replace(tag, ""))
    assert tag in error_of(answer(EDIT) + tag)


def test_the_order_of_thought_and_solution_does_not_matter_but_the_thought_may_not_be_empty():
    assert extract_thought_solution("<solution> s </solution><think> t </think>") == ("t", "s")
    assert extract_thought_solution("</think><think> t <solution></solution>") == (
        "t <solution></solution>",
        "",
    )
    with pytest.raises(FormatError):
        extract_thought_solution("<think> \n </think><solution>s</solution>")


def test_an_edit_applies_wherever_a_line_starts_with_the_search_text():
    files = {"f": "ab\nxab\nabc\nab"}
    assert apply_code_change(files, {"f": [("ab", "-")]}) == {"f": "-\nxab\n-c\n-"}
    assert apply_code_change(files, {"f": [("ab", "1"), ("1\nx", "2\n")]}) == {"f": "2\nab\n1c\n1"}


def test_a_file_outside_the_context_is_empty_so_far():
    assert apply_code_change({}, {"new.py": [("", "x = 1")]}) == {"new.py": "x = 1"}
    assert "not in other.py" in error_of(answer(block("other.py", "x", "y")))
    value, metadata = calculate_search_replace_reward(CONTEXT, ORACLE, answer(EDIT, block("new.py", "", "x = 1")))
    assert value == 0.5
    assert [each["path"] for each in metadata["similarities"]] == ["new.py", "shop/cart.py"]


def test_identical_and_missing_search_texts_are_format_errors_unless_silent():
    assert "by itself" in error_of(answer(block("shop/cart.py", "    result = 0", "    result = 0")))
    assert "    result = 1" in error_of(answer(block("shop/cart.py", "    result = 1", "x")))
    assert apply_code_change(CONTEXT, {"shop/cart.py": [("no", "yes"), ("x", "x")]}, silent=True) == CONTEXT


def test_edits_that_multiply_a_file_are_a_format_error_before_they_fill_the_memory():
    doubling = [block("f.py", "", "\n")] * 60
    assert "longer than" in error_of(answer(*doubling), {"f.py": "\n" * 1000})


def test_an_edit_of_every_line_of_a_long_file_does_not_take_long():
    text = "".join(f"line {number}\n" for number in range(10_000))
    start = time.thread_time()
    value, _ = calculate_search_replace_reward(
        {"f.py": text}, {"f.py": text + "end\n"}, answer(block("f.py", "line", "\nline"))
    )
    assert 0 < value < 0.01
    assert time.thread_time() - start < 10  # 0.2 s; difflib's line diff alone takes minutes


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.sampled_from("ab\n\r\x0b\x85\u2028é"), max_size=40),
    st.text(st.sampled_from("ab\n\r\u2028"), max_size=40),
)
def test_a_diff_is_difflibs_without_the_file_headers(old, new):
    expected = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm=""))[2:]
    assert generate_unified_diff(old, new) == "\n".join(expected)


def test_a_file_whose_lines_stay_has_no_patch():
    assert get_normalized_patch({"a": "x\n", "b": "y"}, {"a": "x", "b": "z"}) == {"b": "@@ -1 +1 @@\n-y\n+z"}


def test_changing_nothing_on_both_sides_is_1_and_on_one_side_0():
    assert calculate_reward(CONTEXT, {}, {}) == (1.0, {"similarities": []})
    assert calculate_reward(CONTEXT, CONTEXT, CONTEXT) == (1.0, {"similarities": []})
    assert calculate_reward(CONTEXT, ORACLE, {})[0] == calculate_reward(CONTEXT, {}, ORACLE)[0] == 0.0


def test_files_are_summed_in_one_order():
    context = {f"f{number}.py": f"{number}\n" * number for number in range(1, 8)}
    oracle = {path: text + "end\n" for path, text in context.items()}
    predicted = {path: text + "END\n" for path, text in context.items()}
    reference = calculate_reward(context, oracle, predicted)
    backwards = dict(reversed(predicted.items()))
    assert calculate_reward(context, dict(reversed(oracle.items())), backwards) == reference
    assert [each["path"] for each in reference[1]["similarities"]] == sorted(context)


def test_names_and_arguments_are_the_originals():
    arguments = {
        name: list(inspect.signature(function).parameters)
        for name, function in vars(reward).items()
        if name in reward.__all__ and inspect.isfunction(function)
    }
    assert arguments == {
        "extract_thought_solution": ["output"],
        "parse_search_replace": ["text", "strict"],
        "generate_unified_diff": ["old_code", "new_code", "n_context"],
        "apply_code_change": ["code_context", "search_replace_dict", "silent"],
        "get_normalized_patch": ["code_context", "new_content_dict"],
        "compute_change_similarities": ["pred_patch", "oracle_patch"],
        "calculate_reward": ["code_context", "oracle_new_content", "pred_new_content"],
        "calculate_search_replace_reward": ["code_context", "oracle_new_content", "output", "strict"],
        "get_filelevel_diff": ["patch_text"],
        "calculate_reward_unidiff": ["oracle_patches", "pred_patches"],
    }
    assert inspect.signature(apply_code_change).parameters["silent"].default is False
    assert inspect.signature(generate_unified_diff).parameters["n_context"].default == 3


# --- odd input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", [None, b"<think>", 7, [], ""])
def test_an_answer_that_is_no_text_is_a_format_error(output):
    assert error_of(output)


ODD = st.one_of(
    st.text(max_size=30),
    st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.lists(st.sampled_from(["def total(items):", "    result = 0", "", "\r", "\ud83d", "\0"]), max_size=4).map(
        "\n".join
    ),
)


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(ODD, st.tuples(ODD, ODD, ODD).map(lambda parts: answer(block(*parts))), ODD.map(answer)),
    st.booleans(),
)
def test_any_answer_gives_a_value_or_a_format_error(output, strict):
    value, metadata = calculate_search_replace_reward(CONTEXT, ORACLE, output, strict=strict)
    assert (value == -1.0) if "error" in metadata else (0 <= value <= 1)


def test_crlf_contexts_take_edits_whose_first_line_starts_like_theirs():
    context = {"f": "a = 1\r\nb = 2\r\n"}
    assert (
        calculate_search_replace_reward(context, {"f": "a = 1\r\nb = 3\r\n"}, answer(block("f", "b = 2", "b = 3")))[0]
        == 1.0
    )
    assert "not in f" in error_of(answer(block("f", "a = 1\nb = 2", "a = 1\nb = 3")), context)


def test_a_missing_final_newline_makes_no_difference():
    context, oracle = {"f": "a = 1\nb = 2"}, {"f": "a = 1\nb = 3"}
    assert calculate_search_replace_reward(context, oracle, answer(block("f", "b = 2", "b = 3")))[0] == 1.0


# --- unified diffs --------------------------------------------------------------------------------------------------

DIFF = """diff --git a/f.py b/f.py
--- a/f.py
+++ b/f.py
@@ -1,2 +1,2 @@ class A:
 a
-b
+c
"""


def test_a_diff_becomes_its_hunks_by_file():
    assert get_filelevel_diff(DIFF) == {"f.py": "@@ -1,2 +1,2 @@ class A:\n a\n-b\n+c"}
    assert calculate_reward_unidiff([DIFF], [DIFF])[0] == 1.0


def test_a_rename_is_named_under_its_old_path():
    moved = "diff --git a/f.py b/g.py\nsimilarity index 90%\nrename from f.py\nrename to g.py\n" + DIFF.split("\n", 1)[
        1
    ].replace("+++ b/f.py", "+++ b/g.py")
    assert get_filelevel_diff(moved) == {"f.py": "rename from f.py to g.py\n@@ -1,2 +1,2 @@ class A:\n a\n-b\n+c"}


def test_binary_files_do_not_count():
    binary = "diff --git a/x.png b/x.png\nindex 1..2 100644\nBinary files a/x.png and b/x.png differ\n"
    assert get_filelevel_diff(binary + DIFF).keys() == {"f.py"}


@pytest.mark.parametrize("text", ["", "this is no diff", "--- a/f\n+++ b/f\n@@ -1,9 +1,9 @@\n a\n"])
def test_what_is_no_diff_is_an_empty_change(text):
    assert get_filelevel_diff(text) == {}
    assert calculate_reward_unidiff([DIFF], [text])[0] == 0.0
    assert calculate_reward_unidiff([text], [text])[0] == 1.0


@pytest.mark.filterwarnings("ignore:unidiff failed")
@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([*DIFF.splitlines(), "\\ No newline at end of file", "rename to x", "\ud800", "\r"]),
        max_size=12,
    )
)
def test_any_text_in_place_of_a_diff_gives_a_value(lines):
    assert 0 <= calculate_reward_unidiff([DIFF], ["\n".join(lines)])[0] <= 1


def test_carriage_returns_in_a_diff_count_as_the_pinned_unidiff_reads_them():
    value, metadata = calculate_reward_unidiff([DIFF], [DIFF.replace("\n", "\r\n")])
    (only,) = metadata["similarities"]
    # unidiff 1.0 takes the carriage returns into the names, finds them different, and calls it a rename
    assert only["pred_change"].startswith("rename from f.py to f.py\r\n@@ -1,2 +1,2 @@ class A:\r\n a\r\n-b")
    assert value == 66 / 95
