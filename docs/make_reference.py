"""Writes docs/reference.md from the signatures and docstrings of the public names."""

import inspect
import re
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import tokennet as tn

PAGE = Path(__file__).with_name("reference.md")


def inside(module: str) -> list[str]:
    """The module, and the names in it that tokennet itself does not have."""
    return [module, *(f"{module}.{n}" for n in getattr(tn, module).__all__ if n not in tn.__all__)]


GROUPS = {
    "Structure: facts about a batch": [
        "Structure", "Padded", "Packed", "Edges", "Tokens", "expander_edges",
    ],
    "Topologies: who communicates": [
        "Topology", "Full", "Causal", "Window", "Neighborhood", "EdgeList", "Memory",
    ],
    "Mixers": ["Mixer", "Sequential", "Parallel", "JumpingKnowledge", "MessagePassing"],
    "Attention": [
        "Attention", "BasicAttention",
    ],
    "Parts of attention": [
        "Heads", "Score", "DotScore", "CosineScore", "BilinearScore", "AdditiveScore",
        "LocationScore", "Rotary", "QueryKeyNorm", "Bias", "RelativeBias", "AlibiBias", "EdgeBias",
        "ShortestPathBias", "Normaliser", "Softmax", "HardMax", "TopK", "Sigmoid", "ZeroedSoftmax",
        "QueryKeyMap",
    ],
    "Graph operators": [
        "GraphAttention", "GraphAttentionV2", "GraphConvolution", "SAGEConvolution",
        "GINConvolution", "GINEConvolution", "PNAConvolution", "GatedGraphConvolution",
    ],
    "Attention at linear cost": [
        "LinearAttention", "LowRankAttention", "FeatureMap", "EluFeatures",
        "PositiveRandomFeatures", "ReluFeatures", "Latents",
    ],
    "Recurrent operators": [
        "RNN", "LSTM", "GRU", "LatentState",
    ],
    "Token MLPs, convolution, pooling": [
        "TokenMLP", "Convolution", "Pooling", "MaxPooling", "FourierMixing", "TokenGating",
    ],
    "Channel MLPs": [
        "Pointwise", "TokenWise", "GatedMLP", "MixtureOfExperts", "QuickGELU",
    ],
    "Blocks": [
        "Block", "PreNorm", "PostNorm", "ResPostNorm", "SandwichNorm", "NoResidual", "BatchNorm",
        "SampleNorm", "GraphNorm", "RoundedRMSNorm",
    ],
    "Position codes": [
        "LearnedPosition", "SinusoidalPosition", "RandomWalkPosition", "LaplacianPosition",
        "Position", "OrderPosition", "ConcatenatedPosition", "IntegerPosition", "SigmoidPosition",
        "SinePosition", "GridSinusoidalPosition", "CoordinatePosition", "DegreePosition",
        "ShortestPathPosition", "EigenvectorPosition",
    ],
    "Tokenizers": [
        "Tokenizer", "EmbeddingTokenizer", "FeatureTokenizer", "PatchTokenizer", "ClassToken",
        "BlurredPatchTokenizer", "shift_error", "OneHotTokenizer", "NeuronTokenizer", "Vocabulary",
        "CharacterVocabulary", "ByteVocabulary", "WordVocabulary", "BPEVocabulary",
        "TextTokenizer", "SeriesTokenizer", "RegionTokenizer", "MoleculeTokenizer", "VirtualToken",
        "EncodedMemory", "TypedTokenizer", "EndedTokenizer", "StageTokenizer",
    ],
    "Readouts": [
        "MeanReadout", "ClassReadout", "TokenReadout", "SumReadout", "MaxReadout", "GatedReadout",
        "AttentionReadout", "SetReadout", "set_matching", "set_loss", "LastReadout",
        "PrefixReadout", "RestReadout",
    ],
    "Nets": ["TokenNet"],
    "Decoding": [
        "Decoded", "greedy_decode", "sample_decode", "beam_decode",
    ],
    "A look inside": [
        "influence", "is_transformer", "draw_influence", *inside("inspect"),
    ],
    "Laws": [
        "Law", "BatchIndependence", "PaddingBlindness", "LayoutAgreement", "Permutation",
        "CyclicShift", "GridShift", "Causality", "MemoryPermutation", "Locality",
    ],
    "Properties that an audit asks about": [
        "Padding", "NaNPadding", "LeftPadding", "Interleaving", "Prefix", "Cache", "EdgeOrder",
        "DuplicateEdges", "SignBasis", "TrainEval", "MemoryLayout", "Repeatability", "NoState",
        "Purity", "Finite", "GradientOf",
    ],
    "Audit of any module": [
        "audit", "Adapter", "AuditReport", "AuditVerdict", "assert_obeys", "write_page",
        "draw_matrix", "symmetry_group", "SymmetryGroup", "distinguishes", "Distinguished",
        "PairFinding", "graph_pairs", "brec_pairs",
    ],
    "Verification": [
        "verify", "Domain", "Report", "Verdict", "LawBrokenError", "verify_position",
        "PositionReport",
    ],
    "Ablations": [
        "ablate", "Ablation", "Run", "Budget", "load_ablation", "list_ablations", "StoreError",
        "draw_ranking", "draw_differences", "draw_grid", "draw_curves", "draw_costs", "draw_errors",
        "tasks",
    ],
    "Published models in and out": inside("interop"),
    "Surgery": inside("surgery"),
    "Implementation": ["backend"],
    "Operations, from tokennet.ops": [
        "attend", "attend_gat", "attend_gatv2", "attend_ragged", "sddmm", "spmm", "gather_reduce",
        "edge_softmax", "segment_sum", "segment_mean", "segment_max", "segment_min", "segment_std",
        "segment_softmax",
    ],
}  # fmt: skip


def signature(value: object) -> str:
    """The signature without annotations: what one types."""
    try:
        found = inspect.signature(value)  # type: ignore[arg-type]
    except ValueError:
        return "()"
    plain = [
        p.replace(annotation=inspect.Parameter.empty)
        for p in found.parameters.values()
        if not p.name.startswith("_") and p.name != "self"
    ]
    text = str(found.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    text = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", text)
    text = re.sub(r"<function (\w+) at 0x\w+>", r"\1", text)
    return re.sub(r"<factory>", "...", text)


def prose(value: object) -> str:
    """The docstring; sections such as `Args:` become lists."""
    lines, inside = [], False
    for line in (inspect.getdoc(value) or "").splitlines():
        if re.fullmatch(r"(Args|Raises|Returns):", line):
            lines += [line, ""]
            inside = True
        elif inside and re.match(r"    \S", line):
            name, _, rest = line.strip().partition(": ")
            lines.append(f"- `{name}`: {rest}" if rest else f"- {name}")
        elif inside and line.startswith("     "):
            lines.append("  " + line.strip())
        else:
            lines.append(line)
    return re.sub(r"(?<!`)\[\*", r"[\\*", "\n".join(lines))  # no emphasis from [*, D] to [*, O]


def methods(value: type) -> list[str]:
    """Public methods of a class's own, with their first sentence."""
    lines = []
    for name, member in vars(value).items():
        call = member.__func__ if isinstance(member, staticmethod) else member
        if name.startswith("_") or name in ("forward", "case", "pairs") or not callable(call):
            continue
        text = inspect.getdoc(call)
        if text:
            first = " ".join(text.split("\n\n")[0].splitlines())
            lines.append(f"- `{name}{signature(call)}`: {first}")
    return lines


def members(module: ModuleType) -> list[str]:
    """The public classes of a module, with their first sentence."""
    lines = []
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type):
            first = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].splitlines())
            lines.append(f"- `{name}{signature(value)}`: {first}")
    return lines


def page() -> str:
    """The whole page."""
    lines = [
        "# Reference", "",
        "Written by `docs/make_reference.py` from the docstrings. Shapes: B samples, N tokens of",
        "the longest sample, T rows of all samples together, D channels; `[*, D]` is `[B, N, D]`",
        "or `[T, D]`.", "",
    ]  # fmt: skip
    for title, names in GROUPS.items():
        lines += [f"## {title}", ""]
        for name in names:
            public = name.split(".")[0] in tn.__all__
            value = attrgetter(name)(tn if public else tn.ops)
            if isinstance(value, ModuleType):
                known = any(n.startswith(f"{name}.") for n in names)  # they follow, at length
                lines += [f"### `{name}`", "", prose(value), ""]
                lines += [] if known else [*members(value), ""]
                continue
            lines += [f"### `{name}{signature(value)}`", "", prose(value), ""]
            if isinstance(value, type) and (found := methods(value)):
                lines += [*found, ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
