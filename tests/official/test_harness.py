from __future__ import annotations

import subprocess
import sys

BROUGHT_ALONG = ("datasets", "modal", "pandas", "docker")
CHECK = """
import sys
from swerl_eval.official.harness import harness
parts = harness()
print(sorted(set({brought!r}) & set(sys.modules)))
assert not [name for name in sys.modules if name.startswith("swebench.harness")]
assert parts.utils.TestSpec is __import__("swebench.types", fromlist=["TestSpec"]).TestSpec
assert parts.grading.PARSER_REGISTRY is parts.log_parsers.PARSER_REGISTRY
import swebench.harness.utils as whole, datasets, swebench.harness
assert whole is not parts.utils and whole.load_dataset is datasets.load_dataset
assert swebench.harness.grading.get_eval_report.__code__ == parts.grading.get_eval_report.__code__
"""


def test_the_parts_come_without_the_rest_and_a_later_import_of_swebench_is_whole() -> None:
    # the whole package brings modal, which warns of Pythons that it will drop
    command = [sys.executable, "-W", "ignore", "-c", CHECK.format(brought=BROUGHT_ALONG)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)


def test_a_harness_that_is_there_already_is_used_as_it_is() -> None:
    imports = "import swebench.harness as whole; from swerl_eval.official.harness import harness"
    check = f"{imports}; assert harness().utils is whole.utils"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
