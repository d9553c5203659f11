"""What holds for the whole: who may know whom, what importing costs, and that public names are real."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(p for package in ("embedders", "pipelines") for p in (ROOT / package).rglob("*.py"))

# a room, and the rooms and packages of ours that it may import; the longest matching name decides
MAY_IMPORT = {
    "embedders.errors": [],
    "embedders.batching": [],
    "embedders.modality": ["embedders.errors"],
    "embedders.weights": ["embedders.errors"],
    "embedders.spec": ["embedders.errors"],
    "embedders.runtime": ["embedders.errors", "embedders.spec"],
    "embedders.base": [
        "embedders.errors",
        "embedders.modality",
        "embedders.batching",
        "embedders.runtime",
        "embedders.spec",
    ],
    "embedders.registry": ["embedders.base", "embedders.modality", "embedders.errors"],
    "embedders.conformance": ["embedders.base", "embedders.errors", "embedders.registry"],
    "embedders.modalities": ["embedders.modality", "embedders.errors"],
    "embedders.models": [
        "embedders.base",
        "embedders.weights",
        "embedders.runtime",
        "embedders.errors",
        "embedders.modality",
        "embedders.remote",
    ],
    "embedders": ["embedders"],
    "pipelines.records": ["embedders.errors"],
    "pipelines.vectors": ["embedders.errors"],
    "pipelines.embedding": ["embedders", "pipelines.records", "pipelines.vectors"],
    "pipelines.engines": ["embedders", "pipelines.embedding", "pipelines.records", "pipelines.vectors"],
    "pipelines.growth": [
        "embedders",
        "pipelines.embedding",
        "pipelines.engines",
        "pipelines.records",
        "pipelines.vectors",
    ],
    "pipelines.pipeline": [
        "embedders",
        "pipelines.growth",
        "pipelines.engines",
        "pipelines.embedding",
        "pipelines.records",
        "pipelines.vectors",
    ],
    "pipelines.uses": ["embedders", "pipelines.vectors"],
    "pipelines.training": ["embedders", "pipelines.vectors", "pipelines.uses"],
    "pipelines.cli": [
        "embedders",
        "pipelines.pipeline",
        "pipelines.growth",
        "pipelines.engines",
        "pipelines.records",
        "pipelines.training",
        "pipelines.uses",
        "pipelines.vectors",
    ],
    "pipelines": ["pipelines"],
}

# the finished `embed` looks its decoder up, and the registry checks classes against the base: a cycle on purpose
ALLOWED = {
    ("embedders.base", "embedders.registry"),
    ("embedders.runtime.choice", "embedders.base"),  # for its type alone
    ("embedders.runtime.trial", "embedders.base"),  # for its type alone
    ("embedders.models.aligned", "embedders.registry"),  # a head stands on another embedder, found by name
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def imports(path: Path) -> set[str]:
    """Our own modules that a file imports anywhere, also inside of functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return {name for name in found if name.split(".")[0] in ("embedders", "pipelines", "tests", "samples")}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_rooms_know_only_those_they_may(path: Path) -> None:
    module = module_name(path)
    room = max((room for room in MAY_IMPORT if within(module, room)), key=len)
    for found in imports(path):
        allowed = within(found, room) or any(within(found, other) for other in MAY_IMPORT[room])
        assert allowed or (module, found) in ALLOWED, f"{module} imports {found}, which {room} may not know"


@pytest.mark.parametrize("path", [p for p in FILES if "pipelines" in p.parts], ids=module_name)
def test_pipelines_never_name_a_modality(path: Path) -> None:
    docstrings = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            docstrings.add(id(node.body[0].value))  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            exact = node.value in ("text", "image", "audio")
            assert not exact, f"{path}:{node.lineno} names the modality {node.value!r}"
        if isinstance(node, ast.ImportFrom | ast.Import):
            assert "modalities" not in ast.unparse(node).replace("registry import", ""), f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_all_names_are_there(path: Path) -> None:
    module = importlib.import_module(module_name(path))
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name), f"{module.__name__}.__all__ names {name}, which is not there"


HEAVY = {
    "gensim",
    "openvino",
    "timm",
    "simplejpeg",
    "sentence_transformers",
    "torch",
    "transformers",
    "PIL",
    "open_clip",
    "torchaudio",
    "torchvision",
    "soundfile",
    "librosa",
    "sklearn",
    "scipy",
    "mteb",
}


@pytest.mark.parametrize(
    "code",
    [
        "import embedders, pipelines",
        "import embedders.registry; embedders.registry.entries(); embedders.registry.modalities()",
        "from pipelines import VectorSet",
        "import sys; sys.argv = ['embed', '--help']\nfrom pipelines.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass",
        "import sys; sys.argv = ['embed', 'list']\nfrom pipelines.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass",
    ],
    ids=["packages", "registry", "reading", "help", "list"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str) -> None:
    report = f"{code}\nimport sys; print('LOADED', *sys.modules)"
    found = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(found.stdout.split("LOADED")[1].split())
    assert not loaded & HEAVY


DISTRIBUTIONS = {
    "PIL": "pillow",
    "open_clip": "open-clip-torch",
    "huggingface_hub": "huggingface-hub",
    "sklearn": "scikit-learn",
}
OPTIONAL = {
    "pandas",
    "polars",
    "mteb",
    "optuna",
    "gensim",
    "sentence_transformers",
}  # brought by a set's readers, or by an extra


def test_every_library_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^\w-]", line)[0] for line in project["dependencies"]}
    found = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").split(".")[0])
    strangers = found - set(sys.stdlib_module_names) - {"embedders", "pipelines"} - OPTIONAL
    assert {DISTRIBUTIONS.get(name, name) for name in strangers} <= declared


def test_the_top_level_is_as_agreed() -> None:
    found = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT)
    top = {line.split("/")[0] for line in found.stdout.splitlines()}
    assert top <= {
        "pyproject.toml",
        "embedders",
        "pipelines",
        "tests",
        "samples",
        "README.md",
        "LICENSE",
        ".gitignore",
        ".ci",
    }


def test_no_file_has_become_two() -> None:
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := len(p.read_text().splitlines())) > 320}
    assert not long, f"these files ask to be split: {long}"


def test_forbidden_names_stay_out() -> None:
    bad = re.compile(r"^(utils|helpers|common|manager|data|item|process)$")
    assert not [p for p in FILES if bad.match(p.stem)]
