"""The worker processes of a pool."""

import os
import threading
from multiprocessing import parent_process


def end_with_parent() -> None:
    """For a pool's workers as they begin: when their parent is killed they end at once.

    Else they would finish what they do, and some wait for more for ever.
    """
    parent = parent_process()
    assert parent is not None, "called in a worker"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
