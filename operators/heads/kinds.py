"""Which file reads which head: the one table of (task, kind)."""

from collections.abc import Callable, Mapping

from operators.errors import CheckpointError
from operators.heads import (
    body_region,
    dense,
    finding,
    instance_attention,
    multi_label,
    ordinal,
    organs,
    prototypes,
    published,
    regression,
    survival,
)
from operators.heads.distance import guarded
from operators.heads.head import Head, HeadFolder
from operators.heads.published_config import CONFIG
from operators.heads.records import read_table

KINDS: Mapping[tuple[str, str], Callable[[HeadFolder], Head]] = {
    ("body-region", "linear"): body_region.read_head,
    ("segmentation", "linear"): organs.read_head,
    ("segmentation", "decoder"): dense.read_head,
    ("segmentation", "unet"): dense.read_head,
    ("finding", "linear"): finding.read_head,
    ("classification", "linear"): multi_label.read_head,
    ("finding", "decoder"): finding.read_decoded_head,
    ("finding", "unet"): finding.read_decoded_head,
    ("classification", "multi-label"): multi_label.read_head,
    ("classification", "ordinal"): ordinal.read_head,
    ("classification", "instance-attention"): instance_attention.read_head,
    ("classification", "prototypes"): prototypes.read_head,
    ("regression", "linear"): regression.read_head,
    ("survival", "cox"): survival.read_head,
}


def read_head(folder: HeadFolder) -> Head:
    """A head of any kind; a folder with a config.json is one as Raidium publishes it.

    Raises
    ------
    CheckpointError
        Its task and kind are none that we know, or its files are malformed.
    """
    if (folder.path / CONFIG).is_file():
        return guarded(published.read_head(folder), folder)
    table = read_table(folder.path / "head.toml")
    task, kind = table.get("task"), table.get("kind")
    reader = KINDS.get((str(task), str(kind)))
    if reader is None:
        known = ", ".join(f"{task}/{kind}" for task, kind in KINDS)
        raise CheckpointError(
            f"{folder.path.name}/head.toml: task {task!r} of kind {kind!r} is none of those there are: {known}"
        )
    return guarded(reader(folder), folder)
