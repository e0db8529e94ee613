"""The stand-in pipeline as a host of the service has it: a pool of one worker that is up."""

import sys
import threading

from integration import stand_in_pipeline
from orthanc_plugin.pipeline.worker import Worker
from orthanc_plugin.pipeline.worker_pool import WorkerPool


def warm_pool(stop: threading.Event) -> WorkerPool:
    command = (sys.executable, stand_in_pipeline.__file__)
    worker = Worker(command, ready_seconds=30.0, deadline_seconds=30.0, max_resident_bytes=1e12, stop=stop)
    worker.start()
    return WorkerPool([worker], stop=stop)
