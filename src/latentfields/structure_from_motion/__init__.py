"""From photographs or a film to a scene folder with poses: structure from motion by COLMAP (pycolmap, an extra)."""
