"""Every import in a folder, and back: the same answer, and the original's own weights."""

import importlib
from pathlib import Path

import pytest
import torch
from parity import Case, cast, randomise

import tokennet as tn
from tokennet.interop.compare import tree_difference

LIBRARY = {"pyg": "torch_geometric"}


def _cases() -> list[tuple[str, str]]:
    """The files beside this one that list imports, and the names of their cases."""
    found = []
    for path in sorted(Path(__file__).parent.glob("parity_*.py")):
        try:
            cases = getattr(importlib.import_module(path.stem), "CASES", {})
        except ImportError:
            found.append((path.stem, "a library is missing"))
            continue
        found += [(path.stem, name) for name in cases]
    return found


@pytest.mark.parametrize(("file", "name"), _cases())
def test_every_import(file: str, name: str, tmp_path: Path) -> None:
    try:
        cases: dict[str, Case] = importlib.import_module(file).CASES
    except ImportError as error:
        pytest.skip(str(error))
    case = cases[name]
    pytest.importorskip(LIBRARY.get(case.library, case.library), exc_type=ImportError)
    torch.manual_seed(0)
    theirs = randomise(case.make(0)).eval()
    state = {n: t.clone() for n, t in theirs.state_dict().items()}
    inputs = cast(case.inputs(0, theirs), torch.float32)
    net = case.bring(theirs)
    found = tn.interop.from_pretrained(tn.interop.save_pretrained(net, tmp_path))
    assert tree_difference(found, net) is None
    with torch.no_grad():
        expected, mine = case.ours(net, inputs), case.ours(found, inputs)
    assert list(expected) == list(mine)
    assert "output" in expected
    for key, y in expected.items():
        assert torch.equal(y, mine[key]), key
    back = tn.interop.export_state(found)
    assert list(back) == list(state)
    for key, t in state.items():
        assert back[key].dtype == t.dtype
        assert torch.equal(back[key], t), key
