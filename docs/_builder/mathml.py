"""Equations as MathML, made when the site is built: no script and no font is needed to show them."""

from __future__ import annotations

import re

# A fence ```math is an equation on lines of its own; $`...`$ stands in a line.
_BLOCK = re.compile(r"^```math\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"\$`([^`\n]+)`\$")


def equations(markdown: str) -> str:
    """Return a page with its LaTeX equations as MathML.

    Args:
        markdown: of the page.
    """
    markdown = _BLOCK.sub(lambda found: f'<div class="equation">{_mathml(found[1], "block")}</div>', markdown)
    return _INLINE.sub(lambda found: _mathml(found[1], "inline"), markdown)


def _mathml(latex: str, display: str) -> str:
    from latex2mathml.converter import convert

    return convert(" ".join(latex.split()), display=display)
