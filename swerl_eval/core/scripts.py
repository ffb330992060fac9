"""The shell that runs inside a container, as text built from data. No model's text ever becomes part of it."""

from __future__ import annotations

WORKDIR = "/testbed"
PATCH_FILE = "/tmp/patch.diff"
EVAL_FILE = "/eval.sh"

APPLY_LADDER = (
    "git apply --verbose",
    "git apply --verbose --3way",
    "git apply --verbose --reject",
    "patch --batch --forward --fuzz=5 -p1 -i",
)
"""The official harness's commands, in its order (swebench 5.0.2, harness/run_evaluation.py; a test compares them)."""

APPLIED = "APPLIED"
NOT_APPLIED = "NOT-APPLIED"


def evaluation(token: str, *, apply_patch: bool) -> str:
    """Apply the patch by the official ladder, then run the eval script.

    `token` is random per job. Before any code of the repository runs, one line `<token> APPLIED <command>` or
    `<token> NOT-APPLIED` is printed; what follows it is the test output, so nothing that the tests print can forge it.
    Between attempts the tree is reset, as the official harness does.
    """
    # One pipe for both streams: read from two, their lines were seen to come out of order and inside each other.
    lines = ["exec 2>&1", f"cd {WORKDIR} || exit 97", "applied=''"]
    if apply_patch:
        for number, command in enumerate(APPLY_LADDER):
            reset = "git checkout -- . ; git clean -fd ; " if number else ""
            lines.append(f"""[ -n "$applied" ] || {{ {reset}{command} {PATCH_FILE} && applied='{command}'; }}""")
        lines.append(
            f"""[ -n "$applied" ] || {{ git apply --check --reverse {PATCH_FILE} && applied='already applied'; }}"""
        )
    else:
        lines.append("applied='nothing to apply'")
    lines += [
        f"""if [ -z "$applied" ]; then echo "{token} {NOT_APPLIED}"; exit 96; fi""",
        f"""echo "{token} {APPLIED} $applied\"""",
        'cd "$OLDPWD"',
        f"exec /bin/bash {EVAL_FILE}",
    ]
    return "\n".join(lines) + "\n"
