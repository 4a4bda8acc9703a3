"""One self-contained HTML page: no scripts, no files beside it, nothing from a network."""

from dataclasses import dataclass

import jinja2


@dataclass(frozen=True)
class Table:
    """Rows of text under a header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, and then figures (SVG text) and a table where there are any."""

    heading: str
    paragraphs: tuple[str, ...]
    figures: tuple[str, ...] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Page:
    """Title, one-paragraph summary, sections, and a line on how it was made."""

    title: str
    summary: str
    sections: tuple[Section, ...]
    made_by: str


def render_page(page: Page) -> str:
    """The page as HTML text; everything but figures is escaped.

    >>> "<h1>A &amp; B</h1>" in render_page(Page("A & B", "", (), ""))
    True
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_TEMPLATE).render(page=page)


_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ page.title }}</title>
<style>
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1d1d1f; background: #fbfbfa; margin: 0; }
main { max-width: 46rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .75rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
p.summary { font-size: 1.08rem; border-left: 4px solid #1b6ca8; padding: .2rem 0 .2rem 1rem; }
figure { margin: 1rem 0; background: #fff; border: 1px solid #e6e6e3; border-radius: 6px; }
figure svg { padding: .75rem; box-sizing: border-box; }
figure svg { width: 100%; height: auto; display: block; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; margin: .75rem 0; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #e6e6e3; }
th, td { vertical-align: top; }
td { font-variant-numeric: tabular-nums; }
td.short { white-space: nowrap; }
footer { margin-top: 3rem; font-size: .85rem; color: #6b6b70; }
</style>
</head>
<body>
<main>
<h1>{{ page.title }}</h1>
<p class="summary">{{ page.summary }}</p>
{% for section in page.sections %}
<h2>{{ section.heading }}</h2>
{% for paragraph in section.paragraphs %}
<p>{{ paragraph }}</p>
{% endfor %}
{% for figure in section.figures %}
<figure>{{ figure | safe }}</figure>
{% endfor %}
{% if section.table %}
<table>
<tr>{% for cell in section.table.header %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in section.table.rows %}
<tr>{% for cell in row -%}
<td{% if cell|length < 20 %} class="short"{% endif %}>{{ cell }}</td>
{%- endfor %}</tr>
{% endfor %}
</table>
{% endif %}
{% endfor %}
<footer>{{ page.made_by }}</footer>
</main>
</body>
</html>
"""
