"""Radiance fields: density and C-channel features of points in space."""
