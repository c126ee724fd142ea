"""GPT-2, Llama, Mistral and Qwen 2 of transformers beside their imports."""

from collections.abc import Callable
from typing import Any

import torch
from parity import Audited, Case
from torch import Tensor, nn

import tokennet as tn

IDS = 11
Make = Callable[[int], nn.Module]


def pick(seed: int, salt: int, *options: Any) -> Any:
    """One of the options, by the seed; other salts choose by other digits of it."""
    return options[(seed // 7**salt + seed) % len(options)]


def gpt2(kind: str) -> Make:
    def make(seed: int) -> nn.Module:
        import transformers

        heads = pick(seed, 0, 1, 2, 3)
        config = transformers.GPT2Config(
            vocab_size=IDS, n_positions=16, n_embd=4 * heads, n_head=heads,
            n_layer=pick(seed, 1, 1, 2), n_inner=pick(seed, 2, None, 7),
            activation_function=pick(seed, 3, "gelu_new", "gelu", "relu"),
            scale_attn_weights=pick(seed, 1, True, True, False),
            scale_attn_by_inverse_layer_idx=pick(seed, 2, False, True),
            layer_norm_epsilon=pick(seed, 0, 1e-5, 1e-3),
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=1,
        )  # fmt: skip
        return getattr(transformers, kind)(config)

    return make


def llama(kind: str) -> Make:
    """Llama's own, or Mistral's or Qwen 2's, as the name of the class says."""
    family = kind.removesuffix("Model").removesuffix("ForCausalLM")

    def make(seed: int) -> nn.Module:
        import transformers

        groups = pick(seed, 0, 1, 2)
        heads = groups * pick(seed, 1, 1, 2)
        more: dict[str, Any] = {}
        if family == "Llama":
            more["attention_bias"] = pick(seed, 1, False, True)
            more["mlp_bias"] = pick(seed, 2, False, True)
        if family != "Qwen2":
            more["head_dim"] = pick(seed, 2, None, 6)
        if family == "Mistral":
            more["sliding_window"] = pick(seed, 1, 3, 1, None)
        if family == "Qwen2":
            more |= {
                "use_sliding_window": pick(seed, 1, False, True), "sliding_window": 2,
                "max_window_layers": 1,
            }  # fmt: skip
        config = getattr(transformers, f"{family}Config")(
            vocab_size=IDS, hidden_size=4 * heads, intermediate_size=7,
            num_hidden_layers=pick(seed, 2, 2, 1), num_attention_heads=heads,
            num_key_value_heads=groups, hidden_act=pick(seed, 3, "silu", "gelu", "relu"),
            rms_norm_eps=pick(seed, 0, 1e-6, 1e-4), tie_word_embeddings=pick(seed, 3, False, True),
            rope_parameters={"rope_type": "default", "rope_theta": pick(seed, 1, 1e4, 50.0)},
            bos_token_id=2, eos_token_id=1, pad_token_id=pick(seed, 1, None, 0), **more,
        )  # fmt: skip
        return getattr(transformers, kind)(config)

    return make


def padded_ids(seed: int, batch: int = 3) -> tuple[Tensor, Tensor]:
    """Ids from 1, and which of them are real; 0 at padding, which is on the right."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 9, (batch,), generator=g)
    valid = torch.arange(int(lengths.max())) < lengths[:, None]
    return torch.randint(1, IDS, valid.shape, generator=g) * valid, valid


def _inputs(seed: int, model: nn.Module) -> tuple[Tensor, Tensor]:
    return padded_ids(seed)


def _theirs(model: nn.Module, inputs: Any) -> dict[str, Tensor]:
    ids, valid = inputs
    out = model(ids, attention_mask=valid.long(), output_hidden_states=True)
    return results(out.logits if "logits" in out else out[0], out.hidden_states[:-1], valid)


def _ours(net: "tn.TokenNet", inputs: Any) -> dict[str, Tensor]:
    ids, valid = inputs
    structure = tn.Structure.padded(valid)
    hidden = tn.inspect.hidden_states(net, ids, structure)
    skipped = 1 if isinstance(net.mixers[0], tn.LearnedPosition) else 0
    # one graph for all: the norms round gradients, so parts of them do not add up exactly
    output = net.readout(hidden[-1], structure)
    assert torch.equal(output, net(ids, structure))
    return results(output, hidden[skipped:-1], valid)  # their last ones are behind the last norm


def results(output: Tensor, hidden: Any, valid: Tensor, name: str = "hidden") -> dict[str, Tensor]:
    """The real rows."""
    return {
        "output": output[valid],
        **{f"{name} {i}": h[valid] for i, h in enumerate(hidden)},
    }


class Called(nn.Module):
    """Ids and a mask in, hidden states or scores out: the original."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.module(ids, attention_mask=mask.long())[0]


class Brought(nn.Module):
    """The same of an import."""

    def __init__(self, net: "tn.TokenNet"):
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.net(ids, tn.Structure.padded(mask.bool()))


def audited(theirs: nn.Module, ours: "tn.TokenNet") -> Audited:
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    roles = {"tokens": 0, "mask": 1, "vocabulary": (0, IDS - 1)}
    example = (torch.randint(0, IDS, (2, 5)), mask)
    return Audited(Called(theirs), Brought(ours), example, roles)


KINDS: dict[str, Make] = {
    **{kind: gpt2(kind) for kind in ("GPT2Model", "GPT2LMHeadModel")},
    **{
        f"{family}{what}": llama(f"{family}{what}")
        for family in ("Llama", "Mistral", "Qwen2")
        for what in ("Model", "ForCausalLM")
    },
}
LEFT = "positions count columns, padding included, where ours count real tokens"
CASES = {
    kind: Case(
        f"{kind}, padded", "transformers", make, tn.interop.from_transformers, _inputs, _theirs,
        _ours, audited,
        dict.fromkeys(("LeftPadding", "GradientOf(LeftPadding)"), LEFT) if "GPT2" in kind else {},
    )
    for kind, make in KINDS.items()
}  # fmt: skip
