"""What is decided before a launch: tiles, and which rows are split; no kernel runs here."""

import gc

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed")

from tokennet.ops.triton import plan
from tokennet.structure import Compressed


def _form(*degrees: int) -> Compressed:
    ptr = torch.cat([torch.zeros(1, dtype=torch.int64), torch.tensor(degrees).cumsum(0)])
    return Compressed(ptr, torch.zeros(sum(degrees), dtype=torch.int32))


@pytest.fixture
def chunks_of_4():
    plan.use_chunk(4)
    yield
    plan.use_chunk(None)


@pytest.mark.usefixtures("chunks_of_4")
def test_pieces_cover_long_rows_once_and_in_order() -> None:
    form = _form(4, 0, 9, 1, 5, 0)
    made = plan.plan_of(form, 19)
    assert made.pieces is not None
    assert made.pieces.row.tolist() == [2, 4]
    assert made.pieces.first.tolist() == [0, 3, 5]
    expected = [[2, 4, 8], [2, 8, 12], [2, 12, 13], [4, 14, 18], [4, 18, 19]]
    assert made.pieces.table.tolist() == expected
    assert made.chunk == 4
    assert made.covers(19)
    assert not made.covers(20)


def test_rows_of_the_usual_length_are_whole() -> None:
    made = plan.plan_of(_form(3, 200, 4), 207)
    assert made.pieces is None
    assert made.chunk == plan.WHOLE  # so a pointer with other contents would not lose rows


@pytest.mark.parametrize(("mean", "chunk"), [(0, 256), (64, 256), (100, 400), (1e6, 4096)])
def test_chunks_follow_the_mean(mean: float, chunk: int) -> None:
    assert plan.chunk_of(mean) == chunk


@pytest.mark.usefixtures("chunks_of_4")
def test_a_plan_lives_as_long_as_its_pointer() -> None:
    form = _form(9, 1)
    made = plan.plan_of(form, 10)
    assert plan.plan_of(form, 10) is made
    assert plan.plan_of(form._replace(ptr=form.ptr.clone()), 10) is not made
    kept = len(plan._PLANS)
    del form
    gc.collect()
    assert len(plan._PLANS) == kept - 1


def test_new_contents_make_a_new_plan() -> None:
    form = _form(3, 3)
    assert plan.plan_of(form, 600).pieces is None
    form.ptr.copy_(torch.tensor([0, 5000, 5001]))
    made = plan.plan_of(form, 600)
    assert made.pieces is not None
    assert made.pieces.row.tolist() == [0]
    plan.use_chunk(8000)
    try:
        assert plan.plan_of(form, 600).pieces is None
    finally:
        plan.use_chunk(None)


def test_no_rows_and_no_entries() -> None:
    assert plan.plan_of(_form(), 0).count == 0
    empty = plan.plan_of(_form(0, 0, 0), 0)
    assert (empty.num_rows, empty.count, empty.pieces) == (3, 0, None)
    assert plan.launches(plan.plan_of(_form(), 0), _form().ptr, plan.tile_of(4, 32, 0)) == []


def test_pointers_made_in_inference_mode() -> None:
    with torch.inference_mode():
        form = _form(2, 2)
        assert plan.plan_of(form, 4) is plan.plan_of(form, 4)


@pytest.mark.parametrize("heads", [1, 3, 4, 8, 64])
@pytest.mark.parametrize("channels", [1, 3, 20, 32, 128, 256, 1000, 5000])
@pytest.mark.parametrize("mean", [0, 3, 16, 500])
def test_tiles_fill_a_warp(heads: int, channels: int, mean: float) -> None:
    tile = plan.tile_of(heads, channels, mean)
    width = tile.heads * tile.channels
    assert tile.channels >= channels > tile.channels // 2
    assert tile.heads < 2 * heads
    assert tile.rows * tile.lanes * width <= max(512, tile.channels)
    assert tile.rows * tile.lanes <= 32
    assert tile.lanes <= max(mean / 2, 1)
    assert tile.warps == min(max(tile.channels // 512, 1), 8)


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="num_entries is 2147483648, expected at most 2147418112"):
        plan.plan_of(_form(1), 2**31)


@pytest.mark.parametrize("entries", [0, -1, 2.5, True])
def test_chunks_are_whole_numbers(entries: object) -> None:
    with pytest.raises((TypeError, ValueError), match="entries"):
        plan.use_chunk(entries)  # type: ignore[arg-type]


def test_atomics_are_a_switch() -> None:
    with pytest.raises(TypeError, match="enabled is 1, expected True or False"):
        plan.use_atomics(1)  # type: ignore[arg-type]
    assert plan.atomics() is False
