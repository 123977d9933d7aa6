"""A viewer in the browser for fitted scenes, for scenes that are being fitted, and for IG-AE's set of scenes."""
