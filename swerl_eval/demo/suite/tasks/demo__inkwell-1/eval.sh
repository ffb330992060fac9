#!/bin/bash
set -uxo pipefail
cd /testbed
git status
git checkout 7ec41265370fa2663ee24815d4012220d6567c6e tests/test_slugs.py
git apply -v - <<'EOF_5127408931'
diff --git a/tests/test_slugs.py b/tests/test_slugs.py
index 92e2344..f409692 100644
--- a/tests/test_slugs.py
+++ b/tests/test_slugs.py
@@ -1,5 +1,8 @@
+import re
+
 import pytest
 
+from inkwell import render
 from inkwell.blocks import parse
 from inkwell.slugs import SlugRegistry, slugify
 from inkwell.toc import TocEntry, build_toc, render_toc
@@ -42,3 +45,31 @@ def test_toc_markup():
 
 def test_empty_toc():
     assert render_toc([]) == ""
+
+
+@pytest.mark.parametrize(
+    "titles",
+    [
+        ["Setup", "Setup", "Setup 2"],
+        ["Setup 2", "Setup", "Setup"],
+        ["Setup", "Setup 2", "Setup 2", "Setup", "Setup 2-2"],
+        ["", "Section", "Section 2", "..."],
+    ],
+    ids=["after", "before", "nested", "stand-in"],
+)
+def test_no_id_is_given_twice(titles):
+    slugs = SlugRegistry()
+    claimed = [slugs.claim(title) for title in titles]
+    assert len(set(claimed)) == len(titles)
+
+
+def test_plain_ids_stay_as_they_are():
+    slugs = SlugRegistry()
+    assert [slugs.claim(title) for title in ("Setup 2", "Setup")] == ["setup-2", "setup"]
+
+
+def test_toc_and_page_agree():
+    text = "= Setup 2\n= Setup\n= Setup\n= *Setup* 2"
+    anchors = [entry.anchor for entry in build_toc(parse(text))]
+    assert anchors == re.findall(r'id="([^"]*)"', render(text))
+    assert len(set(anchors)) == 4
EOF_5127408931
: '>>>>> Start Test Output'
python3 -m pytest -rA -p no:cacheprovider tests/test_slugs.py
: '>>>>> End Test Output'
git checkout 7ec41265370fa2663ee24815d4012220d6567c6e tests/test_slugs.py
