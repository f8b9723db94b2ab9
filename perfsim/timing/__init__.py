"""Timing: the kernel that turns counts into seconds, and what overlaps."""
