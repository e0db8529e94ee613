from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from encoder_cases import TINY, write_random_snapshot
from head_training_cases import Cohort, made_cohort
from operators.model.model_folder import Model, read_model
from trainer.export.model_folder import to_toml, write_digests, write_model_file
from trainer.head_training.command import train_head


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_random_snapshot(TINY, folder / "encoder")
    record = {"name": "tiny", "version": "1", "demonstration": True, "licence": "none", "intended_use": "tests"}
    write_model_file(record, folder)
    write_digests(folder)
    return folder


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    return read_model(model_folder)


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return made_cohort(tmp_path)


@pytest.fixture
def train(cohort: Cohort, model_folder: Path) -> Callable[..., Path]:
    """Trains a head of the cohort's table and gives its folder."""

    def trained(head: dict[str, Any], targets: Sequence[str], *, name: str = "head", **settings: Any) -> Path:
        config = cohort.folder / f"{name}.toml"
        columns = {"targets": list(targets)} | settings.pop("columns", {})
        common = {"model": str(model_folder), "folds": 3}
        config.write_text(to_toml(common | settings | {"head": {"name": name} | head, "columns": columns}))
        table = cohort.folder / "table.csv"
        out = cohort.folder / name
        table = table if table.exists() else cohort.write()
        train_head(config, table, out, None, device="cpu", console=Console(quiet=True))
        return out

    return trained
