#!/bin/bash
set -uxo pipefail
cd /testbed
git status
git checkout 7ec41265370fa2663ee24815d4012220d6567c6e tests/test_cli.py tests/test_page.py
git apply -v - <<'EOF_5127408931'
diff --git a/tests/test_cli.py b/tests/test_cli.py
index bcedd9d..dcfd0d8 100644
--- a/tests/test_cli.py
+++ b/tests/test_cli.py
@@ -1,3 +1,5 @@
+import re
+
 from inkwell.cli import main
 
 
@@ -8,6 +10,16 @@ def test_writes_to_a_file(tmp_path):
     assert "Crème brûlée" in target.read_bytes().decode("utf-8")
 
 
+def test_file_is_written_in_the_encoding_that_it_declares(tmp_path):
+    source, target = tmp_path / "a.ink", tmp_path / "a.html"
+    source.write_text("= Crème brûlée – 5 €", encoding="utf-8")
+    assert main([str(source), "-o", str(target)]) == 0
+    page = target.read_bytes()
+    declared = re.search(rb'<meta charset="([^"]+)">', page)
+    assert declared is not None
+    assert "<title>Crème brûlée – 5 €</title>" in page.decode(declared[1].decode("ascii"))
+
+
 def test_writes_to_standard_output(tmp_path, capsys):
     source = tmp_path / "a.ink"
     source.write_text("hello", encoding="utf-8")
diff --git a/tests/test_page.py b/tests/test_page.py
index 7402e7e..5949976 100644
--- a/tests/test_page.py
+++ b/tests/test_page.py
@@ -23,6 +23,11 @@ def test_letters_are_kept_as_they_are():
     assert "<p>naïve café – 5 €</p>" in render_page("naïve café – 5 €")
 
 
+def test_page_declares_its_encoding():
+    head = render_page("= Café").partition("</head>")[0]
+    assert '<meta charset="utf-8">' in head.lower()
+
+
 def test_template_has_its_three_fields():
     template = load_template().template
     assert [template.count(f) for f in ("$title", "$toc", "$body")] == [1, 1, 1]
EOF_5127408931
: '>>>>> Start Test Output'
python3 -m pytest -rA -p no:cacheprovider tests/test_cli.py tests/test_page.py
: '>>>>> End Test Output'
git checkout 7ec41265370fa2663ee24815d4012220d6567c6e tests/test_cli.py tests/test_page.py
