"""``audio.bundle``: the wav2vec 2.0, HuBERT and WavLM bundles of torchaudio, exact in any batch.

Three things upstream does with a batch would make a clip's vector depend on its neighbours, and are done otherwise
here: a bundle that normalises does so over the whole batch, its group norm sees the padding, and its WavLM refuses
lengths. Every vector equals upstream's for the clip alone.

These vectors are not those of ``audio.wav2vec2``: torchaudio counts layers from 1, leaves the encoder's input out,
and for most base models takes the samples as they are.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from embedders.base import EmbedderSpec, Forward
from embedders.errors import SetupError, UsageError, nearest
from embedders.models.windows import Stem, WindowedAudio
from embedders.weights import Download, Local, Seeded, Weights, read_state, resolve

if TYPE_CHECKING:
    import torch

    from embedders.runtime import Runtime

__all__ = ["Wav2Vec2Bundle"]

ADDRESS = "https://download.pytorch.org/torchaudio/models/"

# torch.nn.functional.layer_norm, which the normalising bundles apply to the waveform, adds this to the variance
EPSILON = 1e-5


class Wav2Vec2Bundle(WindowedAudio):
    """Sound to the hidden states of a torchaudio bundle, averaged over time.

    ``weights`` is a bundle's name (``WAV2VEC2_BASE``, ``HUBERT_LARGE``, ``WAVLM_BASE_PLUS``, ...), a file with a
    bundle's state dict, or ``random:SEED``; ``bundle`` names the architecture of the latter two. ``layer`` is
    ``"last"``, ``"mean"`` or a number from 1, as :meth:`extract_features` lists them: the final layer norm of the
    large models is not among them. The heads of the ASR bundles are left out.
    """

    libraries: ClassVar[tuple[str, ...]] = ("torchaudio", "torch", "soxr")
    accelerators: ClassVar[tuple[str, ...]] = ("openvino",)

    def __init__(
        self,
        *,
        weights: str = "WAV2VEC2_BASE",
        bundle: str | None = None,
        layer: str | int = "last",
        normalize: bool = True,
        window_seconds: float | None = 30.0,
    ) -> None:
        super().__init__(layer=layer, normalize=normalize, window_seconds=window_seconds)
        self._option = weights
        self._bundle_option = bundle

    @functools.cached_property
    def _weights(self) -> Download | Local | Seeded:
        known: dict[str, Weights] = {}
        for name, bundle in _bundles().items():
            address = bundle._path if bundle._path.startswith("https") else ADDRESS + bundle._path
            known[name] = Download(address)
        weights = resolve(self._option, known)
        if isinstance(weights, Download | Seeded) or (isinstance(weights, Local) and weights.path.is_file()):
            return weights
        raise UsageError(f"{self._option!r} is no bundle of torchaudio and no file", nearest(self._option, known))

    @functools.cached_property
    def _name(self) -> str:
        """The bundle whose architecture this is."""
        named = isinstance(self._weights, Download)
        name = self._option if named else self._bundle_option or "WAV2VEC2_BASE"
        if named and self._bundle_option not in (None, name):
            raise UsageError(
                f"weights={name!r} is a bundle of its own, and bundle={self._bundle_option!r} another",
                "Leave bundle out, or give the weights as a file",
            )
        if name not in _bundles():
            raise UsageError(f"There is no bundle {name!r}", nearest(name, _bundles()))
        layers = _bundles()[name]._params["encoder_num_layers"]
        if isinstance(self._layer, int) and not 1 <= self._layer <= layers:
            raise UsageError(f"There is no layer {self._layer} in {name}", f"Its layers are 1 to {layers}")
        return name

    @functools.cached_property
    def _stem(self) -> Stem:
        bundle = _bundles()[self._name]
        _, kernels, strides = zip(*bundle._params["extractor_conv_layer_config"], strict=True)
        return Stem(kernels, strides, int(bundle._sample_rate), bundle._normalize_waveform, EPSILON)

    @property
    def spec(self) -> EmbedderSpec:
        """The space is the bundle, what its parameters are, and the layer."""
        dim = _bundles()[self._name]._params["encoder_embed_dim"]
        source = ""
        if isinstance(self._weights, Seeded):
            source = f":{self._option}"
        elif isinstance(self._weights, Local):
            source = f":sha256:{self._weights.identity['sha256'][:16]}"
        space = f"torchaudio:{self._name}{source}/layer={self._layer}"
        return EmbedderSpec("audio", space, dim, self._normalize, {"bundle": self._name, **self._details()})

    @property
    def weights_identity(self) -> dict[str, Any]:
        """The address, the file's SHA-256, or the seed."""
        return self._weights.identity

    def load(self, runtime: Runtime) -> Forward:
        """The bundle's encoder; raises SetupError for a file of another architecture."""
        layers = _bundles()[self._name]._params["encoder_num_layers"]
        chosen = {"mean": range(1, layers + 1), "last": (layers,)}
        wanted = chosen[self._layer] if isinstance(self._layer, str) else (self._layer,)

        def build() -> torch.nn.Module:
            from embedders.models.wav2vec2_networks import of_torchaudio

            return of_torchaudio(self._model(), _bundles()[self._name]._model_type == "WavLM", wanted)

        return self._pooled(runtime.network(self._network(build)), runtime)

    def _model(self) -> torch.nn.Module:
        import torchaudio

        bundle = _bundles()[self._name]
        make = torchaudio.models.wavlm_model if bundle._model_type == "WavLM" else torchaudio.models.wav2vec2_model
        parameters = {**bundle._params, "aux_num_out": None}
        if isinstance(self._weights, Seeded):
            with self._weights.generator():
                return make(**parameters)  # type: ignore[no-any-return]  # torchaudio has no types
        path = self._weights.fetch() if isinstance(self._weights, Download) else self._weights.path
        return _fill(make(**parameters), path, self._name)


def _fill(model: torch.nn.Module, path: Path, name: str) -> torch.nn.Module:
    """Read the state dict of a bundle into ``model``, without the head for speech recognition."""
    state = {key: value for key, value in read_state(path).items() if not key.startswith("aux.")}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()[:200]
        raise SetupError(
            f"{path} does not fit the architecture of {name} ({reason})",
            "Name the bundle that it was made for: bundle=NAME",
        ) from error
    return model


def _bundles() -> dict[str, Any]:
    """All bundles of the installed torchaudio with these architectures, by name."""
    try:
        from torchaudio import pipelines
    except (ImportError, OSError, RuntimeError) as error:
        raise SetupError(
            f"torchaudio cannot be imported ({str(error).splitlines()[0] if str(error) else error!r}); "
            f"installed: {_installed('torch')}, {_installed('torchaudio')}",
            "Install a torch and a torchaudio that were built for one another",
        ) from error
    found = {name: getattr(pipelines, name) for name in pipelines.__all__}
    return {name: found[name] for name in sorted(found) if isinstance(found[name], pipelines.Wav2Vec2Bundle)}


def _installed(distribution: str) -> str:
    from importlib import metadata

    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return f"no {distribution}"
