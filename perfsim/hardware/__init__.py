"""The machine: the file format with its units, and the SI numbers that the formulas use."""
