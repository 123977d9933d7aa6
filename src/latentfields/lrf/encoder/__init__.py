"""Stage I of LRF: a correspondence-aware encoder (Sec. 4.1)."""
