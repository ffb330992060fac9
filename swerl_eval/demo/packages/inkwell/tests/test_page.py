from inkwell import render_page
from inkwell.page import load_template


def test_title_comes_from_the_first_heading():
    assert "<title>A &amp; B</title>" in render_page("= A & *B*")


def test_given_title_wins():
    assert "<title>Other</title>" in render_page("= A", title="Other")


def test_title_of_a_text_without_headings():
    assert "<title>Untitled</title>" in render_page("hello")


def test_toc_only_on_request():
    assert "toc" not in render_page("= A")
    assert '<nav class="toc">' in render_page("= A", with_toc=True)


def test_letters_are_kept_as_they_are():
    assert "<p>naïve café – 5 €</p>" in render_page("naïve café – 5 €")


def test_template_has_its_three_fields():
    template = load_template().template
    assert [template.count(f) for f in ("$title", "$toc", "$body")] == [1, 1, 1]
