import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from encoder_cases import TINY
from operators.encoder.vision_transformer import build_vision_transformer
from pretraining_runs import labelled_slices
from slice_cases import tiny_config
from trainer.demo_model.builder import GUIDE
from trainer.pretraining.model.guide import Guide
from trainer.pretraining.model.student_teacher import StudentTeacher
from trainer.pretraining.model.untrained import open_untrained
from trainer.pretraining.schedules import build_schedules
from trainer.pretraining.throughput import Stopwatch, encoder_operations, named_peak, step_operations
from trainer.pretraining.views.crops import make_crops


def test_an_image_costs_what_torch_counts() -> None:
    for swiglu in (True, False):
        config = TINY.model_copy(update={"use_swiglu_ffn": swiglu})
        model = build_vision_transformer(config)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
            model.forward_features(torch.zeros(1, 1, 64, 64))  # type: ignore[operator]
        assert counter.get_total_flops() == encoder_operations(config, 64)


def test_a_step_costs_about_what_torch_counts() -> None:
    """Torch leaves out the gradient by the images; masked tokens are an expectation."""
    config = tiny_config(losses={"koleo": 0.0, "sigreg": 0.0}, masking={"probability": 1.0, "ratio": [0.5, 0.5]})
    samples = labelled_slices()[:8]
    batch = make_crops(samples, config, np.random.default_rng(0))
    step = build_schedules(config, config.stages[0], global_batch_size=8).at(0)
    model = StudentTeacher(config)
    # Torch does not count its fused attention on the CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.judge(batch, step).losses["total"].backward()  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(counter.get_total_flops() / 8, step_operations(config), rtol=0.1)


def test_a_distilling_step_costs_what_torch_counts_and_no_teacher() -> None:
    config = tiny_config(
        model={"patch_size": 16, "initial": "random-features"},
        crops={"global_size": 64, "local_size": 32},
        losses=dict.fromkeys(("dino", "ibot", "koleo", "sigreg"), 0.0)
        | {"distillation": 1.0, "reconstruction": 0.3, "retention": 1.0},
        guide={"weights": str(GUIDE)},
    )
    batch = make_crops(labelled_slices()[:2], config, np.random.default_rng(0))
    step = build_schedules(config, config.stages[0], global_batch_size=2).at(0)
    model, guide = StudentTeacher(config), Guide(GUIDE, torch.device("cpu"))
    untrained = open_untrained(config, torch.device("cpu"))
    assert batch.guide_images is not None
    assert untrained is not None
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        kept = untrained(batch.global_crops)
        model.judge(batch, step, guide(batch.guide_images), kept).losses["total"].backward()  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(counter.get_total_flops() / 2, step_operations(config), rtol=0.1)


def test_waiting_is_told_as_a_share() -> None:
    watch = Stopwatch(1.0, torch.device("cpu"))
    with watch.waiting():
        torch.randn(200, 200) @ torch.randn(200, 200)
    watch.count(4)
    report = watch.report(world=2)
    assert 0.0 < report["data_wait"] <= 1.0
    assert "mfu" not in report
    assert watch.report(world=2)["images_per_second"] == 0.0


def test_the_peak_is_known_of_sxm_parts_alone() -> None:
    assert named_peak("NVIDIA H100 80GB HBM3") == 989e12
    assert named_peak("NVIDIA A100-SXM4-80GB") == 312e12
    for other in ("NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA L4"):
        assert named_peak(other) is None
