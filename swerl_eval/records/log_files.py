"""The names of the files that the official harness leaves of an evaluation, in an instance's folder of logs."""

PATCH = "patch.diff"
EVAL = "eval.sh"
TEST_OUTPUT = "test_output.txt"
RUN_LOG = "run_instance.log"
REPORT = "report.json"
OFFICIAL_FILES = (PATCH, EVAL, TEST_OUTPUT, RUN_LOG, REPORT)
