"""Versioned noisy datasets: exact, recorded, reproducible noise for text (HyNoIse, LoPE paper Sec. 3.2.1)."""
