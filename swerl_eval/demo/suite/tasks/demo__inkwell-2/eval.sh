#!/bin/bash
set -uxo pipefail
cd /testbed
git status
git checkout 7ec41265370fa2663ee24815d4012220d6567c6e tests/test_blocks.py tests/test_render.py
git apply -v - <<'EOF_5127408931'
diff --git a/tests/test_blocks.py b/tests/test_blocks.py
index 52effb3..e2ff6a2 100644
--- a/tests/test_blocks.py
+++ b/tests/test_blocks.py
@@ -33,6 +33,15 @@ def test_numbered_list():
     assert blocks("1. one\n2. two") == [ListBlock(("one", "two"), ordered=True)]
 
 
+@pytest.mark.parametrize(
+    ("number", "start"), [("3", 3), ("0", 0), ("05", 5)], ids=["three", "zero", "five"]
+)
+def test_first_number_of_a_list_is_kept(number, start):
+    assert blocks(f"{number}. one\n9. two") == [
+        ListBlock(("one", "two"), ordered=True, start=start)
+    ]
+
+
 def test_numbered_list_after_bullets_is_a_list_of_its_own():
     assert blocks("- a\n1. b") == [ListBlock(("a",)), ListBlock(("b",), ordered=True)]
 
diff --git a/tests/test_render.py b/tests/test_render.py
index f7b7151..e18e2cf 100644
--- a/tests/test_render.py
+++ b/tests/test_render.py
@@ -33,6 +33,18 @@ def test_numbered_list():
     assert render("1. one\n2. two") == "<ol>\n<li>one</li>\n<li>two</li>\n</ol>"
 
 
+def test_numbered_list_goes_on_after_a_remark():
+    assert render("1. Budget\n\nAgreed.\n\n2. Venue\n3. Date") == (
+        "<ol>\n<li>Budget</li>\n</ol>\n"
+        "<p>Agreed.</p>\n"
+        '<ol start="2">\n<li>Venue</li>\n<li>Date</li>\n</ol>'
+    )
+
+
+def test_numbered_list_from_zero():
+    assert render("0. nothing") == '<ol start="0">\n<li>nothing</li>\n</ol>'
+
+
 def test_code_block_with_language():
     assert render("~~~ python\nx < 1\n~~~") == (
         '<pre><code class="language-python">x &lt; 1\n</code></pre>'
EOF_5127408931
: '>>>>> Start Test Output'
python3 -m pytest -rA -p no:cacheprovider tests/test_blocks.py tests/test_render.py
: '>>>>> End Test Output'
git checkout 7ec41265370fa2663ee24815d4012220d6567c6e tests/test_blocks.py tests/test_render.py
