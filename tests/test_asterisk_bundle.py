"""Where Asterisk comes from: which sources are used, what is refused, what is kept."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from peers import asterisk

from bwlib.errors import PbxUnreachable
from bwlib.pbx import asterisk_bundle as bundle
from bwlib.pbx.apt_sources import AptSource, debian_sources

DEB822 = """\
# the archive
Types: deb deb-src
URIs: https://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: https://off.example/debian
Suites: bookworm
Components: main
"""
ONE_LINE = """\
# deb https://off.example/debian bookworm main
deb-src https://src.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/key.gpg] https://other.example/debian/ bookworm main contrib # trailing
deb https://download.docker.example/linux/debian bookworm stable
deb https://pgdg.example/ bookworm-pgdg main
deb cdrom:[Debian]/ bookworm main
"""


def sources(tmp_path: Path, name: str, text: str, os_id: str = "debian") -> list[AptSource]:
    """What is found on a machine with this one file in sources.list.d."""
    folder = tmp_path / "apt/sources.list.d"
    folder.mkdir(parents=True)
    (folder / name).write_text(text)
    (tmp_path / "os-release").write_text(f'ID={os_id}\nVERSION_CODENAME="bookworm"\n')
    return debian_sources(tmp_path / "apt", tmp_path / "os-release")


def test_the_archive_is_found_in_the_new_format_and_nothing_else(tmp_path: Path) -> None:
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert sources(tmp_path, "debian.sources", DEB822) == [AptSource("https://mirror.example/debian", key)]


def test_the_archive_is_found_in_the_old_format_and_nothing_else(tmp_path: Path) -> None:
    assert sources(tmp_path, "old.list", ONE_LINE) == [AptSource("https://other.example/debian/", "/etc/key.gpg")]


def test_a_key_written_into_the_stanza_goes_along(tmp_path: Path) -> None:
    block = " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----"
    text = f"Types: deb\nURIs: https://m.example/debian\nSuites: stable\nComponents: main\nSigned-By:\n{block}\n"
    (found,) = sources(tmp_path, "debian.sources", text)
    assert found.stanza("forky").endswith(f"Suites: forky\nComponents: main\nSigned-By: \n{block}\n")


def test_ubuntus_archive_is_left_alone(tmp_path: Path) -> None:
    assert sources(tmp_path, "ubuntu.sources", DEB822, os_id="ubuntu") == []


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No Asterisk on PATH and an empty cache; returns the cache."""
    monkeypatch.setenv("BW_RUNBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bundle, "find_on_path", lambda: None)
    return tmp_path / "cache"


def test_without_a_way_to_get_one_the_error_says_how_to_install_it(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "debian_sources", list)
    with pytest.raises(PbxUnreachable, match="apt-get install asterisk"):
        bundle.obtain()


def small_repository(folder: Path) -> AptSource:
    """A repository for every suite with a package named asterisk, not signed by anyone."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: asterisk\nVersion: 99.0-1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n"
    )
    subprocess.run(["dpkg-deb", "--build", str(tree), str(folder / "asterisk.deb")], check=True, capture_output=True)
    control = (tree / "DEBIAN/control").read_text()
    size = (folder / "asterisk.deb").stat().st_size
    digest = hashlib.sha256((folder / "asterisk.deb").read_bytes()).hexdigest()
    index = f"{control}Filename: asterisk.deb\nSize: {size}\nSHA256: {digest}\n"
    for suite in bundle.SUITES:
        where = folder / f"dists/{suite}/main/binary-amd64"
        where.mkdir(parents=True)
        (where / "Packages").write_text(index)
        of_index = hashlib.sha256(index.encode()).hexdigest()
        (folder / f"dists/{suite}/Release").write_text(
            f"Suite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n"
            f"SHA256:\n {of_index} {len(index)} main/binary-amd64/Packages\n"
        )
    return AptSource(f"file:{folder}", "")


@pytest.mark.skipif(not shutil.which("apt-get") or platform.machine() != "x86_64", reason="needs apt on amd64")
def test_an_archive_that_nobody_signed_is_refused_and_leaves_nothing(
    nothing_installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = small_repository(tmp_path / "repository")
    monkeypatch.setattr(bundle, "debian_sources", lambda: [source])
    with pytest.raises(PbxUnreachable, match="not signed"):
        bundle.obtain()
    assert [path.name for path in nothing_installed.iterdir()] == ["asterisk.lock"]


def test_a_folder_without_a_manifest_is_not_taken_for_an_asterisk(nothing_installed: Path) -> None:
    arch = bundle.MACHINES.get(platform.machine(), "none")
    (nothing_installed / f"asterisk-forky-{arch}-0123456789ab/usr").mkdir(parents=True)
    assert bundle.find_unpacked() is None


def test_an_asterisk_on_path_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "asterisk"
    program.write_text("#!/bin/sh\necho Asterisk 13.38.3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert bundle.find_on_path() is None


@pytest.mark.parametrize(
    ("said", "version"),
    [("22.10.1~dfsg+~cs6", "22.10.1"), ("certified/18.9-cert4", "18.9"), ("20.6.0", "20.6.0")],
)
def test_the_version_is_read_from_what_asterisk_says(tmp_path: Path, said: str, version: str) -> None:
    program = tmp_path / "asterisk"
    program.write_text(f"#!/bin/sh\necho 'Asterisk {said}'\n")
    program.chmod(0o755)
    assert bundle._version_of((str(program),)) == version


def test_the_asterisk_that_is_used_here_runs_and_names_its_packages() -> None:
    binary = asterisk()
    assert (binary.module_dir / "chan_pjsip.so").is_file()
    assert (binary.data_dir / "documentation/core-en_US.xml").is_file()
    if binary.origin == "unpacked":
        names = {package.name for package in binary.packages}
        assert {"asterisk", "asterisk-modules", "libc6"} <= names
        assert all(len(package.sha256) == 64 for package in binary.packages)


@pytest.mark.skipif(os.environ.get("BW_SOAK") != "1", reason="fetches 60 MB; BW_SOAK=1 runs it")
@pytest.mark.parametrize("suite", ["forky", "sid"])
def test_each_suite_unpacks_anew_and_boots(nothing_installed: Path, tmp_path: Path, suite: str,
                                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from bwlib.sandbox import pbx as stage_of

    monkeypatch.setattr(bundle, "SUITES", (suite,))
    said: list[str] = []
    binary = bundle.obtain(said.append)
    assert any("Fetching" in line for line in said)
    assert bundle.find_unpacked() == binary
    (manifest,) = nothing_installed.glob(f"asterisk-{suite}-*/manifest.json")
    assert json.loads(manifest.read_text())["version"] == binary.version
    process = stage_of.start(stage_of.write_base_config(tmp_path / "pbx", binary))
    stage_of.stop(process)
