"""Numba kernels: arrays in, arrays out, each with a NumPy twin."""
