"""Grids, resampling and registration: geometry without files."""
