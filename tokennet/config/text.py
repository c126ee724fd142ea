"""YAML as it is meant: a key that stands twice is refused, and 1e-3 is a number."""

import re
from typing import Any

from tokennet.config.reader import ConfigError, problem


def parse(text: str, source: str = "the file") -> Any:
    """The content of a YAML text; nothing in it is run.

    Raises:
        ConfigError: for what is no YAML, with line and column.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe, strict on keys, and with the numbers of YAML 1.2."""

    def construct(loader: Any, node: Any) -> dict[Any, Any]:
        own = [id(place) for place, _ in node.value]
        loader.flatten_mapping(node)  # what is merged comes first, and may be set again
        found: dict[Any, Any] = {}
        seen: set[Any] = set()
        for place, value in node.value:
            key = loader.construct_object(place, deep=True)
            line = f"line {place.start_mark.line + 1}"
            if not isinstance(key, bool | int | float | str | None):
                raise problem(source, f"{line}: a key is a list or mapping")
            if key in seen:
                raise problem(source, f"{line}: the key {key!r} stands there twice")
            if id(place) in own:
                seen.add(key)
            found[key] = loader.construct_object(value, deep=True)
        return found

    Loader.add_constructor("tag:yaml.org,2002:map", construct)
    number = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{source}: {place}{said}") from None
