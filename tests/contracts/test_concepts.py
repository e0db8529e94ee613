"""One table of concepts: no code stands anywhere else, and the shipped labels mean what the table says."""

import ast
import tomllib
from pathlib import Path

import pytest

from concept_table import codes_of
from operators.domain import concepts
from operators.domain.concepts import Code

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "operators" / "domain" / "concepts.py"
SOURCES = [path for package in ("app", "operators", "trainer") for path in sorted((ROOT / package).rglob("*.py"))]
LABELS = sorted((ROOT / "app" / "demo_model").rglob("labels.toml"))


def _code_literals(tree: ast.AST) -> list[int]:
    """Lines on which a code is made of a literal, by our own type or by highdicom's and pydicom's."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = [call for call in calls if ast.unparse(call.func).split(".")[-1] in ("Code", "CodedConcept")]
    values = [[*call.args, *(keyword.value for keyword in call.keywords)] for call in made]
    literal = [call.lineno for call, given in zip(made, values, strict=True) if any(map(_is_literal, given))]
    named = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and _imports_codes(node)]
    return literal + named


def _is_literal(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _imports_codes(node: ast.ImportFrom) -> bool:
    return (node.module or "").startswith("pydicom.sr") and any(alias.name == "codes" for alias in node.names)


def test_no_code_stands_outside_the_table():
    elsewhere = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        if path != TABLE
        for line in _code_literals(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert not elsewhere


@pytest.mark.parametrize(
    "text", ['Code("1", "UCUM", "no units")', 'hd.sr.CodedConcept(value="1", scheme_designator="UCUM", meaning="x")']
)
def test_a_code_in_a_file_is_seen(text):
    assert _code_literals(ast.parse(text)) == [1]


@pytest.mark.parametrize("path", LABELS, ids=lambda path: path.parent.name)
def test_the_labels_of_the_embedded_model_mean_what_the_table_says(path):
    labels = tomllib.loads(path.read_text(encoding="utf-8"))["label"]
    shipped = {Code(**part) for label in labels for part in label.values() if isinstance(part, dict)}
    assert shipped
    assert shipped <= codes_of(concepts)
