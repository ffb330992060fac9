import pytest

from waypost.errors import MethodNotAllowed, NotFound, PatternError
from waypost.router import Router


def first(request):
    return "first"


def second(request):
    return "second"


def test_routes_are_tried_in_order():
    router = Router()
    router.add("/a", first)
    router.add("/{name}", second)
    assert router.match("GET", "/a").route.handler is first
    assert router.match("GET", "/b").params == {"name": "b"}


def test_unknown_path():
    router = Router()
    router.add("/a", first)
    with pytest.raises(NotFound):
        router.match("GET", "/b")


def test_wrong_method():
    router = Router()
    router.add("/a", first)
    with pytest.raises(MethodNotAllowed) as caught:
        router.match("DELETE", "/a")
    assert caught.value.allowed == ["GET", "HEAD"]


def test_methods_are_not_case_sensitive_when_added():
    router = Router()
    router.add("/a", first, methods=["post"])
    assert router.match("POST", "/a").route.handler is first


def test_head_comes_with_get():
    router = Router()
    router.add("/a", first)
    assert router.match("HEAD", "/a").route.handler is first


def test_names_are_unique():
    router = Router()
    router.add("/a", first, name="x")
    with pytest.raises(PatternError, match="already"):
        router.add("/b", first, name="x")


def test_include():
    inner, outer = Router(), Router()
    inner.add("/new", first, methods=["POST"], name="new")
    outer.include("/posts/", inner)
    assert outer.match("POST", "/posts/new").route.name == "new"
