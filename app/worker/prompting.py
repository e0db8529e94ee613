"""The verbs ``similarity`` and ``region``: what looks like the places that somebody points at."""

import base64

import numpy as np

from app.worker.points import prompt_points
from app.worker.protocol import Region, RegionRequest, Reply, SimilarityMap, SimilarityRequest
from operators.domain.geometry import Geometry
from operators.encoder.kept_features import kept_features
from operators.encoder.similarity import similarity_maps
from operators.errors import InputError
from operators.study_run.prompted_region import cut

FULL = 255


def map_similarity(request: SimilarityRequest) -> Reply:
    """A map for each series whose features are kept."""
    try:
        kept = kept_features(request.features)
        maps = similarity_maps(kept, prompt_points(request.points))
    except InputError as error:
        return _refused(request.id, error)
    said = tuple(
        SimilarityMap(
            series=series.series_instance_uid,
            is_prior=series.is_prior,
            affine=_rows(similarity.geometry),
            shape=similarity.geometry.shape,
            values=_base64(np.rint(FULL * np.clip(similarity.array, 0, 1)).astype(np.uint8)),
        )
        for series, similarity in zip(kept, maps, strict=True)
    )
    return Reply(id=request.id, exit_code=0, seconds=0.0, maps=said)


def cut_region(request: RegionRequest) -> Reply:
    """The region of the current study, with what it measures."""
    try:
        found = cut(kept_features(request.features), prompt_points(request.points), request.threshold)
    except InputError as error:
        return _refused(request.id, error)
    region = found and Region(
        series=found.series_instance_uid,
        affine=_rows(found.geometry),
        shape=found.geometry.shape,
        bits=_base64(np.packbits(found.mask.ravel(), bitorder="little")),
        volume_ml=found.volume_ml,
        long_axis_mm=found.axes_mm[0],
        short_axis_mm=found.axes_mm[1],
        longest_diameter_mm=found.longest_diameter_mm,
    )
    return Reply(id=request.id, exit_code=0, seconds=0.0, region=region)


def _refused(request_id: str, error: InputError) -> Reply:
    return Reply(id=request_id, exit_code=error.exit_code, seconds=0.0, message=str(error))


def _rows(geometry: Geometry) -> tuple[tuple[float, float, float, float], ...]:
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in geometry.affine)


def _base64(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    return base64.b64encode(array.tobytes()).decode()
