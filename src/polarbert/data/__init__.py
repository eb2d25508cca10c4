"""Tables, labels and splits; no torch."""
