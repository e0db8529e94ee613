"""The embedded model's card holds everything that its files say, and its page is made of them."""

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

from typer.testing import CliRunner

from operators.documents import file_sha256
from trainer.__main__ import app
from trainer.export.model_card import CARD, model_card

DEMO_MODEL = Path(__file__).parents[3] / "app/demo_model"


def figures(table: object) -> Iterator[str]:
    """Every plain value, as Python writes it."""
    if isinstance(table, dict):
        for value in table.values():
            yield from figures(value)
    elif isinstance(table, list):
        for value in table:
            yield from figures(value)
    else:
        yield str(table)


def test_every_value_of_the_model_and_every_figure_of_its_heads_is_on_the_card() -> None:
    card = model_card(DEMO_MODEL)
    model = tomllib.loads((DEMO_MODEL / "model.toml").read_text())
    assert [value for value in figures(model) if value not in card and value not in ("True", "False")] == []
    heads = sorted(DEMO_MODEL.glob("heads/*/head.toml"))
    assert heads
    for path in heads:
        head = tomllib.loads(path.read_text())
        assert f"## Head: {path.parent.name}\n" in card
        assert [value for value in figures([head["data"], head.get("measured", {})]) if value not in card] == []
        labels = tomllib.loads((path.parent / "labels.toml").read_text())["label"]
        assert all(label["name"] in card for label in labels)
    assert file_sha256(DEMO_MODEL / "encoder/model.safetensors") in card


def test_the_card_lies_in_the_folder_as_it_would_be_made_of_it() -> None:
    assert (DEMO_MODEL / CARD).read_text() == model_card(DEMO_MODEL)


def test_a_value_with_a_bar_does_not_break_its_table(tmp_path: Path) -> None:
    folder = shutil.copytree(DEMO_MODEL, tmp_path / "model")
    (folder / "model.toml").write_text((folder / "model.toml").read_text() + '\n[more]\nodd = "a | b"\n')
    assert "| odd | a \\| b |" in model_card(folder)


def test_a_folder_without_a_description_has_no_card(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["card", str(DEMO_MODEL)]).output.startswith("# Model card: ")
    ended = CliRunner().invoke(app, ["card", str(tmp_path)])
    assert ended.exit_code == 4
    assert "no card without a whole model.toml" in ended.output
