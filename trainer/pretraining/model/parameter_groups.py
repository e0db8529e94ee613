"""Which parameters learn and decay how; DINOv2's rules without its layer-wise decay, which ViT-L and g do not use."""

from collections import defaultdict
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class GroupRule:
    """How a group of parameters learns.

    lr_factor : on the step's learning rate
    decays : whether weight decay acts
    prototypes : whether the step's prototype_lr counts instead of its lr
    """

    lr_factor: float
    decays: bool
    prototypes: bool


def group_parameters(student: nn.Module, *, patch_embed_factor: float) -> dict[GroupRule, list[nn.Parameter]]:
    """The student's parameters by what is done with them."""
    groups: dict[GroupRule, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in student.named_parameters():
        rule = GroupRule(
            lr_factor=patch_embed_factor if "patch_embed" in name else 1.0,
            decays=not (name.endswith((".bias", ".gamma")) or "norm" in name),
            prototypes=name.endswith("prototypes"),
        )
        groups[rule].append(parameter)
    return dict(groups)
