"""The shell that runs in a container. What it does there is tested with containers (tests/docker)."""

from __future__ import annotations

import subprocess

import pytest

from swerl_eval.core.jobs.scripts import APPLY_LADDER, PATCH_FILE, PREAMBLE, WORKDIR, environment, evaluation
from swerl_eval.core.types import Limits


def test_the_ladder_is_the_official_harness_s():
    from swebench.harness.constants import CONTAINER_PATCH_FILE
    from swebench.harness.run_evaluation import CONTAINER_WORKDIR, GIT_APPLY_CMDS

    assert list(APPLY_LADDER) == GIT_APPLY_CMDS
    assert (PATCH_FILE, WORKDIR) == (CONTAINER_PATCH_FILE, CONTAINER_WORKDIR)


def test_the_commands_stand_in_the_ladder_s_order_each_on_a_tree_that_is_reset():
    script = evaluation(apply_patch=True)
    places = [script.index(f"{command} {PATCH_FILE} &&") for command in APPLY_LADDER]
    assert places == sorted(places)
    assert script.count("git checkout -- . ; git clean -fd ; ") == len(APPLY_LADDER) - 1


def test_without_a_patch_nothing_is_applied():
    script = evaluation(apply_patch=False)
    assert PATCH_FILE not in script
    assert "applied='nothing to apply'" in script


@pytest.mark.parametrize("apply_patch", [True, False])
def test_the_marks_stand_before_the_tests_start_and_after_they_have_ended(apply_patch: bool):
    lines = evaluation(apply_patch=apply_patch).splitlines()
    assert lines[:2] == list(PREAMBLE)
    assert [line for line in lines[2:] if "$token" in line] == [
        'if [ -z "$applied" ]; then echo "$token NOT-APPLIED"; exit 96; fi',
        'echo "$token APPLIED ${EPOCHREALTIME:-0} $applied"',
        'printf "\\n%s ENDED %s %s\\n" "$token" $? "${EPOCHREALTIME:-0}"',
    ]
    assert lines[-4:-2] == ['cd "$OLDPWD"', "/bin/bash /eval.sh"]
    assert lines[-1] == "exit 0"


def test_every_container_has_the_same_time_zone_hashes_locale_and_threads():
    fixed = dict(environment(Limits(cpus=2.5)))
    assert (fixed["TZ"], fixed["PYTHONHASHSEED"], fixed["LANG"]) == ("UTC", "0", "C")
    assert {value for name, value in fixed.items() if name.endswith("_NUM_THREADS")} == {"2"}
    assert dict(environment(Limits()))["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("apply_patch", [True, False])
def test_bash_finds_no_error_in_the_script(apply_patch: bool):
    script = evaluation(apply_patch=apply_patch)
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
