"""The label maps that a table names, held against the series that they belong to."""

import numpy as np
from numpy.typing import NDArray

from operators.domain.volume import Volume
from operators.imaging.encoder_input import orient_for_encoder
from trainer.head_training.studies import FEATURE_FILE, StudyReader
from trainer.head_training.table import Row, Table
from trainer.ingest.pictures import read_picture


def check_label_maps(
    table: Table, reader: StudyReader, num_classes: int, *, present: NDArray[np.bool_] | None = None
) -> None:
    """Read every map once.

    present : (n,) of a finding, whether the study shows it; one that does not needs no map

    Raises
    ------
    HeadTrainingError
        A map is missing or cannot be read, has another shape than its series or a number that no label has, or shows
        something else than the row says; names the row.
    """
    for place, row in enumerate(table.rows):
        shows = None if present is None else bool(present[place])
        if row.mask is None and shows is not False:
            raise table.problem(row, "mask: expected a label map, got nothing")
        if row.study.suffix == FEATURE_FILE:
            raise table.problem(row, "a feature file tells no grid; name the study or image that the map belongs to")
        try:
            label_map = read_label_map(row)
            if label_map is None:
                continue
            shape = orient_for_encoder(reader.whole(row.study, row.series)).array.shape
        except (ValueError, OSError) as error:
            raise table.problem(row, str(error)) from error
        if label_map.array.shape != shape:
            raise table.problem(row, f"mask: expected the shape of its series {shape}, got {label_map.array.shape}")
        unknown = sorted(set(np.unique(label_map.array).tolist()) - set(range(num_classes + 1)))
        if unknown:
            raise table.problem(row, f"mask: expected 0 for background or 1 to {num_classes}, got {unknown[0]:g}")
        if shows is not None and shows != bool(label_map.array.any()):
            raise table.problem(
                row, f"mask: the row says {int(shows)}, and the map shows {'nothing' if shows else 'something'}"
            )


def read_label_map(row: Row) -> Volume | None:
    """The map of a row, its axes the encoder's; None where it has none."""
    return read_picture(row.mask) if row.mask is not None else None
