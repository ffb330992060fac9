import pytest

from waypost.errors import UrlError
from waypost.router import Router
from waypost.urls import build_url


@pytest.fixture
def router():
    result = Router()
    for pattern, name in [
        ("/", "home"),
        ("/users/{id:int}", "user"),
        ("/tags/{tag}", "tag"),
        ("/files/{path:path}", "file"),
    ]:
        result.add(pattern, lambda request, **params: params, name=name)
    return result


def test_plain_path(router):
    assert build_url(router, "home", {}) == "/"


def test_parameters(router):
    assert build_url(router, "user", {"id": 12}) == "/users/12"
    assert build_url(router, "tag", {"tag": "python"}) == "/tags/python"


def test_path_parameter_keeps_its_slashes(router):
    assert build_url(router, "file", {"path": "a/b.txt"}) == "/files/a/b.txt"


def test_other_values_go_to_the_query(router):
    assert build_url(router, "user", {"id": 1, "q": "a b", "n": [1, 2]}) == (
        "/users/1?q=a+b&n=1&n=2"
    )


def test_unknown_name(router):
    with pytest.raises(UrlError, match="no route"):
        build_url(router, "none", {})


def test_missing_value(router):
    with pytest.raises(UrlError, match="needs a value"):
        build_url(router, "user", {})


def test_negative_number(router):
    with pytest.raises(UrlError, match="negative"):
        build_url(router, "user", {"id": -1})
