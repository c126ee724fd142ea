"""How a module must behave from call to call: laws of calls, not of tokens. `audit` checks them."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from tokennet.laws.law import Case, Law
from tokennet.structure import Tokens


@dataclass(frozen=True)
class Conduct(Law):
    """A law of calls: it changes how a module is called, not what it is given."""

    def case(self, tokens: Tokens, rng: torch.Generator) -> Case | None:
        """None: the tokens stay as they are."""
        return None


@dataclass(frozen=True)
class Repeatability(Conduct):
    """The same call gives the same, whatever the random generators and autograd's mode."""

    statement: ClassVar[str] = "f(x) = f(x), with any seed, with autograd on, off or in inference"


@dataclass(frozen=True)
class NoState(Conduct):
    """Calls in between leave no trace."""

    statement: ClassVar[str] = "f(x) = f(x) after any other calls"


@dataclass(frozen=True)
class Purity(Conduct):
    """A call changes neither its inputs, nor weights, buffers, modes, nor global state."""

    statement: ClassVar[str] = "inputs, weights, buffers and random generators stay as they were"


@dataclass(frozen=True)
class MemoryLayout(Conduct):
    """It does not matter how tensors lie in memory."""

    statement: ClassVar[str] = "f(x) = f(x in another memory layout)"


@dataclass(frozen=True)
class TrainEval(Conduct):
    """Without dropout, train and eval mode give the same."""

    statement: ClassVar[str] = "f.train()(x) = f.eval()(x) where nothing is dropped"


@dataclass(frozen=True)
class Finite(Conduct):
    """Outputs are finite, for isolated, repeated, large tokens and samples without a token."""

    statement: ClassVar[str] = "f(x) is finite for finite x"


@dataclass(frozen=True)
class Cache(Conduct):
    """Token by token with a cache gives what one call gives."""

    statement: ClassVar[str] = "step(x[t], state) = f(x)[t]"


@dataclass(frozen=True)
class Interleaving(Conduct):
    """Tokens of different samples may stand in any order in the list of all tokens."""

    statement: ClassVar[str] = "f(x, batch) is the same with rows and batch reordered together"
