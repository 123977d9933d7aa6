"""Stage III of LRF: one decoder for the latent fields of many scenes (Sec. 4.3)."""
