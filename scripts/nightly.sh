#!/usr/bin/env bash
# One night: runs swerl-eval, gates the run against the last green one, and makes it the new baseline where it is green.
#
#   nightly.sh [options of `swerl-eval gate`] -- [options of `swerl-eval run`]
#
# Exit code: 0 green or skipped, 3 gate not met, otherwise that of the command that failed.
#
# Environment, all optional:
#   NIGHTLY_RESULTS   folder of the run folders; default: results
#   NIGHTLY_RUN_ID    name of the run; default: nightly-<date in UTC>. The same name again finishes or repeats the gate.
#   NIGHTLY_BASELINE  folder with what is left of the last green run; default: nightly-baseline
#   NIGHTLY_SUMMARY   file that a summary in Markdown is added to; default: GITHUB_STEP_SUMMARY, else none
#   NIGHTLY_NEEDS     names of variables; while one of them is empty, the night is skipped with a note
#   SWERL_EVAL        the command; default: swerl-eval
set -euo pipefail

results=${NIGHTLY_RESULTS:-results}
run=$results/${NIGHTLY_RUN_ID:-nightly-$(date -u +%F)}
baseline=${NIGHTLY_BASELINE:-nightly-baseline}
summary=${NIGHTLY_SUMMARY:-${GITHUB_STEP_SUMMARY:-/dev/null}}
swerl_eval=${SWERL_EVAL:-swerl-eval}
attempts=2 # what failed because of the machine is tried once more

gate=()
against=() # rules that need a baseline; the first night has none
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    case $1 in
        --significant | --anyway | --max-regressions=*) against+=("$1") ;;
        --max-regressions)
            against+=("$1" "${2:?--max-regressions takes a number}")
            shift
            ;;
        *) gate+=("$1") ;;
    esac
    shift
done
[ $# -eq 0 ] || shift

for name in ${NIGHTLY_NEEDS:-}; do
    if [ -z "${!name:-}" ]; then
        note="Skipped: $name is not set."
        echo "$note"
        echo "$note" >>"$summary"
        exit 0
    fi
done

for attempt in $(seq "$attempts"); do
    code=0
    "$swerl_eval" run --results "$results" --run-id "${run##*/}" "$@" || code=$?
    if [ "$code" != 1 ]; then break; fi
    [ "$attempt" = "$attempts" ] || echo "the run is not complete; trying what is left once more" >&2
done
# an incomplete run (1) goes to the gate, which says what is missing
if [ "$code" -gt 1 ] || [ ! -f "$run/run.json" ]; then exit "$code"; fi

if [ -f "$baseline/run.json" ]; then gate+=("${against[@]}" --baseline "$baseline"); fi
code=0
"$swerl_eval" gate "$run" "${gate[@]}" || code=$?
for form in markdown:gate.md junit:junit.xml; do
    "$swerl_eval" gate "$run" "${gate[@]}" --format "${form%%:*}" --output "$run/${form##*:}" >/dev/null || true
done
[ ! -f "$run/gate.md" ] || cat "$run/gate.md" >>"$summary"
[ "$code" = 0 ] || exit "$code"

# the records that a comparison reads: a few hundred KB in place of all answers and logs
new=$(mktemp -d "$baseline.XXXXXX")
for file in run.json selections.jsonl evaluations.jsonl machines.jsonl report.json; do
    [ ! -f "$run/$file" ] || cp "$run/$file" "$new/"
done
rm -rf "$baseline"
mv "$new" "$baseline"
