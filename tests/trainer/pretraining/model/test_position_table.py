import torch

from trainer.pretraining.model.position_table import hand_over


def table(grid: int, width: int = 6) -> torch.Tensor:
    return torch.randn(1, 1 + grid**2, width, generator=torch.Generator().manual_seed(0))


def test_hand_over_changes_position_tables_alone() -> None:
    state = {"student.encoder.vit.pos_embed": table(4), "teacher.encoder.vit.pos_embed": table(4), "w": torch.ones(3)}
    new = hand_over(state, 8)
    assert {name: tuple(tensor.shape) for name, tensor in new.items()} == {
        "student.encoder.vit.pos_embed": (1, 65, 6),
        "teacher.encoder.vit.pos_embed": (1, 65, 6),
        "w": (3,),
    }
    assert torch.equal(new["teacher.encoder.vit.pos_embed"][:, 0], table(4)[:, 0])
    assert new["w"] is state["w"]
