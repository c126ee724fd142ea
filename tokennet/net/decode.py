"""Sequences out of a net, token by token: greedy, sampled, or by beam search.

Axes: B samples, K beams, V ids, P tokens of the longest prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.net.tokennet import TokenNet
from tokennet.structure import Structure, Tokens
from tokennet.structure.transform import select

Prompts = Tensor | Sequence[Sequence[int]]


class Decoded(NamedTuple):
    """What follows a prompt, up to but without the stop id, and the logarithm of its probability.

    The stop id, where it came, counts in `log_prob`.
    """

    tokens: list[int]
    log_prob: float


def greedy_decode(
    net: TokenNet,
    prompts: Prompts,
    *,
    max_tokens: int,
    stop: int | None = None,
    memory: Tokens | None = None,
) -> list[Decoded]:
    """The most likely id, one after the other: linear map, softmax, arg-max.

    Args:
        net: ids in, scores of ids out for every token, of causal mixers.
        prompts: ids `[B, P]`, or a list of ids for each sample, at least one id each.
        max_tokens: ids to add at most.
        stop: the id that ends a sample.
        memory: what the net's cross-attention reads, one sample for each prompt.
    """
    return _decode(net, prompts, max_tokens, stop, memory, lambda scores: scores.argmax(-1))


def sample_decode(
    net: TokenNet,
    prompts: Prompts,
    *,
    max_tokens: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    stop: int | None = None,
    memory: Tokens | None = None,
) -> list[Decoded]:
    """An id drawn from softmax(scores / temperature), one after the other; see `greedy_decode`."""
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)):
        raise type_error("temperature", repr(temperature), "a number above 0")
    if not temperature > 0:
        raise value_error("temperature", temperature, "a number above 0", "or use greedy_decode")

    def draw(scores: Tensor) -> Tensor:
        chances = (scores.float() / temperature).softmax(-1)
        return torch.multinomial(chances, 1, generator=generator).squeeze(-1)

    return _decode(net, prompts, max_tokens, stop, memory, draw)


@torch.no_grad()
def _decode(
    net: TokenNet,
    prompts: Prompts,
    max_tokens: int,
    stop: int | None,
    memory: Tokens | None,
    choose: Callable[[Tensor], Tensor],
) -> list[Decoded]:
    ids, lengths = _prompts(net, prompts, max_tokens, stop)
    batch = len(lengths)
    device = _device(net)
    state = net.start(Structure.dense(batch, 0, device=device, memory=memory))
    found: list[list[int]] = [[] for _ in range(batch)]
    log_prob = torch.zeros(batch, dtype=torch.float64)
    going = torch.ones(batch, dtype=torch.bool)
    token, longest = ids[:, 0], int(lengths.max()) if batch else 0
    for t in range(longest + max_tokens - 1):
        scores, state = net.step(token.to(device), state)
        free = (t + 1 >= lengths) & going  # past its prompt, and not at its end
        chosen = choose(scores).cpu()
        each = scores.log_softmax(-1, dtype=torch.float64).cpu()
        log_prob += each.gather(1, chosen[:, None])[:, 0].where(free, 0)
        for b in free.nonzero().squeeze(1).tolist():
            if int(chosen[b]) == stop:
                going[b] = False
                continue
            found[b].append(int(chosen[b]))
            going[b] = len(found[b]) < max_tokens
        if not going.any():
            break
        prompt = ids[:, min(t + 1, ids.shape[1] - 1)]
        token = torch.where(t + 1 < lengths, prompt, chosen)
    return [Decoded(*pair) for pair in zip(found, log_prob.tolist(), strict=True)]


@torch.no_grad()
def beam_decode(
    net: TokenNet,
    prompts: Prompts,
    *,
    beams: int,
    max_tokens: int,
    stop: int | None = None,
    memory: Tokens | None = None,
    length_power: float = 0.0,
) -> list[list[Decoded]]:
    """Beam search: at each step the `beams` most likely beginnings go on; the best first.

    Ranked by log_prob / length**length_power at the end (Wu et al. 2016, without coverage), the
    length counting the stop id. See `greedy_decode` for the other arguments; beams that never
    came to life (fewer sequences than beams) are left out.
    """
    positive("beams", beams)
    ids, lengths = _prompts(net, prompts, max_tokens, stop)
    batch, rows = len(lengths), torch.arange(len(lengths))[:, None]
    repeated = torch.arange(batch).repeat_interleave(beams).tolist()
    memory = None if memory is None else select(memory, repeated)
    device = _device(net)
    state = net.start(Structure.dense(batch * beams, 0, device=device, memory=memory))
    log_prob = torch.full((batch, beams), -torch.inf, dtype=torch.float64)
    log_prob[:, :1] = 0  # one beam lives until the prompt's end
    written = torch.zeros(batch, beams, 0, dtype=torch.int64)
    count = torch.zeros(batch, beams, dtype=torch.int64)
    ended = torch.zeros(batch, beams, dtype=torch.bool)
    token = ids[:, :1].expand(-1, beams)
    for t in range((int(lengths.max()) if batch else 0) + max_tokens - 1):
        scores, state = net.step(token.reshape(-1).to(device), state)
        each = scores.log_softmax(-1, dtype=torch.float64).cpu().unflatten(0, (batch, beams))
        done = ended | (count >= max_tokens)
        ends = each.new_full(each.shape[-1:], -torch.inf)
        ends[0] = 0.0  # a beam that has ended goes on as it is
        total = log_prob[..., None] + each.where(~done[..., None], ends)
        best, flat = total.flatten(1).topk(beams, 1)
        parent, chosen = flat // each.shape[-1], flat % each.shape[-1]
        inside = (t + 1 < lengths)[:, None].expand(-1, beams)  # still in the prompt
        parent = torch.where(inside, torch.arange(beams), parent)
        log_prob = log_prob.where(inside, best)
        done, ended, count = done[rows, parent], ended[rows, parent], count[rows, parent]
        adds = ~inside & ~done
        ended = ended | (adds & (chosen == (-1 if stop is None else stop)))
        count = count + adds
        written = torch.cat([written[rows, parent], chosen.where(adds, -1)[..., None]], -1)
        state = reordered(state, (rows * beams + parent).flatten())
        if bool((ended | (count >= max_tokens) | (log_prob == -torch.inf)).all()):
            break
        prompt = ids[:, min(t + 1, ids.shape[1] - 1), None].expand(-1, beams)
        token = torch.where(inside, prompt, chosen)
    return [_ranked(*parts, stop, length_power) for parts in zip(written, log_prob, strict=True)]


def _ranked(written: Tensor, log_prob: Tensor, stop: int | None, power: float) -> list[Decoded]:
    """The living beams of one sample, the best first."""
    found = []
    for row, score in zip(written.tolist(), log_prob.tolist(), strict=True):
        if score > -torch.inf:
            added = [i for i in row if i >= 0]
            tokens = added[:-1] if added and added[-1] == stop else added
            found.append((score / max(len(added), 1) ** power, Decoded(tokens, score)))
    return [decoded for _, decoded in sorted(found, key=lambda pair: -pair[0])]


def reordered(state: Any, index: Tensor) -> Any:
    """A state for chosen samples: every tensor's rows `index`; structures stay."""
    if isinstance(state, Tensor):
        return state.index_select(0, index.to(state.device))
    if isinstance(state, (list, tuple)):
        parts = [reordered(part, index) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    if is_dataclass(state) and not isinstance(state, (type, Structure)):
        return replace(
            state, **{f.name: reordered(getattr(state, f.name), index) for f in fields(state)}
        )
    return state


def _device(net: TokenNet) -> torch.device:
    return next((p.device for p in net.parameters()), torch.device("cpu"))


def _prompts(
    net: TokenNet, prompts: Prompts, max_tokens: int, stop: int | None
) -> tuple[Tensor, Tensor]:
    """Ids `[B, P]`, filled up with 0, and the lengths of the prompts, both on the CPU."""
    if not isinstance(net, TokenNet):
        raise type_error("net", kind_of(net), "a TokenNet")
    positive("max_tokens", max_tokens)
    if stop is not None:
        positive("stop", stop, minimum=0)
    if isinstance(prompts, Tensor) and prompts.ndim != 2:
        raise value_error("prompts.shape", tuple(prompts.shape), "[B, P]")
    samples = prompts.tolist() if isinstance(prompts, Tensor) else list(map(list, prompts))
    for b, sample in enumerate(samples):
        if not sample or not all(isinstance(i, int) and i >= 0 for i in sample):
            allowed = "at least one id, whole numbers from 0"
            raise value_error(f"prompts[{b}]", sample, allowed, "begin with a start id")
    lengths = torch.tensor([len(s) for s in samples], dtype=torch.int64)
    longest = int(lengths.max()) if len(samples) else 1
    if net.max_tokens is not None and longest + max_tokens - 1 > net.max_tokens:
        raise value_error(
            "max_tokens", max_tokens, f"at most {net.max_tokens - longest + 1} after prompts of "
            f"{longest}", f"the net holds {net.max_tokens} tokens",
        )  # fmt: skip
    ids = torch.zeros(len(samples), longest, dtype=torch.int64)
    for row, sample in zip(ids, samples, strict=True):
        row[: len(sample)] = torch.tensor(sample)
    return ids, lengths
