"""Numeric kernels: arrays in, arrays out.

Each kernel exists twice: compiled by Numba (`compiled`) and as plain NumPy (`reference`). Both give the same integers
bit for bit, and tests compare them. `histograms` is what callers use; it runs on NumPy until the compiled kernels are
ready, so that no message ever waits for a compiler. A process that handles many messages calls `engine.warm()` once.
"""
