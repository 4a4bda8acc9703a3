"""The page: one file that needs nothing else, and in which text is only text."""

import html.parser
import re

import numpy as np
import pytest

from limitset.report import Page, Section, Table, draw_recovery, draw_training, render_page

ANYWHERE = re.compile(r"[a-z]+://[^\s\"'<>)]+", re.IGNORECASE)
# Names of vocabularies, which no browser fetches.
NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
LOADING = {"script", "iframe", "object", "embed", "link", "base", "form", "img", "image", "audio"}
HOSTILE = "<script>alert('x')</script> & \"quoted\" {{ 7 * 7 }} {% raw %}"


class Outline(html.parser.HTMLParser):
    """Which tags a page opens and leaves open, with which attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.unclosed: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "br", "hr"):
            self.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    found.close()
    assert found.unclosed == []
    return found


@pytest.fixture(scope="module")
def figures() -> tuple[str, str]:
    decay = 0.9 ** np.arange(30)
    distances = np.outer([1.0, 2.0, 3.0], decay)
    losses = np.linspace(2.0, 0.5, 5)
    return (
        draw_recovery(distances, 2 * distances, 0.95, 1e-5, "faults", 4),
        draw_training(losses, 0.9 + 0 * losses, losses),
    )


def page(text: str, figures: tuple[str, ...] = ()) -> Page:
    table = Table((text, "b"), ((text, "1"), ("2", text)))
    sections = (Section(text, (text, text), figures, table), Section("bare", ()))
    return Page(text, text, sections, text)


def test_it_refers_to_nothing_outside(figures: tuple[str, str]):
    text = render_page(page("A network", figures))
    assert set(ANYWHERE.findall(text)) <= NAMESPACES
    found = outline(text)
    assert LOADING.isdisjoint(found.opened)
    for name, value in found.attributes:
        assert not name.startswith("on")
        if name in ("href", "xlink:href", "src", "srcset", "data", "action", "poster"):
            assert value.startswith("#"), (name, value)
    # Style sheets and style attributes load through url(...) and @import only.
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", text))
    assert "@import" not in text


def test_text_is_escaped_everywhere():
    text = render_page(page(HOSTILE))
    found = outline(text)
    assert "script" not in found.opened and "49" not in found.text
    # title, heading, summary, section heading, 2 paragraphs, 3 cells, footer
    assert found.text.count(HOSTILE) == 10


def test_figures_are_put_in_as_they_are(figures: tuple[str, str]):
    text = render_page(page("A network", figures))
    assert all(figure in text for figure in figures)
    assert outline(text).opened.count("figure") == 2


def test_parts_that_are_absent_leave_no_traces():
    found = outline(render_page(Page("title", "summary", (Section("bare", ()),), "made")))
    assert {"table", "figure"}.isdisjoint(found.opened)
    assert found.opened.count("h2") == 1


def test_it_is_a_complete_document():
    text = render_page(Page("title", "summary", (), "made"))
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    assert '<meta charset="utf-8">' in text and '<html lang="en">' in text
    assert render_page(Page("title", "summary", (), "made")) == text
