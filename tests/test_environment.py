"""One list of dependencies: the locks and environment.yml follow from pyproject.toml."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from rattler import Channel, MatchSpec, Subdir, Version, VersionSpec, solve
from rattler.exceptions import SolverError

PROJECT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
RUNTIME = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
EXTRAS = [Requirement(line) for lines in PYPROJECT["project"]["optional-dependencies"].values() for line in lines]
BUILD = [Requirement(line) for line in PYPROJECT["dependency-groups"]["build"]]
DEV = [Requirement(line) for line in PYPROJECT["dependency-groups"]["dev"]]
ENVIRONMENT = yaml.safe_load((PROJECT / "environment.yml").read_text())
CONDA_SPECS = [line for line in ENVIRONMENT["dependencies"] if isinstance(line, str)]


def locked(name: str) -> dict[str, list[str]]:
    """{"httpx": ["0.28.1"]}; more than one version where Python versions need different ones."""
    versions: dict[str, list[str]] = {}
    for match in re.finditer(r"^([a-z0-9._-]+)==([^\s;\\]+)", (PROJECT / name).read_text(), re.MULTILINE):
        versions.setdefault(match[1], []).append(match[2])
    return versions


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [("requirements.lock", RUNTIME + EXTRAS + BUILD), ("requirements-dev.lock", RUNTIME + EXTRAS + BUILD + DEV)],
)
def test_each_lock_holds_every_declared_package_within_its_range(lock: str, wanted: list[Requirement]) -> None:
    versions = locked(lock)
    for requirement in wanted:
        found = versions.get(canonical(requirement.name), [])
        assert found, f"{requirement.name} is not in {lock}: make lock"
        assert all(requirement.specifier.contains(version) for version in found), f"{requirement} but {lock}: {found}"


def test_both_locks_agree_on_every_version() -> None:
    small, large = locked("requirements.lock"), locked("requirements-dev.lock")
    assert small == {name: large.get(name) for name in small}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_each_locked_package_has_hashes_and_no_host_is_named(lock: str) -> None:
    text = (PROJECT / lock).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"https?:|file:|index-url|find-links| @ ", text)


def test_the_build_backend_is_locked_with_the_range_of_the_build_system() -> None:
    assert set(PYPROJECT["build-system"]["requires"]) <= set(PYPROJECT["dependency-groups"]["build"])


def test_environment_yml_is_what_the_tool_derives() -> None:
    tool = [sys.executable, str(PROJECT / "tools" / "sync_environment.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_conda_ranges_equal_pyproject_and_contain_the_locked_version() -> None:
    declared = {requirement.name: requirement for requirement in RUNTIME + DEV}
    versions = locked("requirements-dev.lock")
    for spec in CONDA_SPECS:
        name, _, range_ = spec.partition(" ")
        if name in ("python", "pip"):
            continue
        assert sorted(range_.split(",")) == sorted(str(declared[name].specifier).split(","))
        parsed = VersionSpec(str(MatchSpec(spec).version))
        assert all(parsed.matches(Version(version)) for version in versions[name])


def test_what_conda_does_not_bring_comes_through_pip_with_every_extra() -> None:
    (pip,) = [line["pip"] for line in ENVIRONMENT["dependencies"] if isinstance(line, dict)]
    assert pip == [f"-e .[{','.join(PYPROJECT['project']['optional-dependencies'])}]"]


@pytest.fixture
def channel(tmp_path: Path) -> Channel:
    """A conda channel on disk with pythons, pip and our conda packages at their locked versions; no network."""
    versions = locked("requirements-dev.lock")
    packages = [("python", f"3.{minor}.1", []) for minor in range(10, 15)] + [("pip", "25.0", ["python"])]
    for spec in CONDA_SPECS[2:]:
        name = spec.split()[0]
        packages += [(name, version, ["python >=3.10"]) for version in versions[name]]
    records = {
        f"{name}-{version}-0.tar.bz2": {
            "name": name, "version": version, "build": "0", "build_number": 0, "depends": depends,
            "subdir": "noarch", "md5": "0" * 32, "sha256": "0" * 64, "size": 1,
        }
        for name, version, depends in packages
    }  # fmt: skip
    for subdir in ("noarch", "linux-64"):
        (tmp_path / subdir).mkdir()
        content = {"info": {"subdir": subdir}, "packages": records if subdir == "noarch" else {}, "packages.conda": {}}
        (tmp_path / subdir / "repodata.json").write_text(json.dumps(content))
    return Channel(tmp_path.as_uri())


def solved(channel: Channel, specs: list[str]) -> dict[str, str]:
    records = asyncio.run(solve([channel], specs, platforms=[Subdir("linux-64"), Subdir("noarch")]))
    return {record.name.normalized: str(record.version) for record in records}


def test_a_conda_solver_accepts_the_environment(channel: Channel) -> None:
    chosen = solved(channel, CONDA_SPECS)
    assert set(chosen) == {spec.split()[0] for spec in CONDA_SPECS}
    assert chosen["python"] == "3.13.1"  # the newest that pyproject allows, not the newest there is


def test_a_conda_solver_refuses_an_added_contradiction(channel: Channel) -> None:
    with pytest.raises(SolverError):
        solved(channel, [*CONDA_SPECS, "httpx >=0.29"])
