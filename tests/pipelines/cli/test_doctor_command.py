"""``embed doctor``: what it says of this machine, and of machines that lack something."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from embedders.registry import registry
from pipelines.cli import doctor
from pipelines.cli.doctor import doctor_command

RICH = dict.fromkeys(doctor.DISTRIBUTIONS, "99.0")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions of the libraries, to be changed; nothing heavy is asked."""
    versions, codecs = dict(RICH), {"libwebp": "1.6.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(doctor.metadata, "version", version)
    monkeypatch.setattr(doctor, "_codecs", lambda: (codecs, []))
    monkeypatch.setattr(doctor, "_devices", lambda: ({"cpu": "x"}, []))
    return versions


def examined(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = doctor_command(as_json=True)
    return code, json.loads(capsys.readouterr().out)


def test_this_very_machine_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined(capsys)
    assert (code, found["problems"]) == (0, [])
    assert found["versions"] == {name: metadata.version(name) for name in doctor.DISTRIBUTIONS}
    assert {"libwebp", "libjpeg_turbo", "libsndfile", "libsoxr"} <= found["codecs"].keys()
    assert all(floor["met"] for floor in found["floors"])
    assert [floor["library"] for floor in found["floors"]] == list(doctor.FLOORS)
    assert "cpu" in found["devices"]
    assert found["memory"]["total"] > 0 < found["disk"]["here"]
    assert found["offline"] is True  # as the tests are
    assert "image.clip" in [plugin["name"] for plugin in found["plugins"]]


@pytest.mark.parametrize(
    ("library", "version", "met"),
    [
        ("torch", "2.10", True),
        ("torch", "2.10.0+cu130", True),
        ("torch", "2.9.1", False),
        ("torch", "3", True),
        ("transformers", "5.4.9", False),
        ("transformers", "5.5.0rc1", True),
        ("pillow", "12.2.9", False),
        ("pillow", "12.3.0", True),
        ("pyarrow", "14.0.0", False),
        ("pyarrow", "14.0.1", True),
        ("pyarrow", "unknown", False),
    ],
)
def test_a_version_below_its_floor_ends_with_7_and_says_why(
    machine: dict[str, str], capsys: pytest.CaptureFixture[str], library: str, version: str, met: bool
) -> None:
    machine[library] = version
    code, found = examined(capsys)
    needed, why = doctor.FLOORS[library]
    assert code == (0 if met else 7)
    assert found["problems"] == ([] if met else [f"{library} is {version}; {needed} is needed ({why})"])


def test_a_decoder_below_its_floor_is_found_inside_of_pillow(
    machine: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_codecs", lambda: ({"libwebp": "1.3.1"}, []))
    code, found = examined(capsys)
    assert code == 7
    assert "CVE-2023-4863" in found["problems"][0]
    monkeypatch.setattr(doctor, "_codecs", lambda: ({}, []))  # built without it: nothing there can be exploited
    assert examined(capsys)[0] == 0


def test_what_is_missing_is_named_once(machine: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    del machine["torch"]
    assert doctor_command(as_json=False) == 7
    printed = capsys.readouterr().out
    assert "PROBLEM      torch is not installed\n" in printed
    assert printed.count("PROBLEM") == 1


@pytest.mark.parametrize("library", ["torch", "PIL.features", "soundfile"])
def test_a_library_that_cannot_be_loaded_is_a_problem_and_no_traceback(
    library: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    if "." in library:
        monkeypatch.delattr("PIL.features")
    code, found = examined(capsys)
    assert code == 7
    assert [problem.partition(" cannot be used")[1] for problem in found["problems"]] == [" cannot be used"]


def install(folder: Path, name: str, **points: str) -> None:
    """The metadata of a distribution that declares embedders, with a module that must not be imported."""
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = [f"{point.replace('__', '.')} = {value}" for point, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[multimodal_embedders.embedders]", *lines, ""]))
    (folder / f"{name}.py").write_text("raise AssertionError('imported')\n")


def test_plugins_are_listed_by_their_package_and_not_imported(
    machine: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(tmp_path, "birds", audio__birds="birds:Birds", audio__owls="birds:Owls")
    install(tmp_path, "copycat", image__clip="copycat:Clip")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_installed", {})
    assert doctor_command(as_json=False) == 7
    printed = capsys.readouterr().out
    assert "installed    birds 1.2: audio.birds, audio.owls\n" in printed
    (problem,) = [line for line in printed.splitlines() if line.startswith("PROBLEM")]
    assert problem.startswith("PROBLEM      Two packages provide 'image.clip': ")
    assert "copycat 1.2" in printed
    assert not {"birds", "copycat"} & sys.modules.keys()


def test_everything_fits_80_columns_and_steers_no_terminal(
    machine: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine["torch"] = "1.0"
    monkeypatch.setenv("TORCH_HOME", f"{tmp_path}/{'very_long_name_' * 12}\x1b[2J")
    monkeypatch.setattr(
        doctor, "_devices", lambda: ({f"cuda:{n}": "A device of a long name" for n in range(8)}, [])
    )
    doctor_command(as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= doctor.WIDTH
    assert all(line.isprintable() for line in lines)


def test_a_container_s_limit_is_part_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   2048 kB\n", "/sys/fs/cgroup/memory.max": "1000000\n"}
    monkeypatch.setattr(doctor, "_read", lambda file: files.get(file, ""))
    found = doctor._memory()
    assert (found["free"], found["limit"]) == (2048 * 1024, 1_000_000)
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert "limit" not in doctor._memory()


@pytest.mark.parametrize(
    ("described", "features"),
    [
        ("flags\t\t: fpu avx2 amx_tile amx_bf16\n", ["avx2", "amx_tile", "amx_bf16"]),
        ("Features\t: fp asimd bf16\n", ["asimd", "bf16"]),
        ("", []),
    ],
)
def test_the_processor_s_features_are_what_the_kernel_says(
    monkeypatch: pytest.MonkeyPatch, described: str, features: list[str]
) -> None:
    monkeypatch.setattr(doctor, "_read", lambda file: described)
    assert doctor._cpu_features() == features
