"""Nodes of a graph as a modality, embedded by node2vec.

::

    edges.tsv ──▶ walks.py  graph, biased walks ──▶ nodes.py  skip-gram over the walks ──▶ a vector per node
"""
