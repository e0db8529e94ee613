"""The Grafana dashboard and Prometheus's alerts ask for nothing that ``/metrics`` does not have."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import Metric

from orthanc_plugin.copies.outbox import Outbox
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.ledger.local_faults import FreeSpace
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.upkeep.metrics import ServiceMetrics, StageMetrics

DOCKER = Path(__file__).parents[3] / "docker"
DASHBOARD, ALERTS = DOCKER / "grafana/dashboard.json", DOCKER / "prometheus/alerts.yml"
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}
WORD = re.compile(r"\b(?:curia|process)_[a-z_]+\b")
LABELS = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"|\bby \(([\w, ]+)\)|\{\{(\w+)\}\}")
FROM_PROMETHEUS = {"instance", "le", "job"}


@pytest.fixture
def families(tmp_path: Path) -> Iterator[list[Metric]]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    registry = CollectorRegistry()
    StageMetrics(registry, ledger.jobs).observed("fetch", lambda _work_id, _lease: "running")("w1", 0)
    ProcessCollector(registry=registry)
    pool = WorkerPool([], stop=threading.Event())
    space = FreeSpace(tmp_path, least_bytes=0)
    metrics = ServiceMetrics(
        ledger.figures, outbox=Outbox(ledger.database), workers=pool, space=space,
        alarms=lambda: {"disk-full": False}, overdue_seconds=3600.0,
    )  # fmt: skip
    registry.register(metrics)
    yield list(registry.collect())
    ledger.close()


def queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def alerts() -> list[str]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [
        text for group in groups for rule in group["rules"] for text in (rule["expr"], rule["annotations"]["summary"])
    ]


def test_every_metric_and_label_of_the_alerts_exists(families: list[Metric]) -> None:
    known = {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}
    asked = {name for text in alerts() for name in WORD.findall(text)}
    assert len(asked) >= 4
    assert asked <= known
    labels = {name for family in families for name in getattr(family, "_labelnames", ())} | FROM_PROMETHEUS
    labels |= {name for family in families for sample in family.samples for name in sample.labels} | {"code"}
    used = {
        name for text in alerts() for name in re.findall(r"\$labels\.(\w+)|by \((\w+)\)", text) for name in name if name
    }
    assert used <= labels


def test_every_metric_of_the_dashboard_exists(families: list[Metric]) -> None:
    known = {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}
    asked = {name for query in queries() for name in WORD.findall(query)}
    assert len(asked) > 10
    assert asked <= known


def test_every_metric_of_ours_is_on_the_dashboard(families: list[Metric]) -> None:
    ours = {family.name for family in families if family.name.startswith("curia_")}
    text = " ".join(queries())
    assert not [name for name in ours if name not in text]


def test_every_label_of_the_dashboard_exists(families: list[Metric]) -> None:
    # Families without a sample here still tell their labels.
    known = {name for family in families for name in getattr(family, "_labelnames", ())} | FROM_PROMETHEUS | {"stage"}
    known |= {name for family in families for sample in family.samples for name in sample.labels}
    asked = {name for query in queries() for match in LABELS.findall(query) for group in match if group
             for name in group.split(", ")}  # fmt: skip
    assert {"state", "alarm", "code", "stage"} <= asked
    assert asked <= known
