"""Two processes with half of the batch each against one with all of it."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor

from slice_cases import joined_batch, part_of, tiny_config
from trainer.pretraining.collectives import gather_rows, sum_over_ranks
from trainer.pretraining.losses.koleo import koleo_loss
from trainer.pretraining.losses.sigreg import sigreg_loss
from trainer.pretraining.losses.sinkhorn import sinkhorn_knopp
from trainer.pretraining.model.student_teacher import StudentTeacher
from trainer.pretraining.schedules import build_schedules
from trainer.pretraining.views.crops import CropBatch

RANKS = 2
CONFIG = tiny_config(masking={"probability": 1.0})


def features() -> Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


def scores() -> Tensor:
    return torch.rand(10, 5, generator=torch.Generator().manual_seed(1)) * 2 - 1


def train_step(batch: CropBatch) -> dict[str, Tensor]:
    """Losses and gradients of one step, the gradients averaged over ranks as data parallel training does."""
    model = StudentTeacher(CONFIG)
    step = build_schedules(CONFIG, CONFIG.stages[0], global_batch_size=4).at(3)
    losses = model.judge(batch, step).losses
    losses["total"].backward()
    found = {f"loss {name}": loss.detach() for name, loss in losses.items()}
    found |= {name: p.grad for name, p in model.student.named_parameters() if p.grad is not None}
    return {
        name: sum_over_ranks(tensor) / (RANKS if torch.distributed.is_initialized() else 1)
        for name, tensor in found.items()
    }


def regularised(rows: Tensor) -> dict[str, Tensor]:
    """Both regularisers with their gradients by the rows."""
    found = {}
    for name, loss in (
        ("koleo", koleo_loss),
        ("sigreg", lambda x: sigreg_loss(x, num_projections=16, seed=4)),
    ):
        leaf = rows.clone().requires_grad_()
        value = loss(leaf)
        value.backward()
        assert leaf.grad is not None
        found[name], found[f"{name} gradient"] = value.detach(), leaf.grad
    return found


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS)
    # Unequal parts: 7 rows here, 3 there.
    mine = scores()[:7] if rank == 0 else scores()[7:]
    result = {
        "sinkhorn": sinkhorn_knopp(mine, temperature=0.1, iterations=3),
        "gathered": gather_rows(features()[4 * rank : 4 * rank + 4]),
        **regularised(features()[4 * rank : 4 * rank + 4]),
        **train_step(part_of(joined_batch(CONFIG), rank)),
    }
    np.savez(Path(folder) / f"{rank}.npz", **{name: tensor.numpy() for name, tensor in result.items()})
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    # The interpreter's own end is left out: gloo's threads, taken apart there, have been seen to abort the process.
    os._exit(0)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(work, args=(str(folder),), nprocs=RANKS)
    files = [np.load(folder / f"{rank}.npz") for rank in range(RANKS)]
    return [{name: torch.from_numpy(file[name]) for name in file.files} for file in files]


def test_sinkhorn_centres_all_rows_together(ranks: list[dict[str, Tensor]]) -> None:
    expected = sinkhorn_knopp(scores(), temperature=0.1, iterations=3)
    torch.testing.assert_close(torch.cat([rank["sinkhorn"] for rank in ranks]), expected)


def test_rows_are_gathered_in_order(ranks: list[dict[str, Tensor]]) -> None:
    for rank in ranks:
        assert torch.equal(rank["gathered"], features())


@pytest.mark.parametrize("name", ["koleo", "sigreg"])
def test_regularisers_see_all_rows(ranks: list[dict[str, Tensor]], name: str) -> None:
    """The mean over ranks is the joined loss; so are the gradients, once they are averaged over ranks."""
    expected = regularised(features())
    mean = torch.stack([rank[name] for rank in ranks]).mean()
    torch.testing.assert_close(mean, expected[name])
    gradient = torch.cat([rank[f"{name} gradient"] for rank in ranks]) / RANKS
    torch.testing.assert_close(gradient, expected[f"{name} gradient"])


def test_a_whole_step_gives_the_same_losses_and_gradients(ranks: list[dict[str, Tensor]]) -> None:
    expected = train_step(joined_batch(CONFIG))
    assert "encoder.vit.pos_embed" in expected
    for name, value in expected.items():
        torch.testing.assert_close(ranks[0][name], value, atol=2e-5, rtol=1e-3, msg=name)
