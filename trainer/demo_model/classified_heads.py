"""Heads that say of which kind something is: tables of the packs' pictures, given to ``python -m trainer head``.

The type of a brain tumour is asked without the people whose ids begin with "MR": all of them have gliomas, so that a
scanner could give the type away.
"""

import csv
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from trainer.demo_model.held_out import is_held_out
from trainer.demo_model.packs import pack_rows, person
from trainer.export.model_folder import to_toml
from trainer.head_training.command import train_head

Row = tuple[Path, str, str]
"""A picture, whose it is, and its class."""

TABLE, SETTINGS, HEAD = "table.csv", "head.toml", "head"

TUMOURS = "mr_brain_tumour_cheng"
PICTURES_OF_ONE = 4
SHOTS = 5

NODULES = "ct_lung_nodule_lidc"
UNSUSPICIOUS, SUSPICIOUS = 2.5, 3.5
"""Readers' median scores, of 1 to 5, up to and from which a nodule has one of the two classes."""

LOW, HIGH = "suspicion rated low", "suspicion rated high"

BY_ATTENTION = {
    "fit": {"optimiser": "adamw", "learning_rate": 0.003, "epochs": 10, "batch_size": 16, "penalties": [0.01]},
    "folds": 2,
    "faithfulness": {"studies": 2},
    "values": "8-bit",
}


@dataclass(frozen=True, slots=True)
class ClassifiedHead:
    """What a head is called, fitted on and asked for.

    rows : of the data folder
    settings : of ``python -m trainer head``, but for model and columns
    metric, lowest : the figure on held-out people under which the head is left out of the folder
    left_out : why it is left out however good it is; empty where it is not
    """

    name: str
    rows: Callable[[Path], Iterator[Row]]
    settings: Mapping[str, object]
    metric: str
    lowest: float
    left_out: str = ""


def train_classified_head(
    head: ClassifiedHead, data: Path, snapshot: Path, work: Path
) -> tuple[Path, dict[str, float | int | str]]:
    """The head's folder below *work*, and its figures on held-out people.

    snapshot : folder of the encoder
    work : keeps the features and the finished fits, too
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("study", "patient_id", "split", "class"))
        for picture, patient, label in head.rows(data):
            table.writerow((picture.resolve(), patient, "test" if is_held_out(patient) else "train", label))
    asked = {"model": str(snapshot.resolve()), **head.settings, "columns": {"targets": ["class"]}}
    (work / SETTINGS).write_text(to_toml(asked), encoding="utf-8")
    train_head(
        work / SETTINGS, work / TABLE, work / HEAD, work / "kept", device="cpu", console=Console(quiet=True)
    )  # fmt: skip
    return work / HEAD, tomllib.loads((work / HEAD / "head.toml").read_text(encoding="utf-8"))["measured"]


def _tumour_rows(data: Path) -> Iterator[Row]:
    people: dict[str, list[dict[str, str]]] = {}
    for row in pack_rows(data / "packs" / TUMOURS):
        if not row["patient_id"].startswith("MR"):
            people.setdefault(person(TUMOURS, row), []).append(row)
    for patient, rows in people.items():
        step = max(1, len(rows) // PICTURES_OF_ONE)
        for row in rows[::step][:PICTURES_OF_ONE]:
            yield data / "packs" / TUMOURS / row["image"], patient, row["label"]


def _few_tumour_rows(data: Path) -> Iterator[Row]:
    """Of those who may be shown so many people of each type, one picture each; of the others all."""
    shown: dict[str, set[str]] = {}
    for picture, patient, label in _tumour_rows(data):
        if is_held_out(patient):
            yield picture, patient, label
        elif patient not in shown.setdefault(label, set()) and len(shown[label]) < SHOTS:
            shown[label].add(patient)
            yield picture, patient, label


def _nodule_rows(data: Path) -> Iterator[Row]:
    """One picture of each person's first nodule of which the readers are sure enough."""
    seen: set[str] = set()
    for row in pack_rows(data / "packs" / NODULES):
        score = float(row["malignancy_median"] or "nan")
        if row["patient_id"] not in seen and (score <= UNSUSPICIOUS or score >= SUSPICIOUS):
            seen.add(row["patient_id"])
            label = HIGH if score >= SUSPICIOUS else LOW
            yield data / "packs" / NODULES / row["image"], person(NODULES, row), label


def _settings(
    name: str, kind: str, scope: Mapping[str, object], classes: Sequence[str], data: str, more: Mapping[str, object]
) -> dict[str, object]:
    own = {"instances": ["cls", "tokens"], "exclusive": True} if kind == "instance-attention" else {}
    head = {"task": "classification", "kind": kind, "name": name, "data": data, **own, **scope}
    return {"classes": list(classes), **more, "head": head}


_TUMOUR_TYPES = ("glioma", "meningioma", "pituitary")
_TUMOUR_SCOPE = {"modality": ["MR"], "values": ["grey levels", "scanner units"], "body_region": ["head"]}
_TUMOUR_DATA = (
    "{} of people with meningioma, glioma or pituitary tumour, T1-weighted MR with gadolinium, 8-bit grey levels "
    "(Cheng 2015, CC BY 4.0), without those whose ids begin with MR. Every slice shows a tumour"
)

CLASSIFIED = (
    ClassifiedHead(
        name="brain-tumour-type",
        rows=_tumour_rows,
        settings=_settings(
            "brain-tumour-type",
            "instance-attention",
            _TUMOUR_SCOPE,
            _TUMOUR_TYPES,
            _TUMOUR_DATA.format("At most four slices each"),
            BY_ATTENTION,
        ),
        metric="balanced_accuracy",
        lowest=0.8,
    ),
    ClassifiedHead(
        name="brain-tumour-type-few-shot",
        rows=_few_tumour_rows,
        settings=_settings(
            "brain-tumour-type-few-shot",
            "prototypes",
            _TUMOUR_SCOPE,
            _TUMOUR_TYPES,
            _TUMOUR_DATA.format("One slice each of five people with each type, out"),
            {"folds": 5, "values": "8-bit", "distance": {"rank": 4}, "faithfulness": {"studies": 0}},
        ),
        metric="balanced_accuracy",
        lowest=0.8,
    ),
    ClassifiedHead(
        name="lung-nodule-suspicion",
        rows=_nodule_rows,
        settings=_settings(
            "lung-nodule-suspicion",
            "instance-attention",
            {"modality": ["CT"], "values": ["grey levels"], "body_region": ["chest"]},
            (LOW, HIGH),
            "Crops around lung nodules, stretched one by one to 8-bit grey levels (LIDC-IDRI, TCIA, CC BY 3.0); the "
            "readers' median score of how suspicious of malignancy they are, 3 left out",
            BY_ATTENTION,
        ),
        metric="macro_auc",
        lowest=0.8,
        left_out="no study holds such crops, stretched to grey levels, and a head for them answers about nothing else",
    ),
)
