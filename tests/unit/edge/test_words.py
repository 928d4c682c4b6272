"""Our descriptions as HTML."""

from __future__ import annotations

from prog_edge.api.words import breakable, inline, paragraphs


def test_marks_become_elements_and_the_rest_stays_text() -> None:
    assert inline("**Bold** and `a < b` & <i>") == "<strong>Bold</strong> and <code>a &lt; b</code> &amp; &lt;i&gt;"
    assert inline("`<script>`") == "<code>&lt;script&gt;</code>"


def test_blocks_of_lines_become_paragraphs() -> None:
    assert paragraphs("one\ntwo\n\n\n\nthree\n") == "<p>one two</p><p>three</p>"


def test_a_path_breaks_before_its_slashes() -> None:
    assert breakable("/v1/{x}") == "<wbr>/v1<wbr>/{x}"
