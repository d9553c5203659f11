"""Video as a modality, embedded by any embedder of pictures.

::

    clip.mp4 ──▶ clips.py  check, and decode single frames ──▶ frames.py  mean of the frames' vectors
"""
