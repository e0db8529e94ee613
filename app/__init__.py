"""The MONAI Deploy application: settings, the Holoscan graph, the command and the warm worker."""

__version__ = "0.1.0"
