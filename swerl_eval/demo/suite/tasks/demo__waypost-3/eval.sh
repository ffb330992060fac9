#!/bin/bash
set -uxo pipefail
cd /testbed
git status
git checkout 4ffac82ad519920910f3bec690f031594787750e tests/test_urls.py
git apply -v - <<'EOF_5127408931'
diff --git a/tests/test_urls.py b/tests/test_urls.py
index 8aab1d8..fa2cc31 100644
--- a/tests/test_urls.py
+++ b/tests/test_urls.py
@@ -27,6 +27,29 @@ def test_parameters(router):
     assert build_url(router, "tag", {"tag": "python"}) == "/tags/python"
 
 
+@pytest.mark.parametrize(
+    ("tag", "url"),
+    [
+        ("c#", "/tags/c%23"),
+        ("and/or", "/tags/and%2For"),
+        ("100%", "/tags/100%25"),
+        ("two words", "/tags/two%20words"),
+        ("why?", "/tags/why%3F"),
+        ("été", "/tags/%C3%A9t%C3%A9"),
+    ],
+    ids=["hash", "slash", "percent", "blank", "question", "accent"],
+)
+def test_parameters_are_encoded(router, tag, url):
+    assert build_url(router, "tag", {"tag": tag}) == url
+    assert router.match("GET", url).params == {"tag": tag}
+
+
+def test_path_parameter_is_encoded_but_for_its_slashes(router):
+    url = build_url(router, "file", {"path": "docs/read me?.txt"})
+    assert url == "/files/docs/read%20me%3F.txt"
+    assert router.match("GET", url).params == {"path": "docs/read me?.txt"}
+
+
 def test_path_parameter_keeps_its_slashes(router):
     assert build_url(router, "file", {"path": "a/b.txt"}) == "/files/a/b.txt"
 
EOF_5127408931
: '>>>>> Start Test Output'
python3 -m pytest -rA -p no:cacheprovider tests/test_urls.py
: '>>>>> End Test Output'
git checkout 4ffac82ad519920910f3bec690f031594787750e tests/test_urls.py
