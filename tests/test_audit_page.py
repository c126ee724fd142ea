"""The page of audits: whole, escaped, without network; the picture in SVG and with matplotlib."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.patches import Rectangle

import tokennet as tn
from tokennet.audit.pages import draw_matrix, write_page
from tokennet.audit.pages.matrix import LEGEND, SIGNS, rows_of, svg
from tokennet.audit.pages.page import number, page
from tokennet.audit.report import AuditReport, AuditVerdict
from tokennet.verify.plans import Plan
from tokennet.verify.report import Witness

VOID = {"meta", "br", "link", "img", "input"}
EVIL = "<script>alert('x')</script>&\""


def verdict(name, status, promised=True, **stated):
    return AuditVerdict(name, status, promised, **stated)


def report(*verdicts, module="Net", **stated):
    return AuditReport(module, {v.name: v for v in verdicts}, **stated)


WITNESS = Witness(Plan((1, 3), "holes"), "tokens after position 0 changed", "output")
BROKEN = report(
    verdict(
        "Causality", "broken", error=0.31, floor=2.1e-15, cases=12, bites=9, witness=WITNESS,
        blame="layers.0.attention", reproduction="import torch\nnet(x < 3)", note="f(x)[t] = ...",
    ),
    verdict("Padding", "holds", error=4e-16, floor=3e-15, cases=7, bites=5),
    verdict("Prefix", "broken", False),
    verdict("Locality", "not applicable", note="no edges"),
    facts={"tokens": True, "order": False}, refusals={"RuntimeError: too long": 3},
    inputs=40, seconds=1.25, seed=11, source="torch Net",
)  # fmt: skip
FINE = report(
    verdict("Finite", "holds"), verdict("Padding", "undecided", note="too few"),
    verdict("Causality", "holds", False), verdict("GradientOf(Padding)", "holds", False),
)  # fmt: skip


class Reader(HTMLParser):
    """Checks that what is opened is closed, in turn; collects tags, words and anchors."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.words, self.ids, self.links = [], [], [], [], []
        self.attributes = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(reports) -> Reader:
    reader = Reader()
    reader.feed(page(reports))
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_says_what_was_found():
    words = " ".join(read({"my:net": BROKEN, "other": FINE}).words)
    for part in (
        "Audit of 2 modules", "Something is broken in 1 of 2 modules.", "my:net",
        "Broken: Causality.",
        "tokens after position 0 changed, seen in the output",
        "lengths (1, 3), holes, random edges, eval",
        "layers.0.attention", "import torch\nnet(x < 3)", "f(x)[t] = ...", "0.31", "2.1·10⁻¹⁵",
        "the output depends on tokens; not on order", "3 x RuntimeError: too long", "no edges",
        "40 inputs, seed 11, 1.2 s", "torch Net", "too few", "Nothing broken.", "(not promised)",
    ):  # fmt: skip
        assert part in words, part


def test_one_module_is_named_in_the_title():
    words = read({"only": BROKEN}).words
    assert words.count("Audit of only") == 2
    assert "Broken: Causality." in words


def test_links_stay_on_the_page_and_lead_somewhere():
    reader = read({"a": BROKEN, "b": FINE})
    assert len(reader.links) == 2 + 7  # the names, and the cells with a verdict
    assert {link.removeprefix("#") for link in reader.links} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))
    assert all(link.startswith("#") for link in reader.links)
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert "://" not in page({"a": BROKEN})
    assert "url(" not in page({"a": BROKEN})


def test_everything_is_escaped():
    evil = report(
        AuditVerdict(
            EVIL, "broken", note=EVIL, blame=EVIL, reproduction=EVIL,
            witness=Witness(Plan((1,), layout=EVIL), EVIL, EVIL),
        ),
        AuditVerdict(EVIL + "2", "not applicable", note=EVIL),
        module=EVIL, facts={EVIL: True, EVIL + "3": False}, refusals={EVIL: 1}, source=EVIL,
    )  # fmt: skip
    reader = read({EVIL: evil, "b": FINE})
    assert "script" not in reader.tags
    assert "<script>" not in page({EVIL: evil})
    found = " ".join(reader.words).count("alert('x')")
    assert found >= 14, "not everything is there"
    assert not any(name.startswith("on") for name, _ in reader.attributes)


def test_many_modules_are_folded():
    few, many = read({str(i): BROKEN for i in range(4)}), read({str(i): BROKEN for i in range(5)})
    assert (few.tags.count("details"), few.attributes.count(("open", None))) == (4, 4)
    assert (many.tags.count("details"), many.attributes.count(("open", None))) == (5, 0)


def test_light_and_dark():
    assert "prefers-color-scheme: dark" in page({"a": FINE})
    assert "color-scheme: light dark" in page({"a": FINE})


def test_nothing_applicable():
    empty = report(verdict("Locality", "not applicable", note="no edges"))
    assert "No property says anything of these modules." in read({"a": empty}).words
    assert draw_matrix({"a": empty}).get_yticks().tolist() == []


def test_written_wholly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "page.html"
    target.write_text("old")
    assert write_page({"a": FINE}, str(target)) == target
    first = target.read_bytes()
    assert write_page({"a": FINE}, target).read_bytes() == first, "the same page from the same"
    assert "✓".encode() in first

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_page({"a": BROKEN}, target)
    assert target.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_no_report_is_refused(tmp_path: Path, no_typecheck: None):
    for wrong, error in (({}, ValueError), (FINE, TypeError), ({"a": 3}, TypeError)):
        for use in (lambda w: write_page(w, tmp_path / "p.html"), draw_matrix):
            with pytest.raises(error, match="reports"):
                use(wrong)
    assert list(tmp_path.iterdir()) == []


def test_rows_are_in_the_order_of_the_library():
    own = report(verdict("Locality(hops=2)", "holds"))
    rows = rows_of({"a": BROKEN, "b": FINE, "c": own})
    assert rows == (
        "Padding", "Causality", "Prefix", "Finite", "GradientOf(Padding)", "Locality(hops=2)"
    )  # fmt: skip


def cells(reports):
    """(class, sign, title) of each cell, row by row."""
    tree = ElementTree.fromstring(svg(reports))
    groups = list(tree.iter("g"))
    return [(g.get("class"), g.find("text").text, g.find("title").text) for g in groups]


def test_the_picture_has_a_sign_in_each_cell():
    found = cells({"a": BROKEN, "b": FINE})
    assert len(found) == 2 * 5
    assert found[:4] == [
        ("holds", "✓", "a: Padding holds"),
        ("undecided", "?", "b: Padding undecided"),
        ("broken", "✗", "a: Causality broken"),
        ("holds pale", "✓", "b: Causality holds, not promised"),
    ]
    assert found[4:6] == [
        ("broken pale", "✗", "a: Prefix broken, not promised"),
        ("not", "·", "b: Prefix no verdict"),
    ]
    assert len(set(SIGNS.values())) == len(SIGNS), "signs differ without colours"
    assert {kind.status for kind in LEGEND} == set(SIGNS)


def boxes(reports):
    """The places of all names, as boxes (left, top, right, bottom) of letters 7.5 px wide."""
    tree = ElementTree.fromstring(svg(reports))
    found = []
    for text in tree.iter("text"):
        if text.get("class") != "name":
            continue
        wide = 7.5 * len(text.text)
        if text.get("transform"):
            x, y = map(
                float, re.findall(r"translate\(([\d.]+) ([\d.]+)\)", text.get("transform"))[0]
            )
            found.append((x - 10, y - wide, x + 2, y))
        else:
            x, y = float(text.get("x")), float(text.get("y"))
            left = x - wide / (2 if text.get("text-anchor") == "middle" else 1)
            found.append((left, y - 10, left + wide, y + 2))
    return found, float(tree.get("width")), float(tree.get("height"))


@pytest.mark.parametrize("count", [1, 3, 9, 40])
@pytest.mark.parametrize("name", ["n", "package.models.encoder:make_an_encoder_of_long_name"])
def test_names_do_not_overlap(count: int, name: str):
    places, width, height = boxes({f"{name}{i}": (BROKEN, FINE)[i % 2] for i in range(count)})
    assert len(places) == count + (5 if count > 1 else 3)
    for i, (left, top, right, bottom) in enumerate(places):
        assert left >= 0, "out of the picture"
        assert top >= 0
        assert right <= width + 0.5
        assert bottom <= height + 0.5
        for other in places[:i]:
            apart = left >= other[2] or other[0] >= right or top >= other[3] or other[1] >= bottom
            assert apart, (places[i], other)
    assert width <= 260 + max(900, 26 * count)


def test_long_names_keep_their_end():
    name = "package.models.encoder:make_an_encoder_of_long_name"
    text = svg({name + "1": BROKEN, name + "2": FINE})
    drawn = re.findall(r">([^<]*…[^<]*)<title>([^<]*)<", text)
    assert [full for _, full in drawn] == [name + "1", name + "2"]
    assert [short[-1] for short, _ in drawn] == ["1", "2"]


@pytest.mark.parametrize("count", [1, 40])
def test_matplotlib_draws_the_same_picture(count: int):
    ax = draw_matrix({f"module{i}": (BROKEN, FINE)[i % 2] for i in range(count)})
    rows = 3 if count == 1 else 5
    fills = [p.get_facecolor() for p in ax.patches if isinstance(p, Rectangle)]
    assert len(fills) == count * rows
    assert len(set(fills)) == (3 if count == 1 else 6)
    assert [t.get_text() for t in ax.get_xticklabels()][:1] == ["module0"]
    assert [t.get_text() for t in ax.texts].count("✗") == (2 if count == 1 else 40)
    ax.figure.canvas.draw()
    spans = [t.get_window_extent() for t in ax.get_xticklabels()]
    assert all(a.x1 <= b.x0 + 0.5 for a, b in pairwise(spans))


def test_matplotlib_draws_on_given_axes():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert draw_matrix({"a": BROKEN}, ax) is ax
    assert len(ax.patches) == 3


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0"), (0.314, "0.31"), (12.0, "12"), (345.6, "346"), (2.1e-15, "2.1·10⁻¹⁵"),
     (5e7, "5.0·10⁷"), (float("inf"), "∞"), (float("nan"), "nan")],
)  # fmt: skip
def test_numbers_are_short(value: float, words: str):
    assert number(value) == words


def test_a_real_audit_has_its_page(tmp_path: Path):
    import torch
    from torch import nn

    class Sum(nn.Module):
        def forward(self, x):
            return x + x.sum(1, keepdim=True)

    found = tn.audit(Sum(), torch.randn(2, 4, 3), properties=["Causality"], quick=True)
    write_page({"sum": found}, tmp_path / "sum.html")
    reader = read({"sum": found})
    assert "Broken: Causality." in reader.words
    shown = [v for v in found.verdicts.values() if v.status != "not applicable"]
    assert len(shown) == len(cells({"sum": found})) > 8
