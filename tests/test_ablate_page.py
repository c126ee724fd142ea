"""The page of an ablation: whole, escaped, without network; each number leads to its runs."""

import base64
import re
import statistics
import sys
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest
from ablate_samples import EVIL, difficult, planted

from tokennet.ablate.record import FAILED
from tokennet.ablate.report import extras
from tokennet.ablate.report.numbers import digits_for
from tokennet.ablate.report.page import page, write_page
from tokennet.ablate.report.sketch import DARK, LIGHT
from tokennet.ablate.report.tables import as_csv
from tokennet.ablate.request import MissingAblateError

VOID = {"meta", "br", "link", "img", "input"}
CASES = difficult()
PAGES = [name for name in CASES if name not in ("huge", "two seeds", "all missing", "no store")]


class Reader(HTMLParser):
    """Checks that what is opened is closed, in turn; keeps rows of tables, ids and links."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.headings = [], [], [], [], []
        self.words, self.attributes, self.rows = [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("href", "src", "xlink:href") if name in given]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "tr":
            self.rows.append([[], [i for i in self.ids if not re.match("[mp][0-9a-f]{10}", i)][-1]])
        if tag in ("td", "th"):
            self.rows[-1][0].append([])
        if tag == "a" and {"td", "th"} & set(self.open):
            self.rows[-1][0][-1].append(given["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][0][-1].append(data.strip())


@cache
def html(name: str) -> str:
    return page(CASES[name])


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole_and_needs_nothing(name: str) -> None:
    text = html(name)
    found = read(text)
    assert len(set(found.ids)) == len(found.ids)
    inside = {link[1:] for link in found.links if link.startswith("#")}
    assert inside <= set(found.ids)
    assert {f"cell-{i}" for i in range(len(CASES[name].plan.cells))} <= set(found.ids)
    outside = [link for link in found.links if not link.startswith("#")]
    assert outside[0] == "data:,"
    assert [link.partition(",")[0] for link in outside[1:]] == ["data:text/csv;base64"]
    assert not {"script", "iframe", "object", "img", "foreignobject"} & set(found.tags)
    assert not [a for a in found.attributes if a[1].startswith("on")]
    assert re.findall(r"url\((?!#)|@import|https?:|xmlns", text) == []
    for url in re.findall(r"url\(#([^)]*)\)", text):
        assert url in found.ids
    assert re.findall(r"nan|None|Undefined", re.sub(r"\b(an|none|nan)\b", "", said(found))) == []


def said(found: Reader) -> str:
    return " ".join(found.words)


@pytest.mark.parametrize("name", PAGES)
def test_page_can_be_read_without_eyes(name: str) -> None:
    found = read(html(name))
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(found.headings, found.headings[1:], strict=False))
    labels = [a for a in found.attributes if a[0] == "svg" and a[1] == "aria-label" and a[2]]
    assert len(labels) == found.tags.count("svg")
    regions = [a for a in found.attributes if a[1:] == ("role", "region")]
    assert len(regions) == found.tags.count("table")  # each in a box that scrolls


def ranking(text: str) -> list:
    """The rows of the ranking: rank, links and words of each cell."""
    section = text.partition('<section id="ranking">')[2].partition("</section>")[0]
    return [row for row, _ in read(f"<div id='x'>{section}</div>").rows[1:]]


@pytest.mark.parametrize("name", PAGES)
def test_each_number_leads_to_its_runs(name: str) -> None:
    ablation = CASES[name]
    rows = ranking(html(name)) if ablation.analysis.ranking else []
    assert len(rows) == len(ablation.analysis.ranking)
    runs = {}
    for cells, where in read(html(name)).rows:
        runs.setdefault(where, []).append([words[-1] for words in cells if words])
    for rank, cells in enumerate(rows, 1):
        (target,) = {link for link, *_ in cells[1:] if link.startswith("#")}
        _, *mine = runs[target[1:]]
        assert cells[0] == [str(rank)]
        assert [row[0] for row in mine] == [str(seed) for seed in ablation.plan.seeds]
        values = [float(row[2]) for row in mine]
        deviation = statistics.stdev(values) if len(values) > 1 else None
        mean = statistics.fmean(values) if max(values) < 1e300 else values[0]
        said = digits_for([mean, *values], deviation).with_deviation(mean, deviation)
        assert cells[2][1] == said
        assert cells[5][1] == str(len(mine))


@pytest.mark.parametrize("name", PAGES)
def test_incomplete_cells_are_marked_and_not_ranked(name: str) -> None:
    ablation, text = CASES[name], html(name)
    lacking = [cell for cell in ablation.analysis.cells if not cell.complete]
    listed = text.partition('<ul class="plain">')[2].partition("</ul>")[0]
    marks = listed.count('<span class="chip bad">incomplete</span>')
    assert marks == len(lacking)
    places = {f"#cell-{ablation.analysis.cells.index(cell)}" for cell in lacking}
    linked = {link for row in (ranking(text) if places else []) for cell in row for link in cell}
    assert not places & linked
    pictures = "".join(re.findall(r'<figure class="card">.*?</figure>', text, flags=re.DOTALL))
    assert not [place for place in places if f'href="{place}"' in pictures]


def test_an_incomplete_cell_in_the_ranking_would_be_seen() -> None:
    """The check above can fail: an analysis that ranks what is incomplete goes red."""
    ablation = planted(status={(1, 2): FAILED})
    cells = ablation.analysis.cells
    ablation.__dict__["analysis"] = replace(ablation.analysis, ranking=cells)
    assert "#cell-1" in {link for row in ranking(page(ablation)) for cell in row for link in cell}


def test_failures_have_their_tracebacks() -> None:
    text = html("one failed")
    assert text.count("<details>") == 2
    assert "RuntimeError: out of &lt;memory&gt;" in text
    links = [link for link in read(text).links if link.startswith("#failure-")]
    assert len(set(links)) == 2


def test_labels_are_escaped() -> None:
    text = html("evil")
    assert "<script" not in text
    assert EVIL in said(read(text)).replace("  ", " ")
    assert read(text).headings == read(html("plain")).headings
    known = set(read(html("plain")).tags)
    assert set(read(text).tags) == known


def test_pictures_take_their_colours_from_the_page() -> None:
    pictures = re.findall(r"<svg.*?</svg>", html("found"), flags=re.DOTALL)
    assert len(pictures) == 10  # five, wide and narrow
    for picture in pictures:
        assert re.findall(r"#[0-9a-f]{6}\b", picture) == []
        names = set(re.findall(r"var\(--([\w-]+)\)", picture))
        assert {"paper", "ink", "series-0"} <= names <= set(DARK.named())
    assert len(set(LIGHT.named().values())) == len(LIGHT.named())
    assert set(LIGHT.named()) == set(DARK.named())
    for name, colour in DARK.named().items():
        assert f"--{name}: {colour};" in html("found")


def test_page_holds_the_runs_as_csv() -> None:
    (link,) = [link for link in read(html("found")).links if link.startswith("data:text/csv")]
    assert base64.b64decode(link.partition(",")[2]).decode() == as_csv(CASES["found"])


def test_configuration_is_resolved() -> None:
    section = html("one at a time").partition('<section id="configuration">')[2]
    words = [
        w for w in read(f"<p id='x'>{section.partition('</section>')[0]}</p>").words if w.strip()
    ]
    for key, value in (
        ("settings.task.batch", "64"), ("axes.norm", "before, after"), ("design", "one at a time"),
        ("baseline", "MLP, none, after"), ("seeds", "0, 1, 2, 3, 4, 5"),
        ("commits", "0a1b2c3d4e5f"),
    ):  # fmt: skip
        assert words[words.index(key) + 1] == value


def test_page_is_written_wholly_or_not_at_all(tmp_path, monkeypatch) -> None:
    path = tmp_path / "page.html"
    assert write_page(CASES["plain"], path) == path
    assert path.read_text() == html("plain")  # the same runs, the same page
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[write_page.__module__], "page", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_page(CASES["plain"], path)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert path.read_text() == html("plain")
    with pytest.raises(FileNotFoundError):
        CASES["all failed"].to_html(tmp_path / "nowhere" / "page.html")


def test_a_missing_package_is_named(monkeypatch) -> None:
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingAblateError, match=r"jinja2, matplotlib: pip install 'tokennet\[ab"):
        page(CASES["plain"])
