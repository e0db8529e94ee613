"""Which file reads which head: the one table of (task, kind)."""

from collections.abc import Callable, Mapping

from operators.errors import CheckpointError
from operators.heads import body_region, finding, organs
from operators.heads.head import Head, HeadFolder

KINDS: Mapping[tuple[str, str], Callable[[HeadFolder], Head]] = {
    ("body-region", "linear"): body_region.read_head,
    ("segmentation", "linear"): organs.read_head,
    ("finding", "linear"): finding.read_head,
}


def read_head(folder: HeadFolder) -> Head:
    """A head of any kind.

    Raises
    ------
    CheckpointError
        Its task and kind are none that we know, or its files are malformed.
    """
    task, kind = folder.table.get("task"), folder.table.get("kind")
    reader = KINDS.get((str(task), str(kind)))
    if reader is None:
        known = ", ".join(f"{task}/{kind}" for task, kind in KINDS)
        raise CheckpointError(
            f"{folder.path.name}/head.toml: task {task!r} of kind {kind!r} is none of those there are: {known}"
        )
    return reader(folder)
