"""The packs: labelled slices of many people, a folder each with ``index.csv``, as the benchmark reads them too.

Expected below ``packs/`` in the data folder, with their origin:

==============================  ====================================================================================
``mr_brain_tumour_cheng/``      brain tumours with outline and type, 8 bit; Cheng 2015, figshare 1512427, CC BY 4.0
``ct_lung_nodule_lidc/``        crops around lung nodules with four readers' votes, 8 bit; LIDC-IDRI, TCIA, CC BY 3.0
``mr_heart_sunnybrook/``        short-axis cine with the left ventricle, 8 bit; Radau 2009, CC0 1.0
``mr_hippocampus_msd/``         T1 crops around the hippocampus; Medical Segmentation Decathlon, CC BY-SA 4.0
``mr_brain_progression_pairs/`` T1 with contrast at two dates; Brain-Tumor-Progression, TCIA, CC BY 3.0
``ct_body_luad/``               CT slices from neck to pelvis; TCGA-LUAD, TCIA, CC BY 3.0
==============================  ====================================================================================
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from trainer.demo_model.stacks import Stack

PERSON = {"mr_brain_tumour_cheng": "patient_family", "mr_brain_progression_pairs": "pair"}
"""The column that tells people apart, where it is not patient_id."""

IMAGES = {"mr_brain_progression_pairs": ("pre", "post")}
"""The columns that name images, where it is not image alone."""

EVERY = {"mr_hippocampus_msd": 4, "ct_lung_nodule_lidc": 2}
"""Of these packs one person in so many is taken: small and alike, their crops would be most of all slices."""


def pack_stacks(data: Path) -> Iterator[Stack]:
    """Each person's images of each pack."""
    for folder in sorted(path.parent for path in (data / "packs").glob("*/index.csv")):
        people: dict[str, list[Path]] = {}
        for row in pack_rows(folder):
            images = (folder / row[column] for column in IMAGES.get(folder.name, ("image",)))
            people.setdefault(person(folder.name, row), []).extend(images)
        for name in sorted(people)[:: EVERY.get(folder.name, 1)]:
            yield Stack(name, folder.name, tuple(people[name]))


def person(pack: str, row: Mapping[str, str]) -> str:
    """A name that no other pack gives to somebody else; LIDC-IDRI's patients keep theirs."""
    name = row[PERSON.get(pack, "patient_id")]
    return name if name.startswith("LIDC-IDRI") else f"{pack}-{name}"


def pack_rows(folder: Path) -> Iterator[dict[str, str]]:
    """The rows of a pack's index."""
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)
