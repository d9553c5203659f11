"""Python source code as a modality, embedded function by function with any embedder of texts.

::

    stack.py ──▶ functions.py  its functions and classes ──▶ code.py  weighted mean of their vectors
                      └──▶ python -m embed_code.functions FOLDER: a table with a row per function
"""
