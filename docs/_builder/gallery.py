"""The gallery: the scripts of examples/ with what they print and draw."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# Scripts that take seconds run when the site is built; the others are shown only. The tests run all of them.
SCRIPTS = {path.stem: path for path in sorted(EXAMPLES.glob("*.py"))}
RUN = ("fit_your_cells", "pick_a_core", "bit_line")


def page(outputs: dict[str, tuple[str, dict[str, bytes]]]) -> tuple[str, dict[str, bytes]]:
    """Return the part of the page of examples below its table, and the pictures by path.

    Args:
        outputs: what the scripts that were run printed, and their pictures.
    """
    pictures: dict[str, bytes] = {}
    lines: list[str] = []
    for name in sorted(SCRIPTS, key=lambda name: (name not in RUN, name)):
        lines += ["", f"## {name.replace('_', ' ').capitalize()}", ""]
        if name in outputs:
            printed, own = outputs[name]
            pictures |= {f"gallery/{name}_{picture}": content for picture, content in own.items()}
            # Links are written as seen from examples/.
            lines += [f"![What {name}.py draws](../docs/gallery/{name}_{picture})\n" for picture in own]
            lines += ["```text", printed.strip("\n"), "```", ""]
        lines += [f'??? note "{name}.py"', ""]
        text = SCRIPTS[name].read_text("utf-8").rstrip().split("\n")
        lines += [f"    {line}".rstrip() for line in ("```python", *text, "```")]
    return "\n".join(lines) + "\n", pictures
