"""For MkDocs: the embedded model's card as a page, made from the model folder whenever the pages are built."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from trainer.export.model_card import model_card


def on_files(files: Files, config: MkDocsConfig) -> Files:
    folder = Path(config.config_file_path).parent / "app/demo_model"
    files.append(File.generated(config, "model-card.md", content=model_card(folder)))
    return files
