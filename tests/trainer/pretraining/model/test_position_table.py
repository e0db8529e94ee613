import torch

from operators.encoder.torchvision_schemas import define_missing_schemas
from trainer.pretraining.model.position_table import hand_over, resize_positions


def table(grid: int, width: int = 6) -> torch.Tensor:
    return torch.randn(1, 1 + grid**2, width, generator=torch.Generator().manual_seed(0))


def test_resizes_as_transformers_does() -> None:
    define_missing_schemas()
    from transformers import Dinov2Config
    from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings

    config = Dinov2Config(hidden_size=6, num_attention_heads=1, num_channels=1, image_size=64, patch_size=8)
    theirs = Dinov2Embeddings(config)
    theirs.position_embeddings.data = table(8)
    for grid in (3, 5, 16):
        expected = theirs.interpolate_pos_encoding(torch.zeros(1, 1 + grid**2, 6), 8 * grid, 8 * grid)
        torch.testing.assert_close(resize_positions(table(8), grid), expected.detach())


def test_the_same_grid_is_the_same_table() -> None:
    old = table(4)
    assert resize_positions(old, 4) is old


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
