"""Correspondences between images of a scene (LRF Sec. 4.1, App. A.2)."""
