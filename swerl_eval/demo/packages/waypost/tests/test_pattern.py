import pytest

from waypost.errors import PatternError, UrlError
from waypost.pattern import Pattern


@pytest.mark.parametrize(
    ("pattern", "path", "params"),
    [
        ("/", "/", {}),
        ("/about", "/about", {}),
        ("/users/{id:int}", "/users/07", {"id": 7}),
        ("/tags/{tag}", "/tags/two%20words", {"tag": "two words"}),
        ("/posts/{title:slug}/edit", "/posts/a-title/edit", {"title": "a-title"}),
        ("/static/{file:path}", "/static/css/site.css", {"file": "css/site.css"}),
        ("/{a}-{b:int}", "/x-y-3", {"a": "x-y", "b": 3}),
    ],
    ids=["root", "literal", "int", "str", "slug", "path", "two"],
)
def test_match(pattern, path, params):
    assert Pattern(pattern).match(path) == params


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/about", "/about/"),
        ("/users/{id:int}", "/users/x"),
        ("/tags/{tag}", "/tags/a/b"),
        ("/tags/{tag}", "/tags/"),
        ("/posts/{title:slug}", "/posts/A-Title"),
    ],
    ids=["slash", "letters", "segments", "nothing", "capitals"],
)
def test_no_match(pattern, path):
    assert Pattern(pattern).match(path) is None


@pytest.mark.parametrize(
    "text",
    ["about", "/{id:number}", "/{id", "/a}", "/{a}/{a}"],
    ids=["no-slash", "kind", "open", "close", "twice"],
)
def test_bad_patterns(text):
    with pytest.raises(PatternError):
        Pattern(text)


def test_build():
    assert Pattern("/log-in/{id:int}/ok").build({"id": 3}) == "/log-in/3/ok"


def test_build_needs_all_values():
    with pytest.raises(UrlError, match="needs a value for id"):
        Pattern("/users/{id:int}").build({})


def test_names():
    assert Pattern("/{a}/x/{b:int}").names == ["a", "b"]
