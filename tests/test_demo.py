"""The demo, end to end in its quick form, and its parts."""

import json
import re
from html.parser import HTMLParser

import pytest
import torch
from rich.console import Console

from tokennet.demo.broken import MaxOfAll, MaxOfSample
from tokennet.demo.data import digits, karate, shuffle_patches
from tokennet.demo.nets import GRAPH_MIXERS, IMAGE_MIXERS, graph_net, image_net
from tokennet.demo.page import scientific
from tokennet.demo.results import percent
from tokennet.demo.run import MissingExtraError, require_extras, run_demo
from tokennet.files import write_atomically
from tokennet.verify import verify


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The results of a quick run with two seeds, the folder, and what the terminal showed."""
    out = tmp_path_factory.mktemp("demo") / "made" / "for this"
    with (out.parent.parent / "terminal.txt").open("w+") as file:
        console = Console(file=file, width=80)
        results = run_demo(out, seeds=2, quick=True, console=console)
        file.seek(0)
        yield results, out, file.read()


class Resources(HTMLParser):
    """Collects everything that a page would load, and its table rows as texts."""

    def __init__(self):
        super().__init__()
        self.loaded, self.rows, self.inside = [], [], False

    def handle_starttag(self, tag, attrs):
        names = ("src", "srcset", "href", "data", "poster", "action")
        self.loaded += [(tag, v) for k, v in attrs if k in names]
        self.inside |= tag == "tr"
        if tag == "tr":
            self.rows.append("")

    def handle_endtag(self, tag):
        self.inside &= tag != "tr"

    def handle_data(self, data):
        if self.inside:
            self.rows[-1] += " " + data.strip()


def read_page(out):
    parser = Resources()
    text = (out / "index.html").read_text()
    parser.feed(text)
    return text, parser


def test_files_are_complete_and_nothing_else_is_left(made):
    _, out, terminal = made
    assert sorted(p.name for p in out.iterdir()) == ["figure.png", "index.html", "results.json"]
    png = (out / "figure.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert png.rstrip().endswith(b"IEND\xaeB`\x82")
    text, _ = read_page(out)
    assert text.rstrip().endswith("</html>")
    for name in ("index.html", "figure.png", "results.json"):
        assert str(out / name) in terminal


def test_page_loads_nothing_from_elsewhere(made):
    text, parser = read_page(made[1])
    assert len([v for tag, v in parser.loaded if v.startswith("data:image/png")]) == 4
    assert [v for _, v in parser.loaded if not v.startswith("data:")] == []
    assert not re.search(r"@import|url\(|<script|https?://", text)


def test_numbers_on_the_page_are_the_results(made):
    results, out, terminal = made
    _, parser = read_page(out)
    rows = [row for row in parser.rows if "accuracy" not in row]
    assert len(rows) == len(results.rows) == 12
    for row, text in zip(results.rows, rows, strict=True):
        assert text.split()[0] == row.variant.operator.split()[0]
        for part in (
            percent(row),
            f"{row.certificate.parameters:,}",
            row.certificate.status,
            scientific(row.certificate.error),
            *row.certificate.strongest,
        ):
            assert part in text, (part, text)
        assert percent(row) in terminal
        if row.shuffled is not None:
            assert f"{row.shuffled:.1f}" in text


def test_json_holds_the_same_numbers(made):
    results, out, _ = made
    found = json.loads((out / "results.json").read_text())
    assert [n["accuracy_mean"] for n in found["nets"]] == [r.mean for r in results.rows]
    assert all(n["n"] == 2 and len(n["accuracies"]) == 2 for n in found["nets"])


def test_every_net_keeps_its_promises(made):
    results, _, _ = made
    assert [r.certificate.report for r in results.rows if not r.certificate.ok] == []


def test_permutation_holds_to_rounding_exactly_where_it_is_claimed(made):
    results, _, _ = made
    held = {r.variant for r in results.image_rows if "Permutation" in r.certificate.claims}
    assert {(v.operator, v.position) for v in held} == {("full attention", False), ("1x1", False)}
    for row in results.image_rows:
        found = row.certificate
        if row.variant in held:
            assert (found.status, found.role) == ("held", "claim")
            assert found.error < 1e-12
        else:
            assert (found.status, found.role) == ("broken", "measured")
            assert found.error > 0.1


def test_only_nets_that_claim_permutation_ignore_shuffled_patches(made):
    results, _, _ = made
    for row in results.image_rows:
        same = [r.shuffled == pytest.approx(r.accuracy, abs=0.2) for r in row.runs]
        if "Permutation" in row.certificate.claims:
            assert all(same)


def test_same_seeds_give_the_same_numbers(made):
    from tokennet.demo.jobs import QUICK, certify, train

    row = made[0].image_rows[-2]
    assert certify(row.variant, QUICK).error == pytest.approx(row.certificate.error)
    for row in (made[0].image_rows[2], made[0].graph_rows[0]):
        again = train(row.variant, 1, QUICK)
        assert again.accuracy == pytest.approx(row.runs[1].accuracy, abs=0.2)


def test_the_planted_defect_is_found_and_the_repaired_twin_holds(made):
    examples = {e.name: e for e in made[0].examples}
    assert "PaddingBlindness" in examples["MaxOfAll"].broken
    assert examples["MaxOfSample"].ok
    assert not verify(MaxOfAll(), dim=3, examples=20).ok
    verify(MaxOfSample(), dim=3, examples=20).raise_if_broken()


def test_shuffled_patches_are_the_same_patches_in_another_order():
    images = torch.arange(2 * 64.0).view(2, 1, 8, 8)
    shuffled = shuffle_patches(images, 0)
    assert shuffled.shape == images.shape
    assert not torch.equal(shuffled, images)

    def patches(x):
        cut = torch.nn.functional.unfold(x, 2, stride=2).transpose(1, 2)  # [B, 16, 4]
        return [sorted(map(tuple, sample.tolist())) for sample in cut]

    assert patches(shuffled) == patches(images)


def test_digits_are_split_without_overlap():
    data = digits()
    assert (len(data.fit), len(data.test)) == (1200, 597)
    assert data.fit.max() == 1
    assert len(data.test_labels.unique()) == 10


def test_the_karate_club_labels_its_two_leaders():
    graph = karate()
    assert graph.structure.edges.index.shape == (2, 156)  # 78 edges, both ways
    assert graph.fit.sum() == 2
    assert graph.labels[graph.fit].tolist() == [0, 1]
    assert not (graph.fit & graph.test).any()


@pytest.mark.parametrize("position", [False, True])
@pytest.mark.parametrize("name", IMAGE_MIXERS)
def test_image_nets_answer(name, position):
    net = image_net(IMAGE_MIXERS[name], position=position)
    assert net(torch.rand(3, 1, 8, 8)).shape == (3, 10)


@pytest.mark.parametrize("name", GRAPH_MIXERS)
def test_graph_nets_answer(name):
    graph = karate()
    net = graph_net(GRAPH_MIXERS[name], graph.x.shape[1], graph.classes)
    assert net(graph.x, graph.structure).shape == (34, 2)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "page.html", b"old")

    def fail(self, target):
        raise OSError("no space")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert path.read_bytes() == b"old"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"matplotlib.*pip install 'tokennet\[demo\]'"):
        require_extras()


@pytest.mark.parametrize(
    ("value", "text"), [(1.94, "1.9"), (0.0, "0.00"), (2.1e-15, "2.1·10⁻¹⁵"), (float("inf"), "∞")]
)
def test_scientific(value, text):
    assert scientific(value) == text
