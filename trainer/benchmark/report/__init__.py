"""Results as people read them: tables, figures, one HTML file."""
