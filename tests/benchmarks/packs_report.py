"""The report and the tables of docs/benchmark.md out of a run on the packs.

python tests/benchmarks/packs_report.py build/bench-packs docs
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("docs", type=Path)
    arguments = parser.parse_args()
    rows = json.loads((arguments.run / "results.json").read_text())
    compared = json.loads((arguments.run / "comparisons.json").read_text())
    page = arguments.docs / "benchmark.md"
    text = page.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{tables(rows, compared)}\n{END}{after}")
    shutil.copyfile(arguments.run / "report.html", arguments.docs / "benchmark-report.html")


def tables(rows: Sequence[dict[str, object]], compared: Sequence[dict[str, object]]) -> str:
    """Each task's probe by model; the first model minus each other; the heads where there are any."""
    probes = {(row["task"], row["protocol"], row["metric"]): row for row in compared}
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    found = {(row["task"], row["protocol"], row["metric"], row["model"]): row for row in rows}
    lines = [
        ["task, patients", "probe", *models],
        *(
            [
                f"{task}, {found[task, protocol, metric, models[0]]['n_patients']}",
                f"{metric}, {protocol}",
                *(figure(found.get((task, protocol, metric, model))) for model in models),
            ]
            for task, protocol, metric in probes
        ),
    ]
    differences = [
        ["task", f"{models[0]} minus", "difference", "p, adjusted"],
        *([str(row["task"]), str(row["other"]), difference(row), p_value(row)] for row in compared),
    ]
    asked = [row for row in rows if row["protocol"] == "head"]
    heads = [
        ["task", "model's own head", "figure", "patients"],
        *([str(row["task"]), str(row["metric"]), figure(row), str(row["n_patients"])] for row in asked),
    ]
    return "\n\n".join(markdown(table) for table in (lines, differences, heads) if len(table) > 1)


def markdown(table: Sequence[Sequence[str]]) -> str:
    head, *body = table
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body))


def figure(row: dict[str, object] | None) -> str:
    return "" if row is None else f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def p_value(row: dict[str, object]) -> str:
    return "< 0.001" if row["p_adjusted"] < 0.001 else f"{row['p_adjusted']:.3f}"


def difference(row: dict[str, object]) -> str:
    return f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"


if __name__ == "__main__":
    main()
