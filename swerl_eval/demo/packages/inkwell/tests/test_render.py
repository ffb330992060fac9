from inkwell import render


def test_paragraph_with_inline_markup():
    assert render("a *b* _c_ `d<e`") == (
        "<p>a <strong>b</strong> <em>c</em> <code>d&lt;e</code></p>"
    )


def test_underscores_inside_words_are_kept():
    assert render("snake_case_name") == "<p>snake_case_name</p>"


def test_text_is_escaped():
    assert render("<b> & c") == "<p>&lt;b&gt; &amp; c</p>"


def test_link():
    assert render("[docs|https://example.org/?a=1&b=2]") == (
        '<p><a href="https://example.org/?a=1&amp;b=2">docs</a></p>'
    )


def test_unsafe_link_is_only_its_label():
    assert render("[x|javascript:alert(1)]") == "<p>x</p>"


def test_bullet_list():
    assert render("- one\n- *two*") == ("<ul>\n<li>one</li>\n<li><strong>two</strong></li>\n</ul>")


def test_numbered_list():
    assert render("1. one\n2. two") == "<ol>\n<li>one</li>\n<li>two</li>\n</ol>"


def test_code_block_with_language():
    assert render("~~~ python\nx < 1\n~~~") == (
        '<pre><code class="language-python">x &lt; 1\n</code></pre>'
    )


def test_quote_and_rule():
    assert render("> a\n\n----") == "<blockquote>\n<p>a</p>\n</blockquote>\n<hr>"


def test_heading_has_an_id():
    assert render("== Über *uns*") == ('<h2 id="uber-uns">Über <strong>uns</strong></h2>')
