"""Encodings: plain accounts of an input, with nothing learnt about the world; honest baselines for what is.

A class that stands below a package called ``encodings`` is one, and says so by its ``kind``.
"""
