#!/bin/bash
set -uxo pipefail
cd /testbed
git status
git checkout 4ffac82ad519920910f3bec690f031594787750e tests/test_app.py tests/test_pattern.py
git apply -v - <<'EOF_5127408931'
diff --git a/tests/test_app.py b/tests/test_app.py
index a5660a9..1152c86 100644
--- a/tests/test_app.py
+++ b/tests/test_app.py
@@ -46,3 +46,11 @@ def test_mounted_application():
     outer.mount("/api", make_app())
     assert outer.handle(Request("GET", "/api/users/3")).body == "user 3"
     assert outer.url_for("user", id=3) == "/api/users/3"
+
+
+def test_similar_paths_have_their_own_handlers():
+    app = Application()
+    app.route("/feed.xml")(lambda request: "feed")
+    app.route("/{page}")(lambda request, page: f"page {page}")
+    assert app.handle(Request("GET", "/feed.xml")).body == "feed"
+    assert app.handle(Request("GET", "/feed-xml")).body == "page feed-xml"
diff --git a/tests/test_pattern.py b/tests/test_pattern.py
index 40eff03..7452cb8 100644
--- a/tests/test_pattern.py
+++ b/tests/test_pattern.py
@@ -36,6 +36,34 @@ def test_no_match(pattern, path):
     assert Pattern(pattern).match(path) is None
 
 
+@pytest.mark.parametrize(
+    "path",
+    ["/feed.xml", "/c++/news", "/wiki/(old)/start", "/a|b", "/what?", "/[x]", "/$5*^2"],
+    ids=["dot", "plus", "parentheses", "bar", "question", "brackets", "signs"],
+)
+def test_literal_text_matches_itself(path):
+    assert Pattern(path).match(path) == {}
+
+
+@pytest.mark.parametrize(
+    ("pattern", "path"),
+    [
+        ("/feed.xml", "/feed-xml"),
+        ("/v1.0/{name}", "/v1x0/a"),
+        ("/{name}.json", "/report-json"),
+        ("/a|b", "/a"),
+        ("/no*", "/nooo"),
+    ],
+    ids=["dot", "before", "behind", "bar", "star"],
+)
+def test_literal_text_matches_nothing_else(pattern, path):
+    assert Pattern(pattern).match(path) is None
+
+
+def test_build_keeps_literal_text():
+    assert Pattern("/c++/{name}.html").build({"name": "x"}) == "/c++/x.html"
+
+
 @pytest.mark.parametrize(
     "text",
     ["about", "/{id:number}", "/{id", "/a}", "/{a}/{a}"],
EOF_5127408931
: '>>>>> Start Test Output'
python3 -m pytest -rA -p no:cacheprovider tests/test_app.py tests/test_pattern.py
: '>>>>> End Test Output'
git checkout 4ffac82ad519920910f3bec690f031594787750e tests/test_app.py tests/test_pattern.py
