"""The table and the figure of docs/registration.md out of the measured rows.

python tests/benchmarks/registration_report.py build/registration.json docs
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
COLUMNS = {
    "case": "case",
    "method": "method",
    "mean mm": "mean_mm",
    "p95 mm": "p95_mm",
    "median voxels": "median_voxels",
    "again mm": "again_mm",
    "correlation": "correlation",
    "Dice": "dice",
    "transform": "transform",
    "edges": "edges",
    "verdict": "verdict",
    "CPU s": "cpu_seconds",
}
"""Of the table, and the keys of the rows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("docs", type=Path)
    arguments = parser.parse_args()
    rows = json.loads(arguments.rows.read_text())
    cases = list(dict.fromkeys(row["case"] for row in rows))
    rows.sort(key=lambda row: cases.index(row["case"]))
    page = arguments.docs / "registration.md"
    text = page.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}")
    draw(rows, arguments.docs / "images" / "registration.png")


def table(rows: list[dict[str, object]]) -> str:
    lines = [COLUMNS, ("---",) * len(COLUMNS), *([cell(row.get(key)) for key in COLUMNS.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: object) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def draw(rows: list[dict[str, object]], path: Path) -> None:
    """Median error of every method, a line for each case, on a logarithmic axis."""
    known = [row for row in rows if "median_voxels" in row]
    cases = list(dict.fromkeys(str(row["case"]) for row in known))
    methods = list(dict.fromkeys(str(row["method"]) for row in known))
    figure, axes = plt.subplots(figsize=(8, 0.7 + 0.5 * len(cases)), layout="constrained")
    for number, method in enumerate(methods):
        mine = {str(row["case"]): row["median_voxels"] for row in known if row["method"] == method}
        places = [cases.index(case) for case in mine]
        style = "D" if method.startswith("ours") else "o"
        axes.plot(list(mine.values()), places, style, label=method, color=f"C{number}", zorder=3, markersize=8)
    axes.axvline(1.5, color="grey", linestyle=":", zorder=1)
    axes.set_xscale("log")
    axes.set_xlabel("median error in voxels (dotted: 1.5)")
    axes.set_yticks(range(len(cases)), cases)
    axes.invert_yaxis()
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
