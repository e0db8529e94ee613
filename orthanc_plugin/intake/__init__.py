"""Which studies become work, and when."""
