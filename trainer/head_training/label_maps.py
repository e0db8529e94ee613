"""The label maps that a table names, held against the series that they belong to."""

import numpy as np

from operators.domain.volume import Volume
from operators.imaging.encoder_input import orient_for_encoder
from trainer.head_training.studies import FEATURE_FILE, StudyReader
from trainer.head_training.table import Row, Table
from trainer.ingest.pictures import read_picture


def check_label_maps(table: Table, reader: StudyReader, num_classes: int) -> None:
    """Read every map once.

    Raises
    ------
    HeadTrainingError
        A map cannot be read, has another shape than its series or a number that no label has; names the row.
    """
    for row in table.rows:
        if row.study.suffix == FEATURE_FILE:
            raise table.problem(row, "a feature file tells no grid; name the study or image that the map belongs to")
        try:
            label_map = read_label_map(row)
            shape = orient_for_encoder(reader.whole(row.study, row.series)).array.shape
        except (ValueError, OSError) as error:
            raise table.problem(row, str(error)) from error
        if label_map.array.shape != shape:
            raise table.problem(row, f"mask: expected the shape of its series {shape}, got {label_map.array.shape}")
        unknown = sorted(set(np.unique(label_map.array).tolist()) - set(range(num_classes + 1)))
        if unknown:
            raise table.problem(row, f"mask: expected 0 for background or 1 to {num_classes}, got {unknown[0]:g}")


def read_label_map(row: Row) -> Volume:
    """The map of a row, its axes the encoder's."""
    assert row.mask is not None, "the table was read with masks"
    return read_picture(row.mask)
