"""A net as an ONNX file, checked against the net before it is written.

Axes: B samples, N tokens, E edges, V values.
"""

import importlib
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokennet.checks import kind_of, type_error, value_error
from tokennet.files import write_atomically
from tokennet.interop.calls import AXES, Call, larger
from tokennet.interop.onnx_operations import translations
from tokennet.net import TokenNet
from tokennet.ops import backend
from tokennet.structure import Structure

TOLERANCE = 1e-4
"""Of the largest output, or of one where that is less."""


def export_onnx(
    net: TokenNet,
    path: str | os.PathLike[str],
    inputs: Any,
    structure: Structure | None = None,
    *,
    fixed: Collection[str] = (),
) -> Path:
    """Writes the net, in eval mode, for any number of samples, tokens and edges; the path.

    The file's inputs are `inputs`, or `inputs_0`, `inputs_1` of a tuple; of a padded structure
    `mask [B, N]`, of one with edges `edge_index [2, E]` with `edge_weight` and `edge_attr` where
    there are any, addressing rows of the padded view. The output is `output`. Where onnxruntime is
    installed the file's answers are compared with the net's, on the example and on a larger one.

    Args:
        inputs, structure: an example of at least two samples of two tokens, on the CPU.
        fixed: of "batch", "tokens", "edges": axes that keep the example's size. Pixels always do.

    Raises:
        ValueError: what ONNX can't say, by name: a layout, an operation, an axis that is fixed.
    """
    if not isinstance(net, TokenNet):
        raise type_error("net", kind_of(net), "a TokenNet")
    unknown = sorted(set(fixed) - set(AXES))
    if unknown:
        raise value_error("fixed", unknown[0], "of " + ", ".join(map(repr, AXES)))
    call = Call.of(net, inputs, structure, fixed)
    modes = {m: m.training for m in net.modules()}
    try:
        net.eval()
        content = _converted(call)
        _check(call, content, _examples(net, inputs, structure, fixed))
    finally:
        for module, training in modes.items():
            module.training = training
    return write_atomically(path, content)


def _converted(call: Call) -> bytes:
    try:
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise ImportError("ONNX files are written with: pip install 'tokennet[onnx]'") from error
    shapes = [dict.fromkeys(axes, torch.export.Dim.AUTO) for axes in call.axes]
    tensors = tuple(t.clone() for t in call.tensors)
    program = None
    try:
        with torch.no_grad(), backend("torch"):  # the kernels are no operations of ONNX
            program = torch.export.export(call, tensors, dynamic_shapes=(tuple(shapes),))
            _check_axes(program, call)
            made = torch.onnx.export(
                program, tensors, dynamo=True, verbose=False, input_names=list(call.names),
                output_names=["output"], custom_translation_table=translations(),
            )  # fmt: skip
    except ValueError:
        raise
    except Exception as error:
        raise _refused(program, error) from error
    assert made is not None
    _name_axes(made.model.graph, call)
    return made.model_proto.SerializeToString()


def _name_axes(graph: Any, call: Call) -> None:
    """The file's own names for sizes: batch, tokens, edges in place of s27."""
    names: dict[str, str] = {}
    tables = {value.name: value for value in graph.inputs}
    for name, axes in zip(call.names, call.axes, strict=True):
        for axis, kind in axes.items():
            if name in tables:
                known = names.values()
                size = str(tables[name].shape[axis].value)
                names.setdefault(size, f"{name}_{kind}" if kind in known else kind)
    for value in (*graph.inputs, *graph.outputs):
        for axis, size in enumerate(value.shape or ()):
            if getattr(size, "value", None) in names:
                value.shape[axis] = names[size.value]


def _check_axes(program: Any, call: Call) -> None:
    """Raises where tracing has fixed an axis that shall vary."""
    user = set(program.graph_signature.user_inputs)
    places = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in user]
    for node, name, axes in zip(places, call.names, call.axes, strict=True):
        for axis, kind in axes.items():
            size = node.meta["val"].shape[axis]
            if isinstance(size, int):
                raise value_error(
                    f"axis {kind!r} of {name}", f"{size} and no other for this net",
                    "an axis that can vary", f"pass fixed=({kind!r},), or exchange the mixer that "
                    "runs token by token or holds a fixed number of tokens",
                )  # fmt: skip


def _refused(program: Any, error: Exception) -> ValueError:
    """The operation that can't be said, and the part of the net that has it."""
    text = "\n".join(str(e) for e in (error, error.__cause__) if e is not None)
    found = re.search(r"op='([\w.:]+)'", text)
    hint = "export that part of the net by itself, or exchange it (tn.surgery.swap)"
    if found is None or program is None:
        told = text.rpartition("## Exception summary")[2]
        line = next((line for line in told.splitlines() if line.strip()), type(error).__name__)
        return value_error(
            "the net", f"not exported ({line.strip()[:200]})", "one that torch exports", hint
        )
    operation = found[1]
    short = operation.rpartition(".")[2].removeprefix("_")
    where = "the net"
    nodes = [*program.graph.nodes, *program.run_decompositions().graph.nodes]
    for node in nodes:
        stack = list(node.meta.get("nn_module_stack", {}).values())
        same = any(part in str(node.target) for part in (short, short.rpartition("_")[2]))
        if where == "the net" and stack and same:
            parts = [
                (p, c) for p, c in stack if "mixers" in p or "tokenizer" in p or "readout" in p
            ]
            path, kind = (parts or stack)[-1]
            name = kind if isinstance(kind, str) else kind.__name__
            where = f"{path.removeprefix('net.')} ({name.rpartition('.')[2]})"
    return value_error(where, f"with the operation {operation}", "operations that ONNX has", hint)


def _examples(
    net: nn.Module, inputs: Any, structure: Structure | None, fixed: Collection[str]
) -> list[tuple[Any, Structure | None]]:
    """The example, and a larger one that the net takes."""
    found = [(inputs, structure)]
    for grown in ({"batch", "tokens"} - {*fixed}, {"batch"} - {*fixed}):
        try:
            more = larger(inputs, structure, grown)
            with torch.no_grad():
                net(*more)
        except ValueError:
            continue  # more tokens than the net holds
        return [*found, more]
    return found


def _check(call: Call, content: bytes, examples: list[tuple[Any, Structure | None]]) -> None:
    """Raises where the file gives other answers than the net."""
    try:
        onnxruntime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        return
    what = "loading"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is told below
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        for number, (inputs, structure) in enumerate(examples):
            what = "larger inputs" if number else "the example"
            given = Call.of(call.net, inputs, structure, call.fixed)
            with torch.no_grad():
                y = call.net(inputs, structure)
            taken = {i.name for i in session.get_inputs()}
            pairs = zip(given.names, given.tensors, strict=True)
            found = session.run(None, {n: t.numpy() for n, t in pairs if n in taken})[0]
            gap = (torch.from_numpy(found) - y).abs()
            error = float(gap.max()) if gap.numel() else 0.0
            size = max(1.0, float(y.abs().max())) if y.numel() else 1.0
            if not error <= TOLERANCE * size:
                raise value_error(
                    "the largest difference of ONNX's answer", f"{error:.1e} on {what}",
                    f"at most {TOLERANCE * size:.0e}", "the file is not written",
                )  # fmt: skip
    except ValueError:
        raise
    except Exception as error:
        text = str(error).splitlines()[0][:200]
        hint = "the net may fix an axis: pass fixed=('tokens',), or exchange the mixer that does"
        name = f"the file on {what}"
        raise value_error(name, f"refused by onnxruntime ({text})", "one it runs", hint) from error
