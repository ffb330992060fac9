#!/bin/bash
set -uxo pipefail
cd /testbed
git status
git checkout 4ffac82ad519920910f3bec690f031594787750e tests/test_app.py tests/test_router.py
git apply -v - <<'EOF_5127408931'
diff --git a/tests/test_app.py b/tests/test_app.py
index a5660a9..509a522 100644
--- a/tests/test_app.py
+++ b/tests/test_app.py
@@ -46,3 +46,13 @@ def test_mounted_application():
     outer.mount("/api", make_app())
     assert outer.handle(Request("GET", "/api/users/3")).body == "user 3"
     assert outer.url_for("user", id=3) == "/api/users/3"
+
+
+def test_form_is_shown_and_sent():
+    app = Application()
+    app.route("/login")(lambda request: "form")
+    app.route("/login", methods=["POST"])(lambda request: "welcome")
+    assert app.handle(Request("GET", "/login")).body == "form"
+    assert app.handle(Request("POST", "/login")).body == "welcome"
+    refused = app.handle(Request("DELETE", "/login"))
+    assert (refused.status, refused.headers) == (405, {"Allow": "GET, HEAD, POST"})
diff --git a/tests/test_router.py b/tests/test_router.py
index a55ef29..e3f2081 100644
--- a/tests/test_router.py
+++ b/tests/test_router.py
@@ -35,6 +35,32 @@ def test_wrong_method():
     assert caught.value.allowed == ["GET", "HEAD"]
 
 
+def test_each_method_finds_its_handler():
+    router = Router()
+    router.add("/a", first)
+    router.add("/a", second, methods=["POST"])
+    assert router.match("GET", "/a").route.handler is first
+    assert router.match("POST", "/a").route.handler is second
+
+
+def test_other_pattern_with_the_method():
+    router = Router()
+    router.add("/{name}", first)
+    router.add("/login", second, methods=["POST"])
+    found = router.match("POST", "/login")
+    assert (found.route.handler, found.params) == (second, {})
+
+
+def test_all_methods_of_a_path_are_named():
+    router = Router()
+    router.add("/a", first)
+    router.add("/b", first, methods=["PATCH"])
+    router.add("/a", second, methods=["POST", "PUT"])
+    with pytest.raises(MethodNotAllowed) as caught:
+        router.match("DELETE", "/a")
+    assert caught.value.allowed == ["GET", "HEAD", "POST", "PUT"]
+
+
 def test_methods_are_not_case_sensitive_when_added():
     router = Router()
     router.add("/a", first, methods=["post"])
EOF_5127408931
: '>>>>> Start Test Output'
python3 -m pytest -rA -p no:cacheprovider tests/test_app.py tests/test_router.py
: '>>>>> End Test Output'
git checkout 4ffac82ad519920910f3bec690f031594787750e tests/test_app.py tests/test_router.py
