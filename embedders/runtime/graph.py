"""Networks through OpenVINO: converted once per weights, kept in the cache, and run a batch per core."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import threading
import warnings
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedders.errors import SetupError
from embedders.runtime.machine import cache_folder, has_openvino

if TYPE_CHECKING:
    import torch

    from embedders.runtime.network import Network, Run
    from embedders.runtime.runtime import Runtime

__all__ = ["is_converted", "load_graph", "place_of"]

PRECISION = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}

FORMAT = 1
"""Of what lies in the cache; raised whenever a conversion is done differently."""


def load_graph(network: Network, runtime: Runtime) -> Run:
    """The network compiled for this machine's cores, one stream on each; raises SetupError where that fails."""
    if runtime.device != "cpu":
        raise SetupError(f"OpenVINO runs on the CPU here, not on {runtime.device!r}", "Take --accel none")
    if not has_openvino():
        raise SetupError("OpenVINO is not installed", "Install it with: pip install openvino")
    import openvino

    core = openvino.Core()
    try:
        compiled = core.compile_model(
            _model(core, network),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": PRECISION[runtime.precision],
                "NUM_STREAMS": runtime.lanes,
                "INFERENCE_NUM_THREADS": runtime.lanes,
                # decoders use the same cores: a stream that is bound to one would wait for it
                "ENABLE_CPU_PINNING": False,
            },
        )
    except SetupError:
        raise
    except Exception as error:  # whatever a converter of every operation there is may raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        message = f"OpenVINO cannot run the network {network.name!r}: {reason}"
        raise SetupError(message, "Take --accel none") from error
    mine = threading.local()

    def run(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        import torch

        if not hasattr(mine, "request"):
            mine.request = compiled.create_infer_request()
        request = mine.request
        request.infer([tensor.numpy() for tensor in tensors], share_inputs=True)
        # copied: the request writes its next results into the same memory
        found = (request.get_output_tensor(number).data for number in range(len(compiled.outputs)))
        return tuple(torch.from_numpy(output.copy()) for output in found)

    return run


def is_converted(network: Network) -> bool:
    """Whether a whole conversion of the network lies in the cache."""
    return _is_whole(place_of(network))


def _is_whole(place: Path) -> bool:
    try:
        sizes = json.loads((place / "sizes.json").read_text("utf-8"))
        return bool(sizes) and all((place / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def place_of(network: Network) -> Path:
    """The folder in the cache that a conversion of the network has, or would have."""
    versions = {name: metadata.version(name) for name in ("openvino", "torch", "multimodal-embedders")}
    words = json.dumps([FORMAT, network.name, network.key, versions], sort_keys=True, default=str)
    return cache_folder() / "networks" / hashlib.sha256(words.encode()).hexdigest()[:32]


def _model(core: Any, network: Network) -> Any:
    place = place_of(network)
    if is_converted(network):
        return core.read_model(place / "network.xml")
    model = _converted(network)
    # no place for it is no reason to stop: it is then converted again next time
    with contextlib.suppress(OSError, RuntimeError):
        _keep(model, place)
    return model


def _converted(network: Network) -> Any:
    import openvino
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    module, example = network.module().eval().requires_grad_(False), network.example()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing is deprecated, and warns of everything that could vary
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    frontend = FrontEndManager().load_by_framework("pytorch")
    # held until the conversion is done: the frontend does not hold it
    decoder = TorchScriptPythonDecoder(traced, example_input=example)
    model = frontend.convert(frontend.load(decoder))
    shapes = {}
    for number, (tensor, axes) in enumerate(zip(example, network.dynamic, strict=True)):
        sizes = [-1 if axis in axes else size for axis, size in enumerate(tensor.shape)]
        shapes[number] = openvino.PartialShape(sizes)
    model.reshape(shapes)
    return model


def _keep(model: Any, place: Path) -> None:
    """Put the files into the cache as a whole or not at all, whoever else does the same at this moment."""
    import openvino

    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="making-", dir=place.parent))
    try:
        openvino.save_model(model, made / "network.xml", compress_to_fp16=False)
        files: Sequence[Path] = sorted(made.iterdir())
        (made / "sizes.json").write_text(json.dumps({file.name: file.stat().st_size for file in files}), "utf-8")
        if place.exists() and not _is_whole(place):
            shutil.rmtree(place, ignore_errors=True)
        made.replace(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)
