"""Fusion of a hyperspectral cube with a sharper multispectral or panchromatic guide."""
