"""What a source or a branch calls itself does nothing where a person reads it."""

import html
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from marvel_assets.evaluation.gate import GateResult, Slice
from marvel_assets.tracking.model_card import gate_report
from marvel_assets.utils.redaction import escape_control, escape_markdown, redact_url, sanitize_label

NAMES = [
    "=1+1",
    "<script>alert(1)</script>",
    "![x](https://evil.example/p.png)",
    "a | b | `code` **bold** _it_ $$x^2$$",
    "line\n# heading\n| a |",
    "&lt;b&gt; \\<b>",
    "\x1b[31mred\x00",
    "https://evil.example www.evil.example me@evil.example",
    "Earth-616",
]


def rendered(markdown: str) -> str:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=5)
@given(after=st.text(max_size=20))
@example(after="")
def test_a_name_is_shown_letter_by_letter_and_as_nothing_else(name: str, after: str):
    # given
    text = name + after

    # when
    shown = rendered(f"| column | rows |\n|---|---|\n| Universe {escape_markdown(text)} | 5 |\n")

    # then
    [cell, rows] = re.findall(r"<td>(.*?)</td>", shown, flags=re.DOTALL)
    assert "<" not in cell
    assert html.unescape(cell) == f"Universe {escape_control(text)}".rstrip()
    assert rows == "5"


@given(st.text())
def test_what_is_printable_fits_into_a_line(text: str):
    # then
    assert escape_control(text).isprintable()
    assert escape_control(escape_control(text)) == escape_control(text)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_sentence_is_the_same_as_text_and_as_markdown(name: str):
    # when
    words = sanitize_label(name)

    # then
    assert html.unescape(rendered(f"where it is {words}.")) == f"<p>where it is {words}.</p>\n"
    assert words.isprintable()


@pytest.mark.parametrize("name", NAMES)
def test_the_gates_report_holds_no_more_than_they_would_of_an_ordinary_name(name: str):
    # given
    def report(called: str) -> str:
        slices = (Slice("Universe", called, 500, 0.6, 0.5, 0.7),)
        return gate_report(GateResult((f"it refused {called}",), (called,), (), slices, called, called))

    # when
    odd, ordinary = report(name), report("Earth-616")

    # then
    assert re.findall(r"</?\w+", rendered(odd)) == re.findall(r"</?\w+", rendered(ordinary))
    assert len(odd.splitlines()) == len(ordinary.splitlines())
    assert "://" not in odd


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("https://example.com/a/x.csv", "https://example.com/a/x.csv"),
        ("https://u:p@example.com:8080/x.csv?sig=1&se=2#f", "https://example.com:8080/x.csv?…"),
        ("https://u:p@ss@example.com/x", "https://example.com/x"),
        ("https://u:p/w@example.com/x", "https://… (an address that can't be parsed)"),
        ("http://[::1", "http://… (an address that can't be parsed)"),
        ("s3://key:secret@bucket/x.csv", "s3://bucket/x.csv"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, redacted: str):
    # then
    assert redact_url(url) == redacted
