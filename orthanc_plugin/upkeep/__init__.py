"""What goes on beside the studies' way through the service: retention, alarms, metrics."""
