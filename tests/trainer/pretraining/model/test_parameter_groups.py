from slice_cases import tiny_config
from trainer.pretraining.model.parameter_groups import GroupRule, group_parameters
from trainer.pretraining.model.student_teacher import Branch


def test_every_parameter_is_in_one_group_with_its_rule() -> None:
    branch = Branch(tiny_config(), drop_path=0.0)
    groups = group_parameters(branch, patch_embed_factor=0.2)
    rules = {id(parameter): rule for rule, parameters in groups.items() for parameter in parameters}
    found = {name: rules[id(parameter)] for name, parameter in branch.named_parameters()}
    assert sum(map(len, groups.values())) == len(found)
    weights, others = GroupRule(1.0, True, False), GroupRule(1.0, False, False)
    assert found["encoder.vit.patch_embed.proj.weight"] == GroupRule(0.2, True, False)
    assert found["encoder.vit.patch_embed.proj.bias"] == GroupRule(0.2, False, False)
    assert found["encoder.vit.blocks.1.mlp.fc1.weight"] == weights
    assert found["encoder.vit.blocks.1.attn.qkv.bias"] == others
    assert found["encoder.vit.blocks.1.norm1.weight"] == others
    assert found["encoder.vit.blocks.1.ls1.gamma"] == others
    assert found["encoder.vit.norm.weight"] == others
    assert found["encoder.vit.pos_embed"] == weights
    assert found["dino_head.mlp.0.weight"] == weights
    assert found["dino_head.prototypes"] == found["ibot_head.prototypes"] == GroupRule(1.0, True, True)
