"""A folder that is there whole or not at all."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A fresh folder that takes *target*'s place when the block ends well and has not removed it."""
    folder = target.with_name(f"{target.name}.part-{uuid.uuid4().hex[:8]}")
    folder.mkdir(mode=0o700)
    try:
        yield folder
        if folder.exists():
            shutil.rmtree(target, ignore_errors=True)
            folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
