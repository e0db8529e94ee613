"""For MkDocs: the embedded model's card, which lies in its folder, as a page."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from trainer.export.model_card import CARD


def on_files(files: Files, config: MkDocsConfig) -> Files:
    folder = Path(config.config_file_path).parent / "app/demo_model"
    files.append(File.generated(config, "model-card.md", content=(folder / CARD).read_text(encoding="utf-8")))
    return files
