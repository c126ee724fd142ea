"""A decoder that translates by reading a memory: digits to their names, letter by letter.

Causal attention over what is written so far, then attention over the encoder's tokens.

python examples/decoder.py
"""

import argparse

import torch
import torch.nn.functional as F

import tokennet as tn

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LETTERS = ["<", ">", " ", *sorted(set("".join(NAMES)))]  # begin, end, space, the letters
DIM = 48


class Translator(torch.nn.Module):
    """An encoder of digits; a decoder of letters whose blocks read the encoder's tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = tn.TokenNet(
            tn.EmbeddingTokenizer(10, DIM),
            [tn.SinusoidalPosition(DIM), tn.Block(DIM, tn.Attention(DIM, 4))],
            tn.TokenReadout(DIM, DIM),
        )
        block = tn.Block(DIM, tn.Attention(DIM, 4, tn.Causal()), tn.Attention(DIM, 4, tn.Memory()))
        self.decoder = tn.TokenNet(
            tn.EmbeddingTokenizer(len(LETTERS), DIM),
            [tn.SinusoidalPosition(DIM), block],
            tn.TokenReadout(DIM, len(LETTERS)),
        )

    def forward(
        self, digits: torch.Tensor, letters: torch.Tensor, valid: torch.Tensor
    ) -> torch.Tensor:
        structure = tn.Structure.padded(valid, memory=self.encoder(digits))
        return self.decoder(letters, structure)


def batch(count: int, length: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random digits, the letters of their names, and which letters are real."""
    digits = torch.randint(0, 10, (count, length))
    texts = ["<" + " ".join(NAMES[d] for d in row) + ">" for row in digits.tolist()]
    longest = max(map(len, texts))
    codes = [[LETTERS.index(c) for c in t] + [1] * (longest - len(t)) for t in texts]
    valid = torch.tensor([[i < len(t) for i in range(longest)] for t in texts])
    return digits, torch.tensor(codes), valid


@torch.no_grad()
def translate(model: Translator, digits: torch.Tensor, beams: int = 1) -> list[str]:
    """Letter by letter, each step with what the decoder keeps of those before it."""
    memory = tn.Tokens.dense(model.encoder(digits))
    found = tn.beam_decode(
        model.decoder, [[0]] * len(digits), beams=beams, max_tokens=20, stop=1, memory=memory
    )
    return ["".join(LETTERS[i] for i in best.tokens) for best, *_ in found]


def main(steps: int = 400) -> float:
    torch.manual_seed(0)
    model = Translator()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(1, steps + 1):
        digits, letters, valid = batch(64)
        scores = model(digits, letters[:, :-1], valid[:, :-1])
        loss = F.cross_entropy(scores[valid[:, 1:]], letters[:, 1:][valid[:, 1:]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step:4}: loss {loss.item():.3f}", flush=True)
    model.eval()
    digits, _, _ = batch(100)
    wanted = [" ".join(NAMES[d] for d in row) for row in digits.tolist()]
    for beams in (1, 4):
        found = translate(model, digits, beams)
        right = sum(a == b for a, b in zip(found, wanted, strict=True)) / len(wanted)
        first = f"{digits[0].tolist()} -> {found[0]!r}"
        print(f"{first}; beams: {beams}; {right:.0%} of 100 new rows right", flush=True)
    return right


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    main(parser.parse_args().steps)
