"""The embedded model's heads, each fitted, measured and written in a process of its own, on one thread.

No weight depends so on how many cores there are, nor on which head is ready first.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from structlog import get_logger

from operators.encoder.features import Encoder
from operators.encoder.snapshot import Snapshot, read_snapshot
from operators.heads.pixel_decoder import PixelDecoder
from trainer.demo_model.body_region import (
    MORE_OF_RARE,
    body_region_record,
    fit_body_region,
    measure_body_region,
    region_scans,
    shows_rare_region,
)
from trainer.demo_model.cases import Case
from trainer.demo_model.classified_heads import CLASSIFIED, ClassifiedHead, train_classified_head
from trainer.demo_model.cropped import cropped
from trainer.demo_model.finding_choice import choose, ensemble_of, fit_folds
from trainer.demo_model.framings import other_framings
from trainer.demo_model.head_labels import ORGANS, REGIONS, structure
from trainer.demo_model.held_out import is_held_out
from trainer.demo_model.moved import moved
from trainer.demo_model.open_data import (
    make_phantoms,
    read_organ_scans,
    read_region_scans,
    read_sarcoma_scans,
    read_unseen_slices,
)
from trainer.demo_model.organs import FIT, fit_organs, judge_organs, measure_organs, organs_record
from trainer.demo_model.outlined_heads import HEADS, OutlinedHead, record_of
from trainer.demo_model.outlines import fit_outline, measure_outline, outlined_scans
from trainer.demo_model.pack_scans import (
    read_body_scans,
    read_hippocampus_scans,
    read_nodule_scans,
    read_pair_scans,
    read_tumour_scans,
    read_ventricle_scans,
)
from trainer.demo_model.training_processes import THREADS
from trainer.export.model_folder import write_head
from trainer.features.scans import Scan
from trainer.head_training.head_folder import write_feature_fit
from trainer.worker_processes import end_with_parent

SEED = 0
NOT_SHIPPED = "no: too weak to be shown"
log = get_logger()

Measured = dict[str, float | int | str]


@dataclass(frozen=True, slots=True)
class FittedHead:
    """What is known of a head that was fitted, whether or not it was good enough for the folder.

    measured : on people whom nobody saw
    cases : of them, where pictures may be shown
    """

    measured: Measured
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True, slots=True)
class HeadTask:
    """What every fit begins from.

    data : folder of the public data sets
    model : folder with the encoder; gets ``heads/<name>``
    work : what is finished there is not made again
    version : of the model
    """

    data: Path
    model: Path
    work: Path
    version: str

    def snapshot(self) -> Snapshot:
        return read_snapshot(self.model / "encoder")

    def place(self, name: str) -> Path:
        return self.model / "heads" / name


def fit_heads(task: HeadTask) -> Iterator[tuple[str, FittedHead]]:
    """Every head by its name, each as soon as it is ready; as many at a time as there are cores."""
    at_a_time = len(os.sched_getaffinity(0))
    os.environ["OMP_NUM_THREADS"] = str(THREADS)  # read by libraries as they start in the new processes
    with ProcessPoolExecutor(at_a_time, get_context("spawn"), initializer=end_with_parent) as pool:
        waiting = {pool.submit(_fit, name, task): name for name in HEAD_NAMES}
        for ready in as_completed(waiting):
            yield waiting[ready], ready.result()


def fit_body_region_head(task: HeadTask) -> FittedHead:
    """On whole fields of view and on narrower ones: of every other person one, of shown people of rare regions more."""
    snapshot = task.snapshot()
    whole = [
        scan.thinned(scan.sparse_step)
        for scan in chain(
            read_tumour_scans(task.data),
            read_ventricle_scans(task.data),
            read_nodule_scans(task.data),
            read_hippocampus_scans(task.data),
            read_pair_scans(task.data),
            read_body_scans(task.data),
            read_sarcoma_scans(task.data),
            read_organ_scans(task.data),
            read_region_scans(task.data),
            make_phantoms(SEED),
        )
    ]
    people = sorted({scan.patient for scan in whole})
    narrowed = {name for place, name in enumerate(people) if place % 2 == 0}
    scans: list[Scan] = [*whole, *(cropped(scan) for scan in whole if scan.patient in narrowed)]
    rare = (scan for scan in whole if shows_rare_region(scan) and not is_held_out(scan.patient))
    copies = [cropped(replace(scan, name=f"{scan.name} {draw}")) for scan in rare for draw in range(MORE_OF_RARE)]
    encode = partial(region_scans, encoder=Encoder(snapshot), settings=snapshot.input_settings)
    encoded, others = encode(scans), encode(copies)
    linear = fit_body_region([*(scan for scan in encoded if not is_held_out(scan.patient)), *others])
    measured = measure_body_region(encoded, others, linear, seed=SEED, tell=log.info)
    record = body_region_record(snapshot.sha256, measured, task.version)
    write_head(record, REGIONS, linear.tensors, task.place(record.name))
    return FittedHead(measured)


def fit_organs_head(task: HeadTask) -> FittedHead:
    """Measured on held-out people, and leaving out each of the two who are labelled otherwise than by rule."""
    snapshot = task.snapshot()
    encoder, settings = Encoder(snapshot), snapshot.input_settings
    scans = [*read_organ_scans(task.data), *read_body_scans(task.data)]
    outlined = partial(outlined_scans, encoder=encoder, settings=settings, levels=FIT.levels)
    organs = list(outlined(iter(scans)))
    framings = (framing for scan in scans if not is_held_out(scan.patient) for framing in other_framings(scan))
    shown = [scan for scan in organs if not scan.held_out] + list(outlined(framings))
    figures = judge_organs([scan for scan in organs if scan.scan.patient.startswith("TotalSegmentator")], shown)
    unseen = list(outlined(read_unseen_slices(task.data)))
    decoder = fit_organs(shown)
    held_out = [scan for scan in organs if scan.held_out]
    measured = measure_organs(figures, held_out, unseen, decoder, seed=SEED)
    record = organs_record(snapshot.sha256, measured, task.version)
    write_head(record, ORGANS, decoder.tensors, task.place(record.name))
    return FittedHead(measured)


def fit_outlined_head(head: OutlinedHead, task: HeadTask) -> FittedHead:
    """Written only where it is good enough to be shown."""
    snapshot = task.snapshot()
    outlined = partial(
        outlined_scans, encoder=Encoder(snapshot), settings=snapshot.input_settings, levels=head.fit.levels
    )
    scans = list(outlined(head.scans(task.data)))
    shown = (one.scan for one in scans if not one.held_out)
    others = list(outlined(other for scan in shown for other in moved(scan, times=head.moved, seed=SEED)))
    decoder: PixelDecoder
    if head.task == "finding":
        folds = fit_folds(scans, others, head.fit)
        choice = choose(folds, scans, minimum_volume_ml=head.minimum_volume_ml)
        decoder = ensemble_of(folds, choice.threshold)
    else:
        choice = None
        decoder = fit_outline([*scans, *others], head.fit)
    figures = measure_outline(decoder, scans, minimum_volume_ml=head.minimum_volume_ml, seed=SEED)
    if float(figures.measured["dice"]) < head.lowest_dice:
        return FittedHead(figures.measured | {"shipped": NOT_SHIPPED})
    record = record_of(head, figures, choice, encoder_sha256=snapshot.sha256, version=task.version)
    place = task.place(head.name)
    write_head(record, [structure(head.label)], decoder.tensors, place)
    write_feature_fit(figures.scope.fit, place)
    cases = [replace(case, title=f"{head.name}\n{case.title}") for case in figures.cases if head.may_be_drawn]
    return FittedHead(figures.measured | {"shipped": "yes"}, tuple(cases))


def fit_classified_head(head: ClassifiedHead, task: HeadTask) -> FittedHead:
    """In the folder only where it is good enough to be shown."""
    folder, measured = train_classified_head(head, task.data, task.model / "encoder", task.work / head.name)
    if float(measured[head.metric]) < head.lowest:
        return FittedHead(measured | {"shipped": NOT_SHIPPED})
    if head.left_out:
        return FittedHead(measured | {"shipped": f"no: {head.left_out}"})
    shutil.copytree(folder, task.place(head.name))
    return FittedHead(measured | {"shipped": "yes"})


_FITS: dict[str, Callable[[HeadTask], FittedHead]] = {
    "body-region": fit_body_region_head,
    "organs": fit_organs_head,
    **{head.name: partial(fit_outlined_head, head) for head in HEADS},
    **{head.name: partial(fit_classified_head, head) for head in CLASSIFIED},
}
HEAD_NAMES = tuple(_FITS)


def _fit(name: str, task: HeadTask) -> FittedHead:
    return _FITS[name](task)
