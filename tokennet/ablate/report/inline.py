"""Pictures inside the page: SVG whose colours come from the page's style, light or dark."""

import io
import re
import warnings
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from tokennet.ablate.report.sketch import LIGHT, Look, Palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VARIABLE = {colour: f"var(--{name})" for name, colour in LIGHT.named().items()}


def both(name: str, about: str, draw: Callable[[Look], "Figure"]) -> str:
    """A picture for the desktop and one for a phone; the style shows one of them."""
    wide, narrow = Look(links=True), Look(narrow=True, links=True)
    return inline(f"{name}-wide", about, "wide", draw(wide)) + inline(
        f"{name}-narrow", about, "narrow", draw(narrow)
    )


def inline(name: str, about: str, kind: str, figure: "Figure") -> str:
    """A figure as SVG without anything from elsewhere; `about` is read to whom can't see it."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser has other fonts
        figure.savefig(buffer, format="svg", metadata=nothing, facecolor=figure.get_facecolor())
    width, height = (72 * inches for inches in figure.get_size_inches())
    text = buffer.getvalue()
    body = re.sub(r"\A.*?<svg[^>]*>", "", text, flags=re.DOTALL)
    body = re.sub(r"<style type=.*?</style>|<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^<>]+>", _tag, body)
    return (
        f'<svg class="picture {kind}" role="img" aria-label="{escape(about, quote=True)}" '
        f'viewBox="0 0 {width:g} {height:g}" style="--width: {width * 1.35:.0f}px">{body}'
    )


def _tag(found: "re.Match[str]") -> str:
    """A tag without what is the same in every picture, in the page's own font and colours."""
    tag = re.sub(r'<g id="[^"]*"', "<g", found[0])
    tag = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", tag)
    tag = tag.replace(' target="_blank"', ' tabindex="-1"').replace("xlink:href", "href")
    tag = re.sub(r"font-family: [^;]*;? ?", "", tag)
    tag = re.sub(r"#[0-9a-f]{6}\b", lambda code: _VARIABLE.get(code[0], code[0]), tag)
    return re.sub(r"\s*\n\s*", " ", tag)


def variables(palette: Palette) -> str:
    """The colours of a palette as the page's style names them."""
    return " ".join(f"--{name}: {colour};" for name, colour in palette.named().items())
