"""The processes of a run: joined into a group, each with its device, the model cut into shards between them (FSDP2)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed
from torch._C._distributed_c10d import HashStore
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from trainer.pretraining.model.student_teacher import StudentTeacher


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among all."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        return self.rank == 0


@contextmanager
def join_processes(*, on_gpu: bool | None = None) -> Iterator[Processes]:
    """Those that torchrun started, one for each GPU or on the CPU; this one alone where torchrun did not start it.

    A single process is a group of one: checkpoints and losses need no second way to work.

    on_gpu : None takes a GPU where there is one
    """
    on_gpu = torch.cuda.is_available() if on_gpu is None else on_gpu
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    if "RANK" in os.environ:
        distributed.init_process_group(backend)
    else:
        distributed.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
    world = distributed.get_world_size()
    try:
        yield Processes(distributed.get_rank(), world, device)
    except BaseException:
        # NCCL takes a group apart together with the others. They may be waiting for this process elsewhere, and go on
        # waiting until it has ended and torchrun ends them.
        if world == 1:
            distributed.destroy_process_group()
        raise
    distributed.destroy_process_group()


def shard(model: StudentTeacher, processes: Processes, *, half_precision: bool) -> None:
    """Cut student and teacher alike, block by block; nothing happens with one process.

    half_precision : parameters travel between processes in bfloat16; gradients are summed in float32 either way
    """
    if processes.world == 1:
        return
    mesh = init_device_mesh(processes.device.type, (processes.world,))
    travelling = torch.bfloat16 if half_precision else None
    policy = MixedPrecisionPolicy(param_dtype=travelling, reduce_dtype=torch.float32)
    for branch in (model.student, model.teacher):
        for module in (
            *branch.encoder.vit.blocks,
            branch.encoder,
            branch.dino_head,
            branch.ibot_head,
            branch.guided_maps,
            branch.pixel_map,
            branch.retention,
        ):
            if module is not None:
                # The teacher has no backward pass that would put it back into shards for its update.
                fully_shard(module, mesh=mesh, reshard_after_forward=True, mp_policy=policy)
