"""The errors that bad input gets: which argument, its value, what is allowed, what to do."""

from typing import Any


def _sentence(name: str, value: Any, allowed: str, hint: str) -> str:
    return f"{name} is {value}, expected {allowed}" + (f"; {hint}" if hint else "")


def value_error(name: str, value: Any, allowed: str, hint: str = "") -> ValueError:
    """A value that is not allowed: `raise value_error("dim", 10, "a multiple of 4")`."""
    return ValueError(_sentence(name, value, allowed, hint))


def type_error(name: str, value: Any, allowed: str, hint: str = "") -> TypeError:
    """A kind of value that is not allowed, told in the same four parts."""
    return TypeError(_sentence(name, value, allowed, hint))


def kind_of(value: Any) -> str:
    """What somebody passed, for a message: `Linear`, or `the class Linear`."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def positive(name: str, value: int, *, minimum: int = 1) -> int:
    """`value`, if it is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise type_error(name, repr(value), "a whole number")
    if value < minimum:
        raise value_error(name, value, f"at least {minimum}")
    return value


def switch(name: str, value: bool) -> bool:
    """`value`, if it is True or False: any text would count as True."""
    if not isinstance(value, bool):
        raise type_error(name, repr(value), "True or False")
    return value


def probability(name: str, value: float) -> float:
    """`value`, if 0 <= value < 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise type_error(name, repr(value), "a probability, 0 <= p < 1")
    if not 0 <= value < 1:
        raise value_error(name, value, "a probability, 0 <= p < 1")
    return float(value)


def maker(name: str, value: Any, example: str) -> Any:
    """`value`, if it can be called to make a module: a class, not a module or its name."""
    made = hasattr(value, "forward") and not isinstance(value, type)
    if made or not callable(value):
        kind = repr(value) if isinstance(value, str) else type(value).__name__
        raise type_error(name, kind, "a class or function that makes a module", f"e.g. {example}")
    return value


def split_heads(dim: int, num_heads: int, *, name: str = "dim") -> int:
    """Channels of a head, if `num_heads` divides `dim`."""
    positive(name, dim)
    positive("num_heads", num_heads)
    if dim % num_heads:
        raise value_error(
            name,
            dim,
            f"a multiple of num_heads ({num_heads})",
            f"choose another {name} or num_heads",
        )
    return dim // num_heads
