"""What can go wrong beside the pipeline, by what has to happen next.

ServiceError                    a stable word and a sentence without patient data
├── SettingsError               the service cannot start; somebody has to mend its settings
├── ArchiveError
│   ├── ArchiveUnavailableError Orthanc is down, slow or failing; try again later
│   │   ├── ArchiveNotUnderstoodError  the answer is not Orthanc's: a proxy's page, a broken body
│   │   └── ArchiveDeniedError  user, password or token are not taken; somebody mends that, then work goes on
│   ├── ArchiveRefusedError     Orthanc says no; trying again will not help
│   ├── ArchiveFileDamagedError Orthanc's own file of an instance is cut, changed or gone
│   └── ResourceGoneError       the study or instance is no longer there
├── WorkerError
│   ├── WorkerStartError        the pipeline does not come up; no study is to blame
│   ├── WorkerCrashError        the worker died or overran its deadline on a study
│   ├── WorkersBusyError        every worker is at a study; a question is to be asked again
│   └── HostCrashError          the whole service died in a study, again and again
├── TornResultError             a result on disk is not what the pipeline wrote; it is made again
├── WorkOutdatedError           the study or the pipeline is no longer what the work is named after
├── StudyCollisionError         two patients share one Study Instance UID; somebody has to look
├── MisfiledError               the archive files a result under another patient or study
└── DeliveryError               an object is not in the archive as it was written
"""

from typing import ClassVar


class ServiceError(Exception):
    """Base of every error that the service reports."""

    code: ClassVar[str] = "service-error"


class SettingsError(ServiceError):
    code = "settings-invalid"


class ArchiveError(ServiceError):
    code = "archive-error"


class ArchiveUnavailableError(ArchiveError):
    code = "archive-unavailable"


class ArchiveNotUnderstoodError(ArchiveUnavailableError):
    code = "archive-not-understood"


class ArchiveDeniedError(ArchiveUnavailableError):
    code = "archive-denied"


class ArchiveRefusedError(ArchiveError):
    code = "archive-refused"


class ResourceGoneError(ArchiveError):
    code = "study-gone"


class ArchiveFileDamagedError(ArchiveError):
    code = "archive-file-damaged"


class WorkerError(ServiceError):
    code = "worker-error"


class WorkerStartError(WorkerError):
    code = "worker-start"


class WorkerCrashError(WorkerError):
    code = "worker-crash"


class WorkersBusyError(WorkerError):
    code = "workers-busy"


class HostCrashError(WorkerError):
    code = "host-crash"


class TornResultError(ServiceError):
    code = "result-torn"


class WorkOutdatedError(ServiceError):
    code = "work-outdated"


class StudyCollisionError(ServiceError):
    code = "study-uid-collision"


class MisfiledError(ServiceError):
    code = "filed-elsewhere"


class DeliveryError(ServiceError):
    code = "delivery-failed"


class ServiceStopping(BaseException):
    """The service is going down and this piece of work is to be taken up again at the next start.

    Not an ``Exception``: the durable engine records those as the outcome of a step, and an interrupted step has
    none.
    """


class WorkTakenAway(BaseException):
    """Another attempt at the piece of work has the lease, here or on another host; this one may write nothing more.

    Not an ``Exception`` for the same reason: the outcome is the other's to record.
    """
