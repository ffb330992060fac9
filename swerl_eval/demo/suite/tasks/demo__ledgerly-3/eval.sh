#!/bin/bash
set -uxo pipefail
cd /testbed
git status
git checkout 36bd0430001518d6e946ea11a1eb42f9432b3115 tests/test_cli.py
git apply -v - <<'EOF_5127408931'
diff --git a/tests/test_cli.py b/tests/test_cli.py
index 5c719a4..52f1b40 100644
--- a/tests/test_cli.py
+++ b/tests/test_cli.py
@@ -1,7 +1,13 @@
+import subprocess
+import sys
+from pathlib import Path
+
 import pytest
 
 from ledgerly.cli import main
 
+ROOT = Path(__file__).resolve().parent.parent
+
 JOURNAL = """\
 date,description,account,contra,amount
 2024-01-02,Salary,Assets:Bank,Income:Job,2000.00
@@ -35,3 +41,32 @@ def test_command_is_required():
     with pytest.raises(SystemExit) as caught:
         main([])
     assert caught.value.code == 2
+
+
+def run_module(*arguments):
+    command = [sys.executable, "-m", "ledgerly", *arguments]
+    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
+
+
+def test_module_prints_a_report(journal):
+    done = run_module("balance", journal)
+    assert done.returncode == 0
+    assert "1,944.50 EUR" in done.stdout
+
+
+def test_module_passes_on_its_status(tmp_path):
+    done = run_module("balance", str(tmp_path / "none.csv"))
+    assert done.returncode == 1
+    assert done.stderr.startswith("ledgerly: ")
+
+
+def test_module_refuses_a_wrong_command_line():
+    done = run_module("yearly")
+    assert done.returncode == 2
+    assert "invalid choice" in done.stderr
+
+
+def test_import_starts_nothing():
+    command = [sys.executable, "-c", "import ledgerly"]
+    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
+    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
EOF_5127408931
: '>>>>> Start Test Output'
python3 -m pytest -rA -p no:cacheprovider tests/test_cli.py
: '>>>>> End Test Output'
git checkout 36bd0430001518d6e946ea11a1eb42f9432b3115 tests/test_cli.py
