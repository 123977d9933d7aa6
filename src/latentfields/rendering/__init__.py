"""Rays to pixels: sampling and volume rendering."""
