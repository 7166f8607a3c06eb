# SPDX-License-Identifier: Apache-2.0
"""The ./dev script: what it refuses to start with, and when it makes .venv anew."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, its root a copy of the files that it reads."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("dev_script", str(ROOT / "dev"))
    spec = spec_from_loader("dev_script", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    for name in ("", *(f"packages/{package}/" for package in module.PACKAGES)):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name / "pyproject.toml", tmp_path / name / "pyproject.toml")
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    monkeypatch.setattr(module, "ROOT", str(tmp_path))
    monkeypatch.setattr(module, "LOCK", str(tmp_path / "requirements.lock"))
    monkeypatch.setattr(module, "STAMP", str(tmp_path / "made-from"))
    monkeypatch.setattr(module, "PYTHON", sys.executable)
    return module


def test_interpreter_too_old_is_refused_with_what_to_install(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An old interpreter without a newer one on PATH ends with a message, not a traceback."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SystemExit) as stopped:
        dev.require_interpreter()
    assert (2, True) == (stopped.value.code, "Python 3.11 or newer" in capsys.readouterr().err)


def test_ensurepip_missing_names_the_package(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the distribution has split ensurepip off, the message says which package brings it."""
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit) as stopped:
        dev.require_venv_module()
    assert (2, True) == (stopped.value.code, "python3-venv" in capsys.readouterr().err)


@pytest.mark.parametrize(
    "name", ["requirements.lock", "pyproject.toml", "packages/sekisho-verify/pyproject.toml"]
)
def test_stamp_changed_input_asks_for_a_new_environment(dev: ModuleType, name: str) -> None:
    """The environment is ready for what it was made from, and for nothing else."""
    wanted = dev.wanted_stamp()
    Path(dev.STAMP).write_text(wanted)
    ready = dev.is_ready(wanted)
    with (Path(dev.ROOT) / name).open("a") as handle:
        handle.write("# changed\n")
    assert (True, False) == (ready, dev.is_ready(dev.wanted_stamp()))


def test_stamp_absent_or_interpreter_gone_is_not_ready(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder half made, or whose interpreter was removed, is made anew."""
    wanted = dev.wanted_stamp()
    half_made = dev.is_ready(wanted)
    Path(dev.STAMP).write_text(wanted)
    monkeypatch.setattr(dev, "PYTHON", str(Path(dev.ROOT) / "gone"))
    assert (False, False) == (half_made, dev.is_ready(wanted))


def test_stamp_lock_missing_is_refused(dev: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """An incomplete copy of the repository is named as such."""
    Path(dev.LOCK).unlink()
    with pytest.raises(SystemExit):
        dev.wanted_stamp()
    assert "requirements.lock is missing" in capsys.readouterr().err


def test_environment_of_the_caller_does_not_lead_out(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would point Python or pip elsewhere is left behind, the rest is kept."""
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("PIP_TARGET", "elsewhere")
    monkeypatch.setenv("SOMETHING", "kept")
    environment = dev.clean_environment()
    assert "elsewhere" not in environment.values()
    assert "kept" == environment["SOMETHING"]
    assert environment["PATH"].startswith(dev.BIN)


def test_setup_step_failing_shows_its_output_and_stops(
    dev: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """A step that fails is not passed over: its output is shown, and no stamp is written."""
    command = [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]
    with (Path(dev.ROOT) / "held").open("w") as held, pytest.raises(SystemExit) as stopped:
        dev.run_quietly(command, "a step", held.fileno())
    assert (2, True) == (stopped.value.code, "the reason" in capsys.readouterr().err)
    assert not Path(dev.STAMP).exists()


@pytest.mark.parametrize(
    ("arguments", "selection"), [([], ["-m", "not slow"]), (["--full"], []), (["-k", "x"], ["-k"])]
)
def test_pytest_arguments_full_selects_everything(
    dev: ModuleType, arguments: list[str], selection: list[str]
) -> None:
    """Slow tests wait for --full; other arguments are pytest's."""
    given = dev.pytest_arguments(arguments)
    assert "--full" not in given
    assert all(part in given for part in selection)
    assert ("not slow" not in given) == ("--full" in arguments)


def test_tests_failed_check_fails_the_command(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed check is not forgiven because the tests pass."""
    done: subprocess.CompletedProcess[str] = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(dev, "lint", lambda: ["mypy"])
    monkeypatch.setattr(dev.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(SystemExit) as stopped:
        dev.run_tests([])
    assert 1 == stopped.value.code


def test_command_unknown_is_refused(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped command ends with usage and code 2, before anything is made."""
    monkeypatch.setattr(sys, "argv", ["dev", "tset"])
    monkeypatch.setattr(dev, "prepare", lambda: pytest.fail("prepared"))
    with pytest.raises(SystemExit) as stopped:
        dev.main()
    assert 2 == stopped.value.code
