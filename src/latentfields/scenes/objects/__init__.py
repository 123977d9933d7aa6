"""From meshes to scenes: reading, placing cameras, rendering, writing."""
