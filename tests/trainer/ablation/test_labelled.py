from pathlib import Path

import pytest

from phantoms import SeriesSpec, build_datasets, phantom_value, save_series
from trainer.ablation.labelled import read_splits
from trainer.ingest.batch import IngestSettings, ingest_batch
from trainer.ingest.journal import IngestJournal
from trainer.ingest.pseudonyms import read_or_make_key
from trainer.ingest.sources import walk
from trainer.pretraining.data.shards import read_shards

PATIENTS = [f"P-{number}" for number in range(8)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two slices of each patient."""
    tree, out = (tmp_path_factory.mktemp(name) for name in ("tree", "shards"))
    for number, patient in enumerate(PATIENTS):
        spec = SeriesSpec(shape=(2, 12, 16), slice_spacing=9.0, patient_id=patient, study=patient)
        save_series(build_datasets(spec, lambda p, number=number: phantom_value(p) + 50.0 * number), tree / patient)
    settings = IngestSettings(out, 0.5, (), shard_bytes=2**20)
    with IngestJournal(out) as journal:
        journal.record(ingest_batch(tuple(walk([tree])), settings, read_or_make_key(out)))
    return out


def test_patients_are_held_out_where_the_shards_hold_them_out(shards: Path) -> None:
    """The split's own shards tell it another way: as many hashes there as patients are said to be."""
    splits = read_splits(shards, PATIENTS)
    for split in ("train", "validation"):
        held = {sample.patient for path in (shards / split).glob("*.tar") for sample in read_shards(str(path))}
        assert len(held) == list(splits.values()).count(split)


def test_a_patient_that_the_shards_do_not_know_is_named(shards: Path) -> None:
    with pytest.raises(ValueError, match=r"every labelled patient in the shards, P-99 is not"):
        read_splits(shards, [*PATIENTS, "P-99"])


def test_a_folder_without_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"that `python -m trainer ingest` wrote, with its key"):
        read_splits(tmp_path, PATIENTS)
    assert not list(tmp_path.iterdir())
