"""Which implementation runs, and why: chosen, forced, refused, explained."""

import sys

import pytest
import torch
from test_library import EDGES, float32
from test_sparse_kernels import NO_COMPILER

import tokennet as tn
from tokennet import ops
from tokennet.ops.kernel import KERNELS
from tokennet.pairs import Sparse


@pytest.mark.usefixtures("no_typecheck")
def test_explain_says_which_ran_and_why() -> None:
    structure = tn.Structure.packed([9], edges=tn.Edges(torch.randint(9, (2, 30))))
    mixer, x = tn.GraphAttention(8, 2), torch.randn(9, 8)
    found = tn.backend.explain(mixer, x, structure)
    assert found.implementations <= {"cpp", "bag"}
    assert str(found).splitlines()[0].split() == ["operation", "calls", "ran", "why"]
    wide = tn.backend.explain(mixer.double(), x.double(), structure)
    assert wide.implementations == {"torch"}
    assert "float64 has no fused kernel" in str(wide)
    with tn.backend("bag"):
        found = tn.backend.explain(mixer.float(), x, structure)
    assert found.implementations == {"bag"}
    assert "chosen by tn.backend" in str(found)
    with tn.backend("reference"):
        assert tn.backend.explain(mixer, x, structure).implementations == {"reference"}
    assert str(tn.backend.explain(lambda: None)) == "no sparse operation ran"
    with pytest.raises(TypeError, match="function is int, expected a module or a function"):
        tn.backend.explain(3)  # type: ignore[arg-type]


def test_a_backward_pass_is_explained_too() -> None:
    op, inputs = float32("attend")
    found = tn.backend.explain(lambda: op(*inputs).sum().backward())
    assert {c.operation for c, _ in found.choices} == {"attend", "attend_backward"}


@NO_COMPILER
def test_compiled_kernels_are_chosen_where_they_are() -> None:
    op, inputs = float32("attend")
    found = tn.backend.explain(op, *inputs)
    assert found.implementations == {"cpp"}
    assert "built for" in str(found)


def test_without_compiled_kernels_the_torch_form_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """And `explain` says what to do; forced kernels are refused, never replaced."""
    module = sys.modules["tokennet.ops.backend"]
    monkeypatch.setattr(module, "_cpp", lambda: (False, "no compiled kernels: run this"))
    op, inputs = float32("attend")
    found = tn.backend.explain(op, *inputs)
    assert found.implementations == {"bag"}
    assert "no compiled kernels: run this" in str(found)
    with pytest.raises(ValueError, match="backend is 'cpp', expected one that is here"):
        tn.backend("cpp")


@NO_COMPILER
def test_kernels_that_can_not_run_are_refused() -> None:
    op, inputs = float32("attend")
    wide = [t.double() for t in inputs]
    with tn.backend("cpp"):
        op(*inputs)
        with pytest.raises(ValueError, match=r"'cpp', expected one for torch\.float64 on cpu"):
            op(*wide)


def test_every_set_of_kernels_is_whole() -> None:
    from tokennet.ops import bag, cpu

    for module in (bag, cpu):
        assert all(callable(getattr(module, name)) for name in KERNELS), module.__name__


@pytest.mark.usefixtures("no_typecheck")
def test_bad_calls_are_refused_at_the_door() -> None:
    x = torch.randn(9, 2, 4)
    with pytest.raises(ValueError, match="reduce is 'median', expected one of 'sum', 'mean'"):
        ops.gather_reduce(x, EDGES, "median")  # type: ignore[arg-type]
    bias = torch.randn(EDGES.num_edges - 1, 2)
    with pytest.raises(ValueError, match=r"bias\.shape is \(26, 2\), expected \[27, 2\]"):
        ops.attend(x, x, x, Sparse(EDGES), bias=bias)
    with pytest.raises(ValueError, match=r"k\.shape is \(8, 2, 4\), expected \[9, 2, 4\]"):
        ops.attend(x, x[1:], x, Sparse(EDGES))
    with pytest.raises(ValueError, match=r"weights\.shape is \(26, 2\), expected \[27, 2\]"):
        ops.spmm(bias, x, EDGES)
    with pytest.raises(ValueError, match=r"x\.shape is \(8, 8\), expected \[9, 8\]"):
        ops.gather_reduce(x[1:], EDGES, "max")
    with pytest.raises(ValueError, match=r"q\.shape is \(8, 2, 4\), expected \[9, 2, 4\]"):
        ops.sddmm(x[1:], x[1:], EDGES)
    values, ptr = torch.randn(4, 3), torch.tensor([0, 2, 5])
    with pytest.raises(ValueError, match=r"ptr\[-1\] is 5, expected at most 4"):
        ops.segment_sum(values, torch.tensor([0, 0, 1, 1]), 2, ptr=ptr)
    attr, matrix = torch.randn(EDGES.num_edges, 3), torch.randn(2, 4, 3)
    with pytest.raises(ValueError, match="edge_map is None, expected a tensor"):
        ops.attend(x, x, x, Sparse(EDGES), attr=attr)
    with pytest.raises(ValueError, match=r"attr is .*, expected None over dense pairs"):
        ops.attend(x[None], x[None], x[None], tn.pairs.Dense(), attr=attr, edge_map=matrix)
