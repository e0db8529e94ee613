"""A head's folder, which appears whole or not at all, and takes its place in a model folder."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from operators.documents import UNFINISHED
from operators.heads.distance import FILE_NAME, FeatureFit
from operators.model.model_folder import MODEL_FILE
from trainer.export.model_card import write_card
from trainer.export.model_folder import write_digests
from trainer.head_training.errors import HeadTrainingError

PICTURE = "reliability.png"


def check_place(out: Path) -> None:
    """Raises HeadTrainingError where something else than a head lies at *out*."""
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]) and not (out / "head.toml").is_file():
        raise HeadTrainingError(f"--out {out}: expected an empty folder or a head's, something else lies there")


@contextmanager
def head_folder(out: Path) -> Iterator[Path]:
    """Where to write a head that is to appear under *out* when the block ends, with its digests.

    In a model folder's ``heads`` the model's card and SHA256SUMS are made anew, so that the model can be used with it.
    """
    heads = out.parent
    heads.mkdir(parents=True, exist_ok=True)
    model = heads.parent if heads.name == "heads" and (heads.parent / MODEL_FILE).is_file() else None
    # Not among a model's heads, which are read as they stand.
    unfinished = (model or heads) / f".{out.name}{UNFINISHED}" / out.name
    shutil.rmtree(unfinished.parent, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        write_digests(unfinished)
        shutil.rmtree(out, ignore_errors=True)
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished.parent, ignore_errors=True)
    if model:
        write_card(model)
        write_digests(model)


def write_feature_fit(fit: FeatureFit, folder: Path) -> None:
    """As `operators.heads.distance` reads it."""
    tensors = {
        "mean": fit.mean,
        "axes": np.ascontiguousarray(fit.axes),
        "variances": fit.variances,
        "residual": np.array([fit.residual], np.float32),
    }
    save_file(tensors, folder / FILE_NAME)
    shutil.copymode(folder / "head.toml", folder / FILE_NAME)
