"""The service's HTTP side: health for machines, the work list for people, the nudge for the plugin."""
