"""Which things the embedded model outlines: from whose images, where a head may be asked, and what its card says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from operators.domain.value_meaning import ValueMeaning
from operators.heads.dense import DecoderRecord
from operators.heads.finding import DecodedFindingRecord
from operators.heads.scope import Modality, Region
from trainer.demo_model.body_region import THRESHOLD as REGION_CONFIDENCE
from trainer.demo_model.finding_choice import FOLDS, FindingChoice
from trainer.demo_model.open_data import read_sarcoma_scans
from trainer.demo_model.outlines import TOP_TOKENS, OutlineFigures
from trainer.demo_model.pack_scans import (
    read_hippocampus_scans,
    read_pair_scans,
    read_tumour_scans,
    read_ventricle_scans,
)
from trainer.features.scans import Scan
from trainer.heads.pixel_decoder import DecoderFit

UNET = DecoderFit(kind="unet", levels=1, hidden=32, steps=2500, lr=3e-3)
"""Where there are dozens of people; on a dozen it knows them by heart."""

MOST_TUMOUR_SLICES = 24
"""Of a person: nearly all that there are."""

THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class OutlinedHead:
    """What a head is called and fitted on.

    label : the structure's name in the table of concepts
    task : "finding" where it may be absent, "segmentation" where it is anatomy
    scans : of the data folder
    may_be_drawn : whether the licence lets pictures of single people stand in the documentation
    lowest_dice : of held-out people, under which the head is left out of the folder
    fit : how its decoder is fitted
    moved : how many times each shown person's scans are also shown moved
    """

    name: str
    label: str
    task: Literal["finding", "segmentation"]
    modality: Modality
    values: tuple[ValueMeaning, ...]
    region: Region
    minimum_volume_ml: float
    may_be_drawn: bool
    lowest_dice: float
    data: str
    scans: Callable[[Path], Iterator[Scan]]
    fit: DecoderFit = DecoderFit()
    moved: int = 0


def record_of(
    head: OutlinedHead, figures: OutlineFigures, choice: FindingChoice | None, *, encoder_sha256: str, version: str
) -> DecodedFindingRecord | DecoderRecord:
    """The head.toml of what was fitted.

    choice : None for anatomy, of which nobody asks whether it is there
    """
    common = {
        "name": head.name,
        "version": version,
        "encoder_sha256": encoder_sha256,
        "modality": (head.modality,),
        "values": head.values,
        "body_region": (head.region,),
        "region_confidence": REGION_CONFIDENCE,
        "kind": head.fit.kind,
        "levels": head.fit.levels,
        "minimum_volume_ml": head.minimum_volume_ml,
        "distance": figures.scope.limits,
        "data": head.data,
        "measured": figures.measured,
    }
    if choice is None:
        return DecoderRecord.model_validate({"task": "segmentation", **common})
    finding = {
        "task": "finding",
        "members": FOLDS,
        "top_tokens": TOP_TOKENS,
        "calibration": choice.calibration,
        "threshold": THRESHOLD,
        "mask_threshold": 0.0,
    }
    return DecodedFindingRecord.model_validate({**finding, **common})


def _sarcomas(modality: Modality) -> Callable[[Path], Iterator[Scan]]:
    def read(data: Path) -> Iterator[Scan]:
        return (
            scan.thinned(max(1, scan.sparse_step)) for scan in read_sarcoma_scans(data) if scan.modality == modality
        )

    return read


_SARCOMA = (
    "{} of people with soft-tissue sarcoma (IBSI's set of TCIA's Soft-tissue-Sarcoma, CC BY 3.0), tumours outlined by "
    "people. Every field of view ends 5 cm around the tumour, and everybody has one: the task is easier than, and "
    "unlike, finding a mass in a whole examination"
)

HEADS = (
    OutlinedHead(
        name="soft-tissue-mass-ct",
        label="soft-tissue mass",
        task="finding",
        modality="CT",
        values=("HU",),
        region="extremity",
        minimum_volume_ml=2.0,
        may_be_drawn=True,
        lowest_dice=0.3,
        data=_SARCOMA.format("CT"),
        scans=_sarcomas("CT"),
        moved=2,
    ),
    OutlinedHead(
        name="soft-tissue-mass-mr",
        label="soft-tissue mass",
        task="finding",
        modality="MR",
        values=("scanner units",),
        region="extremity",
        minimum_volume_ml=2.0,
        may_be_drawn=True,
        lowest_dice=0.3,
        data=_SARCOMA.format("T1-weighted MR"),
        scans=_sarcomas("MR"),
    ),
    OutlinedHead(
        name="brain-mass",
        label="brain mass",
        task="finding",
        modality="MR",
        values=("grey levels", "scanner units"),
        region="head",
        minimum_volume_ml=0.05,
        may_be_drawn=False,
        lowest_dice=0.6,
        data=(
            "T1-weighted MR with gadolinium of people with meningioma, glioma or pituitary tumour, single slices, "
            "8-bit grey levels (Cheng 2015, CC BY 4.0), and of people with glioblastoma at two dates in scanner units "
            "(TCIA's Brain-Tumor-Progression, CC BY 3.0). Nearly every slice shows a tumour: what a slice without one "
            "looks like was learned from few, and where there is none the head may find one"
        ),
        scans=lambda data: chain(read_tumour_scans(data, most=MOST_TUMOUR_SLICES), read_pair_scans(data)),
        # Fewer than one slice in forty shows nothing; tumours of a few cells and of hundreds count alike.
        fit=replace(UNET, levels=2, empty=0.1, dice_over="slice"),
        moved=2,
    ),
    OutlinedHead(
        name="left-ventricle",
        label="left ventricle",
        task="segmentation",
        modality="MR",
        values=("grey levels", "scanner units"),
        region="chest",
        minimum_volume_ml=0.05,
        may_be_drawn=True,
        lowest_dice=0.6,
        data=(
            "short-axis cine MR, 8-bit grey levels, the left ventricle's cavity outlined by people (Sunnybrook Cardiac "
            "Data, Radau 2009, CC0 1.0). Fitted on grey levels alone; of scanner units the z-score takes scale and "
            "offset away"
        ),
        scans=read_ventricle_scans,
        fit=UNET,
        moved=1,
    ),
    OutlinedHead(
        name="hippocampus",
        label="hippocampus",
        task="segmentation",
        modality="MR",
        values=("scanner units",),
        region="head",
        minimum_volume_ml=0.05,
        may_be_drawn=False,
        lowest_dice=0.6,
        data=(
            "T1-weighted MR crops of about 35 x 50 mm around the hippocampus (Medical Segmentation Decathlon, CC BY-SA "
            "4.0). Only crops were seen; a whole head is out of scope by its features' distance"
        ),
        scans=read_hippocampus_scans,
        fit=UNET,
        moved=1,
    ),
)
