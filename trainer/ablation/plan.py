"""The cells of the ablation: DINOv2's settings, then Curia-2's four changes added one after the other, several seeds.

Every cell gets the same computation, counted in tokens: a step at twice the resolution costs as much of the budget as
four at the low one. Time would depend on what else a machine does, and the same number of slices would give the cell
with the finer stage several times the computation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from trainer.pretraining.config import PretrainingConfig

KOLEO = 0.1
"""DINOv2's weight; SIGReg takes its place."""

FINE_SHARE = 0.25
"""Share of the budget for the second stage where there is one."""

Change = Callable[[PretrainingConfig], PretrainingConfig]


@dataclass(frozen=True, slots=True)
class Cell:
    """One training.

    rung : how many of the changes it has
    """

    rung: int
    seed: int
    config: PretrainingConfig

    @property
    def name(self) -> str:
        return f"{self.rung}-{RUNGS[self.rung].removeprefix('+ ').replace(' ', '-').lower()}-seed{self.seed}"

    @property
    def digest(self) -> str:
        """Digest of all settings but where the shards lie."""
        settings = self.config.model_dump_json(exclude={"data": {"shards", "validation_shards"}})
        return blake2b(settings.encode(), digest_size=8).hexdigest()


def plan_cells(config: PretrainingConfig, *, budget: int, seeds: int) -> list[Cell]:
    """Every rung of the first seed, then of the second, and so on, so that a run that is cut off has whole ladders.

    config : what all cells share, with all four changes and two stages; of the stages only sizes and rates count
    budget : steps of a training that stays at the first stage's resolution

    Raises
    ------
    ValueError
        For a config without exactly two stages, or a budget too small for a step at the second.
    """
    if len(config.stages) != 2:
        raise ValueError(f"stages: expected two, a coarse and a fine one, got {len(config.stages)}")
    cells = []
    for seed in range(seeds):
        settings = _plain(_seeded(config, seed), budget)
        changes: tuple[Change, ...] = (
            _content_aware,
            _guided,
            lambda plain: plain.model_copy(update={"stages": _two_stages(config, budget)}),
            lambda plain: _with(plain, "losses", sigreg=config.losses.sigreg, koleo=0.0),
        )
        cells.append(Cell(0, seed, settings))
        for rung, change in enumerate(changes, start=1):
            settings = change(settings)
            cells.append(Cell(rung, seed, settings))
    return cells


RUNGS = (
    "DINOv2",
    "+ content-aware crops",
    "+ anatomy-guided masks",
    "+ two resolutions",
    "+ SIGReg",
)


def _plain(config: PretrainingConfig, budget: int) -> PretrainingConfig:
    """All four changes off."""
    content = config.crops.content.model_copy(update={"enabled": False})
    config = _with(config, "crops", content=content)
    config = _with(config, "masking", kind="blockwise")
    config = _with(config, "losses", sigreg=0.0, koleo=KOLEO)
    return config.model_copy(update={"stages": (config.stages[0].model_copy(update={"steps": budget}),)})


def _content_aware(config: PretrainingConfig) -> PretrainingConfig:
    return _with(config, "crops", content=config.crops.content.model_copy(update={"enabled": True}))


def _guided(config: PretrainingConfig) -> PretrainingConfig:
    return _with(config, "masking", kind="anatomy")


def _two_stages(config: PretrainingConfig, budget: int) -> tuple[object, ...]:
    coarse, fine = config.stages
    sizes = [stage.global_size or config.crops.global_size for stage in (coarse, fine)]
    cost = (sizes[1] / sizes[0]) ** 2
    fine_steps = round(FINE_SHARE * budget / cost)
    coarse_steps = budget - round(fine_steps * cost)
    if fine_steps < 1 or coarse_steps < 1:
        raise ValueError(f"budget: expected enough for a step at {sizes[1]} pixels, got {budget} at {sizes[0]}")
    return coarse.model_copy(update={"steps": coarse_steps}), fine.model_copy(update={"steps": fine_steps})


def _seeded(config: PretrainingConfig, seed: int) -> PretrainingConfig:
    return _with(_with(config, "run", seed=seed), "data", seed=seed)


def _with(config: PretrainingConfig, table: str, **values: object) -> PretrainingConfig:
    return config.model_copy(update={table: getattr(config, table).model_copy(update=values)})
