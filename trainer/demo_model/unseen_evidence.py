"""What decoders say about shown people whom they were not fitted on.

Threshold and calibration of a head are chosen on it: on the very people whom a decoder was fitted on, it is surer and
better than it will be on anybody else.
"""

from collections.abc import Iterator, Sequence

from operators.domain.volume import Volume
from trainer.demo_model.outlines import OutlinedScan, evidence_of, fit_outline
from trainer.evaluation.folds import patient_folds
from trainer.heads.pixel_decoder import DecoderFit


def unseen_evidence(
    scans: Sequence[OutlinedScan], others: Sequence[OutlinedScan], fit: DecoderFit, *, folds: int
) -> Iterator[tuple[OutlinedScan, Volume]]:
    """Each shown scan with the log odds of a decoder that saw nothing of its person.

    scans : of everybody
    others : of shown people, moved; fitted on, and not asked about
    """
    shown = [scan for scan in scans if not scan.held_out]
    for fold in patient_folds([scan.scan.patient for scan in shown], folds):
        decoder = fit_outline([scan for scan in (*shown, *others) if scan.scan.patient not in fold], fit)
        yield from ((scan, evidence_of(decoder, scan)) for scan in shown if scan.scan.patient in fold)
