"""For the site alone: the lists of parameters in docstrings as lists, which Markdown would run together."""

import re
from typing import Any

import griffe

ENTRY = re.compile(r"[a-z_]\w*(?:, [a-z_]\w*)* : \S")
"""How an entry begins; lines that are indented go on with it."""


class ParameterLists(griffe.Extension):
    """Called by mkdocstrings for each object that it shows."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = as_lists(obj.docstring.value)


def as_lists(docstring: str) -> str:
    """The docstring with each entry ``name, other : text`` as an item of a Markdown list."""
    lines: list[str] = []
    in_list = False
    for line in docstring.splitlines():
        if ENTRY.match(line):
            if not in_list and lines and lines[-1]:
                lines.append("")
            names, _, text = line.partition(" : ")
            lines.append(f"- {', '.join(f'`{name}`' for name in names.split(', '))}: {text}")
            in_list = True
        else:
            if in_list and line and not line.startswith(" "):
                lines.append("")
            in_list = in_list and (not line or line.startswith(" "))
            lines.append(line)
    return "\n".join(lines)
