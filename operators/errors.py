"""The errors of the whole chain.

The class decides what happens next: its ``code`` is the stable word in ``result.json``, its exit code is the command's
and tells the service whether the same study may succeed later.

    CuriaError
    ├── InputError                      this study cannot be read; do not retry           exit 4
    │   ├── NoMatchingSeriesError       nothing suitable in the study                     exit 3
    │   ├── PatientMismatchError        more than one patient or study in the input
    │   ├── IdentityError               a patient or study that results cannot name exactly
    │   ├── SeriesGeometryError         slices that do not make a regular volume
    │   └── UnsupportedPixelDataError   pixels that cannot be decoded or are implausible
    ├── ModelError                      this deployment is wrong                          exit 5
    │   ├── CheckpointError             a snapshot or head that cannot be loaded
    │   ├── ModelDigestError            files that differ from their SHA256SUMS
    │   └── ModelSignatureError         a folder that the site's key did not sign
    ├── ResourceError                   memory or disk ran out; try again later           exit 6
    └── OutputError                     a result failed its own check                     exit 7

A message names the thing, what was expected, what came and what to do. It may hold a series UID, never a
patient's name, id or birth date.
"""

from typing import ClassVar


class CuriaError(Exception):
    """Base of every error that a user or another program may see."""

    code: ClassVar[str]
    exit_code: ClassVar[int]


class InputError(CuriaError):
    """The study cannot be read as it is."""

    code = "unreadable-input"
    exit_code = 4


class NoMatchingSeriesError(InputError):
    """No series of the study fits any role; an outcome, not a fault."""

    code = "no-suitable-series"
    exit_code = 3


class PatientMismatchError(InputError):
    """The input holds more than one patient or study, or a prior of somebody else."""

    code = "patient-mismatch"


class IdentityError(InputError):
    """An identifying value of the study cannot be carried into a result byte for byte."""

    code = "identity-not-carried"


class SeriesGeometryError(InputError):
    """The slices of a series do not make one regular volume."""

    code = "series-geometry"


class UnsupportedPixelDataError(InputError):
    """Pixel data is missing, cut short, implausible or in a form that no decoder here reads."""

    code = "unsupported-pixel-data"


class ModelError(CuriaError):
    """The model or the deployment is wrong; somebody has to mend it."""

    code = "model-invalid"
    exit_code = 5


class CheckpointError(ModelError):
    """A snapshot or head folder is incomplete or does not fit the architecture it names."""

    code = "checkpoint-invalid"


class ModelDigestError(ModelError):
    """A file of the model folder differs from SHA256SUMS, or a head belongs to another encoder."""

    code = "model-digest-mismatch"


class ModelSignatureError(ModelError):
    """The site asks for signed model folders, and this one has no signature of its key."""

    code = "model-signature"


class ResourceError(CuriaError):
    """Memory, device memory or disk ran out; the same study may succeed later."""

    code = "resource-exhausted"
    exit_code = 6


class OutputError(CuriaError):
    """A result failed its own check or could not be written."""

    code = "output-invalid"
    exit_code = 7
