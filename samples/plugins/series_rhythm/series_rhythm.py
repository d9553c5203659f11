"""Time series, and an embedder that hears their rhythm: a modality and an embedder of one's own."""

import numpy as np

from embedders import BadInput, BaseEmbedder, Decoded, EmbedderSpec, Modality, Status


class Series(Modality):
    """Numbers at even steps of time, separated by white space."""

    name = "series"
    suffixes = frozenset({".series"})
    defaults = ("series.rhythm",)

    def decode_content(self, content, limits):  # whatever it raises makes the input a row with status `corrupt`
        numbers = np.array(content.split(), dtype=np.float64)
        if len(set(numbers)) < 2:
            raise BadInput(Status.EMPTY, "SERIES_FLAT", "a rhythm needs at least two different numbers")
        return Decoded(numbers)


class Rhythm(BaseEmbedder):
    """How strong rhythms of 2 to 512 steps are, half an octave each, in the first 4096 steps; at any level."""

    @property
    def spec(self):  # whoever changes what the vectors mean changes the space
        return EmbedderSpec("series", space="series.rhythm/1", dim=16, normalized=True)

    def prepare(self, media):  # what the modality decoded; called from many threads
        strength = np.abs(np.fft.rfft(media - media.mean(), n=4096))
        return np.add.reduceat(strength, np.geomspace(8, 2048, 17).astype(int)[:-1])

    def collate(self, samples):
        return np.stack(samples)

    def load(self, runtime):  # weights would be loaded here, onto runtime.device, and held by what is returned
        return lambda batch: batch / np.linalg.norm(batch, axis=1, keepdims=True)

    def examples(self):  # at least three small inputs that differ
        return [b"1 2", b"1 0 -1 0 1 0 -1 0", b"3 1 4 1 5 9 2 6 5 3 5 8 9 7"]
