"""T5 of transformers beside its import: encoder, decoder, both."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from parity import Audited, Case
from parity_decoders import IDS, padded_ids, pick, results
from torch import Tensor, nn

import tokennet as tn

KINDS = ("T5Model", "T5ForConditionalGeneration", "T5EncoderModel")


def make(kind: str) -> Callable[[int], nn.Module]:
    def made(seed: int) -> nn.Module:
        import transformers

        config = transformers.T5Config(
            vocab_size=IDS, d_model=pick(seed, 1, 6, 8), d_kv=pick(seed, 2, 3, 4),
            d_ff=pick(seed, 1, 7, 12), num_heads=pick(seed, 3, 2, 1),
            num_layers=pick(seed, 2, 2, 1), num_decoder_layers=pick(seed, 0, None, 2),
            feed_forward_proj=pick(seed, 0, "relu", "gated-gelu", "gated-silu"),
            relative_attention_num_buckets=pick(seed, 1, 4, 8),
            relative_attention_max_distance=pick(seed, 2, 5, 20),
            layer_norm_epsilon=pick(seed, 0, 1e-6, 1e-3), dropout_rate=0.0,
            tie_word_embeddings=pick(seed, 1, True, False), decoder_start_token_id=0,
        )  # fmt: skip
        return getattr(transformers, kind)(config)

    return made


def _inputs(left: bool) -> Callable[[int, nn.Module], Any]:
    """Source and target, and which of their tokens are real: padding behind, or in front."""

    def inputs(seed: int, model: nn.Module) -> Any:
        found = *padded_ids(seed), *padded_ids(seed + 1)
        return tuple(t.flip(1) for t in found) if left else found

    return inputs


def _theirs(model: nn.Module, inputs: Any) -> dict[str, Tensor]:
    source, real, target, valid = inputs
    out = model(
        input_ids=source, attention_mask=real.long(), decoder_input_ids=target,
        decoder_attention_mask=valid.long(), output_hidden_states=True,
    )  # fmt: skip
    y = out.logits if "logits" in out else out.last_hidden_state
    return {
        **results(y, out.decoder_hidden_states[:-1], valid),
        **results(out.encoder_last_hidden_state, out.encoder_hidden_states[:-1], real, "source"),
        "output": y[valid],
        "memory": out.encoder_last_hidden_state[real],
    }


def _ours(net: "tn.TokenNet", inputs: Any) -> dict[str, Tensor]:
    source, real, target, valid = inputs
    facts, structure = tn.Structure.padded(real), tn.Structure.padded(valid)
    encoder = net.tokenizer.encoder
    # one graph for all: the norms round gradients, so parts of them do not add up exactly
    read = tn.inspect.hidden_states(encoder, source, facts)
    memory = encoder.readout(read[-1], facts)
    around = structure.with_facts(memory=tn.Tokens(memory, facts))
    hidden = [net.tokenizer.tokenizer(target)[0]]
    for mixer in net.mixers:
        hidden.append(mixer(hidden[-1], around))
    y = net.readout(hidden[-1], around)
    assert torch.allclose(y[valid], net((source, target, facts), structure)[valid], atol=1e-5)
    return {
        **results(y, hidden[:-1], valid),
        **results(memory, read[:-1], real, "source"),
        "output": y[valid],
        "memory": memory[real],
    }


def _their_rows(model: nn.Module, inputs: Any) -> dict[str, Tensor]:
    ids, real = inputs[:2]
    out = model(ids, attention_mask=real.long(), output_hidden_states=True)
    return results(out.last_hidden_state, out.hidden_states[:-1], real)


def _our_rows(net: "tn.TokenNet", inputs: Any) -> dict[str, Tensor]:
    ids, real = inputs[:2]
    structure = tn.Structure.padded(real)
    hidden = tn.inspect.hidden_states(net, ids, structure)
    y = net.readout(hidden[-1], structure)
    assert torch.equal(y, net(ids, structure))
    return results(y, hidden[:-1], real)


class Called(nn.Module):
    """Ids and a mask in, hidden states or scores out: the original; `names` are its arguments."""

    def __init__(self, module: nn.Module, names: tuple[str, str], fixed: Mapping[str, Tensor]):
        super().__init__()
        self.module, self.names, self.fixed = module, names, dict(fixed)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        given = dict(zip(self.names, (ids, mask.long()), strict=True))
        fixed = {n: t.expand(len(ids), -1) for n, t in self.fixed.items()}
        return self.module(**given, **fixed)[0]


class Brought(nn.Module):
    """The same of an import; with a source, the same for each sample, where it reads one."""

    def __init__(self, net: "tn.TokenNet", source: Tensor | None):
        super().__init__()
        self.net, self.source = net, source

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        structure = tn.Structure.padded(mask.bool())
        if self.source is None:
            return self.net(ids, structure)
        return self.net((self.source.expand(len(ids), -1), ids), structure)


def _audit(theirs: nn.Module, ours: "tn.TokenNet") -> Audited:
    both = isinstance(ours.tokenizer, tn.EncodedMemory)
    source = torch.randint(0, IDS, (1, 4)) if both else None
    names = ("decoder_input_ids", "decoder_attention_mask")
    names = names if both else ("input_ids", "attention_mask")
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    roles = {"tokens": 0, "mask": 1, "vocabulary": (0, IDS - 1)}
    example = (torch.randint(0, IDS, (2, 5)), mask)
    fixed = {} if source is None else {"input_ids": source}
    return Audited(Called(theirs, names, fixed), Brought(ours, source), example, roles)


def _case(kind: str, *, left: bool) -> Case:
    calls = (_their_rows, _our_rows) if kind == "T5EncoderModel" else (_theirs, _ours)
    return Case(
        f"{kind}, {'padded in front' if left else 'padded'}", "transformers", make(kind),
        tn.interop.from_transformers, _inputs(left), *calls, _audit,
    )  # fmt: skip


CASES = {
    **{kind: _case(kind, left=False) for kind in KINDS},
    "T5Model, left": _case("T5Model", left=True),
}
