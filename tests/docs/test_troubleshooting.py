"""Every code in the source has its entry on the page of codes, and every entry its code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/troubleshooting.md"
SOURCES = [path for folder in ("app", "operators", "orthanc_plugin") for path in (ROOT / folder).rglob("*.py")]
CODE = re.compile(r"[a-z]+(-[a-z]+)+")


def test_codes_and_entries_are_the_same() -> None:
    entries = re.findall(r"^### (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    assert len(entries) == len(set(entries))
    codes = {code for path in SOURCES for code in _codes(ast.parse(path.read_text()))}
    assert codes - set(entries) == set(), "in the source, not on the page"
    assert set(entries) - codes == set(), "on the page, not in the source"


def _codes(tree: ast.Module) -> Iterator[str]:
    """Of error classes, of warnings, of what is ended with a code, and of alarms."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from (code for name, code in _assigned(node.body) if name == "code")
        if isinstance(node, ast.Call):
            warns = isinstance(node.func, ast.Attribute) and node.func.attr == "warn"
            warns |= isinstance(node.func, ast.Name) and node.func.id == "RunWarning"
            if warns and node.args:
                yield from _text(node.args[0])
            for keyword in node.keywords:
                if keyword.arg == "code":
                    yield from _text(keyword.value)
    if (ast.get_docstring(tree) or "").startswith("What stands in the way of work"):
        yield from (code for _, code in _assigned(tree.body))


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement in body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            if isinstance(target, ast.Name):
                yield from ((target.id, code) for code in _text(statement.value))


def _text(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and CODE.fullmatch(value.value):
        yield value.value
