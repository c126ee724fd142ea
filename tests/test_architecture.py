"""The shape of the code: imports in one direction, small files, a light import, no stray paths."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tokennet
from tokennet import api

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tokennet"
FILES = sorted(PACKAGE.rglob("*.py"))
# imports point to the left only
LAYERS = [
    "checks",
    "files",
    "structure",
    "laws",
    "pairs",
    "topology",
    "ops",
    "mixers",
    "net",
    "inspect",
    "verify",
    "audit",
    "data",
    "tasks",
    "ablate",
    "interop",
    "surgery",
    "demo",
    "pytest_plugin",
    "api",
    "config",
    "cli_target",
    "cli_ablate",
    "cli_audit",
    "cli",
]
APART = [
    {"verify", "ablate", "interop"},
    {"audit", "ablate", "interop"},
]  # none of these imports another


def _layer(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def _imports(tree: ast.AST) -> list[str]:
    """Parts of tokennet that are imported, at the top or inside functions."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [node.module or ""]
    return [n.split(".")[1] if "." in n else "" for n in found if n.split(".")[0] == "tokennet"]


def _wrong(layer: str, imported: list[str]) -> list[str]:
    """The imports that point to the right, or between parts that stand apart."""
    if layer in ("__init__", "api", "cli", "demo"):
        return []
    bad = []
    for name in imported:
        if name == "" or name not in LAYERS or LAYERS.index(name) > LAYERS.index(layer):
            bad.append(name)
        if any(layer in group and name in group and name != layer for group in APART):
            bad.append(name)
    return bad


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_left(path: Path) -> None:
    layer = _layer(path)
    assert layer == "__init__" or layer in LAYERS, f"{layer} has no place in LAYERS"
    assert _wrong(layer, _imports(ast.parse(path.read_text()))) == []


def test_the_import_test_can_fail() -> None:
    assert _wrong("ops", _imports(ast.parse("from tokennet.net import Block"))) == ["net"]
    assert _wrong("verify", ["ablate"]) != []
    assert _wrong("laws", _imports(ast.parse("def f():\n    import tokennet.cli"))) == ["cli"]


def test_files_are_small() -> None:
    sources = [
        p for d in ("tokennet", "tests", "examples", "benchmarks") for p in (ROOT / d).rglob("*.py")
    ]
    long = {str(p): n for p in sources if (n := len(p.read_text().splitlines())) > 300}
    assert len(sources) > 40
    assert long == {}


def _arguments(tree: ast.AST) -> dict[str, int]:
    """Arguments of the constructors, without self; dataclasses list their fields instead."""
    found = {}
    for c in ast.walk(tree):
        if isinstance(c, ast.ClassDef):
            for f in c.body:
                if isinstance(f, ast.FunctionDef) and f.name == "__init__":
                    given = [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]
                    found[c.name] = len(given) - 1
                    assert f.args.kwarg is None, f"{c.name} passes **kwargs on"
    return found


def test_constructors_are_short() -> None:
    """Parts are passed as modules: eight arguments at most."""
    counts = [_arguments(ast.parse(path.read_text())) for path in FILES]
    found = {name: n for each in counts for name, n in each.items()}
    assert len(found) > 60
    assert {name: n for name, n in found.items() if n > 8} == {}


def _modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(' '.join(m.split('.')[0] for m in sys.modules))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


def test_import_costs_torch_and_nothing_heavier() -> None:
    """What torch brings itself (networkx, jinja2, numpy) does not count."""
    heavy = {
        "torch_geometric",
        "hypothesis",
        "matplotlib",
        "sklearn",
        "scipy",
        "pandas",
        "rich",
        "typer",
        "transformers",
    }
    assert _modules_after("import tokennet as tn; tn.Attention") & {*heavy, "sympy"} == set()
    used = _modules_after("import tokennet as tn; tn.verify(tn.Pointwise(2), examples=1)")
    assert "hypothesis" not in used


def test_public_names() -> None:
    """`__all__` is written by hand, sorted, and complete."""
    names = tokennet.__all__
    kind = lambda n: (not n.isupper(), not n[0].isupper(), n)  # noqa: E731
    assert names == sorted(names, key=kind), "constants, classes, functions, each by the alphabet"
    assert len(set(names)) == len(names)
    assert set(names) == {*api.__all__, "__version__"}
    for name in names:
        assert hasattr(tokennet, name)
        assert name.startswith("__") or getattr(tokennet, name).__doc__
    reference = (ROOT / "docs" / "reference.md").read_text()
    missing = [n for n in names if not n.startswith("__") and f"`{n}" not in reference]
    assert missing == [], "public names without a place in docs/reference.md"


def test_versions_agree() -> None:
    assert f'version = "{tokennet.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"## {tokennet.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {tokennet.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_oracles_are_short() -> None:
    """At most 15 lines each, docstring and signature apart: an oracle is there to be read."""
    tree = ast.parse((PACKAGE / "ops" / "reference.py").read_text())
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    assert len(functions) >= 9
    for function in functions:
        first = function.body[1]
        assert function.body[-1].end_lineno - first.lineno < 15, function.name
