"""The learned position table when a stage hands over to a finer one."""

from collections.abc import Mapping

from torch import Tensor

from operators.encoder.vision_transformer import interpolate_positions


def hand_over(state: Mapping[str, Tensor], grid: int) -> dict[str, Tensor]:
    """A stage's last state for the next one: every position table, the student's and the teacher's, on its grid."""
    return {
        name: interpolate_positions(tensor, grid) if name.endswith("pos_embed") else tensor
        for name, tensor in state.items()
    }
