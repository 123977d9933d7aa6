"""Files of a fitted scene for other tools: meshes, points, cameras, and the scene itself."""
