"""What a run reports about itself: metrics, dashboards, probes."""
