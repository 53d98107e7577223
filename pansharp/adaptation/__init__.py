"""Fitting a network to one scene, and judging it on blocks that it never saw."""
