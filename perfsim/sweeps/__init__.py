"""Sweeps: many machines and networks, lowered and placed once for each plan, each point equal to a run of its own."""
