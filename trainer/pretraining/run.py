"""One run, from its settings file to its exit code.

Exit codes of a run: 0 finished, 2 settings, 4 too many damaged shards, 6 a checkpoint could not be written or read, or
the disk is full, 7 diverged, 75 stopped by SIGTERM after a checkpoint (the same command goes on).
"""

import logging
import sys
from contextlib import ExitStack
from pathlib import Path

from trainer.pretraining.checkpoints import TrainingCheckpointError
from trainer.pretraining.config import PretrainingConfig, read_config
from trainer.pretraining.engine import DivergedError, Ending, last_record, pretrain
from trainer.pretraining.folder_lock import only_writer
from trainer.pretraining.half_precision import has_bfloat16_units
from trainer.pretraining.processes import Processes, join_processes
from trainer.pretraining.watching.metrics_log import JsonLines, Listener
from trainer.pretraining.watching.probes import split_by_patient

SETTINGS, DATA, RESOURCES, DIVERGED, STOPPED = 2, 4, 6, 7, 75

_log = logging.getLogger(__name__)


def run_here(config: Path, out: Path) -> int:
    """Its exit code."""
    from trainer.pretraining.data.shards import DamagedShardError

    try:
        with join_processes() as processes:
            ending = train_and_tell(read_config(config), out, processes)
    except (ValueError, FileNotFoundError) as error:
        return complain(error, SETTINGS)
    except DamagedShardError as error:
        return complain(error, DATA)
    except TrainingCheckpointError as error:
        return complain(error, RESOURCES)
    except DivergedError as error:
        return complain(error, DIVERGED)
    except OSError as error:
        message = f"{out}: {error}; make room where the disk is full, and start the same command again: it goes on"
        return complain(OSError(message), RESOURCES)
    return STOPPED if ending is Ending.STOPPED else 0


def train_and_tell(config: PretrainingConfig, out: Path, processes: Processes) -> Ending:
    """Train on the shards that *config* names, with metrics.jsonl, TensorBoard and a bar on the terminal."""
    # Other commands run where TensorBoard is not installed.
    from trainer.pretraining.shard_data import open_shards
    from trainer.pretraining.watching.dashboards import progress_bar, tensorboard

    record = last_record(out)
    last_step = record.total if record else 0
    with ExitStack() as stack:
        listeners: list[Listener] = []
        if processes.leads:
            stack.enter_context(only_writer(out))
            steps = sum(stage.steps for stage in config.stages)
            listeners = [
                JsonLines(out, last_step=last_step),
                stack.enter_context(tensorboard(out, last_step=last_step)),
                stack.enter_context(progress_bar(steps, last_step=last_step)),
            ]
        data = open_shards(config)
        if processes.leads and config.data.validation_shards is not None and not split_by_patient(data.validation):
            _log.warning(
                "data.validation_shards: %s holds %d slices; k-NN and linear probe need two body regions or two "
                "modalities, of several patients, and are left out",
                config.data.validation_shards,
                len(data.validation),
            )
        if processes.leads and config.run.precision == "bf16" and not has_bfloat16_units(processes.device):
            _log.warning(
                "run.precision: this processor has no units for bf16 and emulates it, which makes a step many times "
                "as long; fp32 is the faster one here"
            )
        return pretrain(config, out, data, processes, listeners)


def complain(error: Exception, code: int) -> int:
    """Write the error to standard error; the exit code that goes with it."""
    sys.stderr.write(f"{error}\n")
    return code
