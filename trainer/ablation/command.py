"""``python -m trainer ablate``: trains the cells that have no result yet, probes them, writes table and figure."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from trainer.ablation.cells import teacher_of, train_cell, untrained
from trainer.ablation.labelled import LabelledScan, read_labelled
from trainer.ablation.plan import Cell, plan_cells
from trainer.ablation.probe import Encode, probe
from trainer.ablation.references import pixel_tokens, place_tokens
from trainer.ablation.report import UNTRAINED, References, draw, make_table, put_into
from trainer.ablation.results import CellResult, read_result, write_result
from trainer.pretraining.config import read_config
from trainer.pretraining.watching.metrics_log import read_metrics, training_seconds

IMAGE_SIZE = 256
STEP = 6
"""Every sixth slice is probed; neighbours look alike."""


def ablate(
    settings: Path,
    *,
    shards: Path,
    data: Path,
    out: Path,
    docs: Path,
    budget: int,
    seeds: int,
    tell: Callable[[str], None],
) -> None:
    """Cells one after the other; the table is written anew after each, so that a run that is cut off has one."""
    config = read_config(settings).on_shards(str(shards / "train" / "*.tar"))
    cells = plan_cells(config, budget=budget, seeds=seeds)
    scans = list(read_labelled(data, shards, image_size=IMAGE_SIZE, patch_size=config.model.patch_size, step=STEP))
    tell(f"held out: {', '.join(sorted({scan.patient for scan in scans if scan.held_out}))}")
    references = probe_references([cell for cell in cells if cell.rung == 0], scans)
    results: list[CellResult] = []
    for number, cell in enumerate(cells, start=1):
        results.append(measure_cell(cell, out, scans))
        tell(f"{number} of {len(cells)}: {cell.name}, {results[-1].seconds:.0f} s")
        put_into(docs / "ablation.md", make_table(results, references))
        draw(results, references, docs / "images" / "ablation.png")


def measure_cell(cell: Cell, out: Path, scans: Sequence[LabelledScan]) -> CellResult:
    """Its result; where it is known already, nothing is trained.

    Raises
    ------
    ValueError
        *out* holds the cell with other settings.
    """
    folder = out / cell.name
    known = read_result(folder / "result.json")
    if known is not None:
        if known.digest != cell.digest:
            raise ValueError(f"{folder}: measured with other settings, config or budget; choose another --out")
        return known
    train_cell(cell, folder)
    rows = [row for row in read_metrics(folder) if "lr" in row]
    signs = {name: value for name, value in rows[-1].items() if not isinstance(value, str)}
    patients = probe(teacher_of(folder, image_size=scans[0].images.shape[-1]), scans)
    seconds = training_seconds(rows, cell.config.data.batch_size)
    result = CellResult(cell.rung, cell.seed, cell.digest, seconds, patients, signs)
    write_result(result, folder / "result.json")
    return result


def probe_references(cells: Sequence[Cell], scans: Sequence[LabelledScan]) -> References:
    """Figures of what learns nothing, and of the weights before the first step.

    cells : one of each seed
    """
    patch_size, image_size = cells[0].config.model.patch_size, scans[0].images.shape[-1]

    def result(encode: Encode, seed: int) -> CellResult:
        return CellResult(0, seed, "", 0.0, probe(encode, scans), {})

    return {
        "place alone": [result(partial(place_tokens, patch_size=patch_size), 0)],
        "pixel statistics": [result(partial(pixel_tokens, patch_size=patch_size), 0)],
        UNTRAINED: [result(untrained(cell.config, image_size=image_size), cell.seed) for cell in cells],
    }
