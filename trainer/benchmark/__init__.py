"""CuriaBench: declared tasks, any model, figures with intervals, one report."""
