"""The shell that runs in a container. What it does there is tested with containers (tests/docker)."""

from __future__ import annotations

import subprocess

import pytest

from swerl_eval.core.scripts import APPLY_LADDER, PATCH_FILE, WORKDIR, evaluation


def test_the_ladder_is_the_official_harness_s():
    from swebench.harness.constants import CONTAINER_PATCH_FILE
    from swebench.harness.run_evaluation import CONTAINER_WORKDIR, GIT_APPLY_CMDS

    assert list(APPLY_LADDER) == GIT_APPLY_CMDS
    assert (PATCH_FILE, WORKDIR) == (CONTAINER_PATCH_FILE, CONTAINER_WORKDIR)


def test_the_commands_stand_in_the_ladder_s_order_each_on_a_tree_that_is_reset():
    script = evaluation("TOKEN", apply_patch=True)
    places = [script.index(f"{command} {PATCH_FILE} &&") for command in APPLY_LADDER]
    assert places == sorted(places)
    assert script.count("git checkout -- . ; git clean -fd ; ") == len(APPLY_LADDER) - 1


def test_without_a_patch_nothing_is_applied():
    script = evaluation("TOKEN", apply_patch=False)
    assert PATCH_FILE not in script
    assert "applied='nothing to apply'" in script


@pytest.mark.parametrize("apply_patch", [True, False])
def test_the_mark_is_printed_once_before_the_tests_start(apply_patch: bool):
    lines = evaluation("TOKEN", apply_patch=apply_patch).splitlines()
    assert lines[-3:] == ['echo "TOKEN APPLIED $applied"', 'cd "$OLDPWD"', "exec /bin/bash /eval.sh"]
    assert [line for line in lines[:-3] if "TOKEN" in line] == [
        'if [ -z "$applied" ]; then echo "TOKEN NOT-APPLIED"; exit 96; fi'
    ]


@pytest.mark.parametrize("apply_patch", [True, False])
def test_bash_finds_no_error_in_the_script(apply_patch: bool):
    script = evaluation("0123456789abcdef", apply_patch=apply_patch)
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
