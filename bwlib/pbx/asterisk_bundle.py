"""Where a real Asterisk comes from, without root and without touching the system.

Order: one on PATH (16 or newer); one that we unpacked before; on Debian, one unpacked now into this user's cache.
Unpacking uses a private apt state, so that apt itself resolves the dependencies and checks the archive's signatures
(apt-secure(8)) with the mirror and keyring of the machine's own sources. The packages bring their own libc and are
run through their own dynamic loader (ld.so(8), `--library-path`), so nothing depends on the libraries of the host.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bwlib.errors import PbxUnreachable
from bwlib.pbx.apt_sources import AptSource, debian_sources

log = logging.getLogger(__name__)

Progress = Callable[[str], None]

OLDEST_MAJOR = 16
# Tried with this project. Another one is used too, and said.
KNOWN_GOOD = ("22.10.1",)
# Debian 12 and 13 have no asterisk package; 14 (forky) has, and its packages carry their own libc.
SUITES = ("forky", "testing", "sid")
LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
APT_TIMEOUT_S = 600
# In the dependency closure, but without a shared object that Asterisk's modules in our list need.
NOT_NEEDED = re.compile(
    r"adduser|asterisk-config|base-passwd|debconf|dirmngr|dpkg|freetds-common|gcc-.*-base|gnupg.*|gpg.*|libasound2-data"
    r"|libaudit-common|libc-gconv-modules-extra|libcodec2-.*|libpam-modules.*|libperl.*|libsemanage-common"
    r"|libsensors-config|libsnmp-base|login.*|openssl-provider-legacy|passwd|pci\.ids|perl.*|pinentry-.*"
    r"|readline-common|tzdata.*|util-linux.*"
)
APT_CONF = """\
// Private state: apt of the system is neither read (but for proxies, mirrors and keys) nor changed.
// The system's hooks are for the system's own lists and caches.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear APT::Architectures;
#clear APT::Default-Release;
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root"; // only heard when root runs this: _apt cannot write into a user's cache
Acquire::Languages "none";
Acquire::Retries "2";
Debug::NoLocking "true";
Dir::Etc "{root}/etc";
Dir::Etc::trusted "/etc/apt/trusted.gpg";
Dir::Etc::trustedparts "/etc/apt/trusted.gpg.d";
Dir::Etc::netrc "/etc/apt/auth.conf";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
"""


@dataclass(frozen=True)
class Package:
    """One Debian package of an unpacked Asterisk; `sha256` is that of the .deb file whose hash apt had checked."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class AsteriskBinary:
    """A runnable Asterisk. `argv_prefix` comes before Asterisk's own options; `packages` is empty when from PATH."""

    argv_prefix: tuple[str, ...]
    version: str
    origin: Literal["PATH", "unpacked"]
    module_dir: Path
    data_dir: Path
    packages: tuple[Package, ...] = ()


def obtain(progress: Progress = log.info) -> AsteriskBinary:
    """A real Asterisk: from PATH, from the cache, else unpacked into it (70 MB to fetch, 190 MB on disk).

    progress: told what is going on, one sentence at a time.
    Raises PbxUnreachable with the line that helps when there is none and none can be had.
    """
    binary = find_on_path() or find_unpacked() or _unpack_once(progress)
    if not binary.version.startswith(KNOWN_GOOD):
        progress(f"Asterisk {binary.version} was not tried with this project (known good: {', '.join(KNOWN_GOOD)})")
    return binary


def find_on_path() -> AsteriskBinary | None:
    """The Asterisk that the system has, None when there is none or it is older than 16."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which("asterisk", path=search)
    if found is None:
        return None
    try:
        version = _version_of((found,))
    except PbxUnreachable as error:
        log.warning("the Asterisk at %s does not run: %s", found, error.came_back)
        return None
    libraries = [f"/usr/lib/{platform.machine()}-linux-gnu", "/usr/lib", "/usr/lib64", "/usr/local/lib"]
    modules = _first_existing([Path(lib) / "asterisk/modules" for lib in libraries])
    data = _first_existing([Path(p) for p in ("/usr/share/asterisk", "/var/lib/asterisk", "/usr/local/share/asterisk")])
    if modules is None or data is None or int(version.split(".")[0]) < OLDEST_MAJOR:
        log.warning("the Asterisk at %s (%s) is too old or has no modules where they usually are", found, version)
        return None
    return AsteriskBinary((found,), version, "PATH", modules, data)


def find_unpacked() -> AsteriskBinary | None:
    """The newest Asterisk unpacked before for this machine's architecture, None when there is none."""
    arch = MACHINES.get(platform.machine(), "none")
    folders = sorted(cache_dir().glob(f"asterisk-*-{arch}-*/manifest.json"), key=lambda p: p.stat().st_mtime)
    return _from_folder(folders[-1].parent) if folders else None


def cache_dir() -> Path:
    """BW_RUNBOOK_CACHE, else bw-runbook in the user's cache directory."""
    configured = os.environ.get("BW_RUNBOOK_CACHE")
    if configured:
        return Path(configured).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bw-runbook"


def _unpack_once(progress: Progress) -> AsteriskBinary:
    arch = MACHINES.get(platform.machine())
    sources = debian_sources() if arch and shutil.which("apt-get") and shutil.which("dpkg-deb") else []
    if arch is None or not sources:
        raise _nowhere("this is no Debian on amd64 or arm64 with package sources that could be used without root")
    cache = cache_dir()
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(cache / "asterisk.lock"):
            for left_over in cache.glob("unpacking-*"):  # of a run that was killed: we hold the lock, so nobody's
                shutil.rmtree(left_over, ignore_errors=True)
            return find_unpacked() or _unpack(cache, arch, sources, progress)
    except OSError as error:
        raise _nowhere(f"the cache {cache} cannot be written: {error.strerror}") from error


def _unpack(cache: Path, arch: str, sources: list[AptSource], progress: Progress) -> AsteriskBinary:
    problems: list[str] = []
    for source in sources:
        for suite in SUITES:
            with tempfile.TemporaryDirectory(prefix="unpacking-", dir=cache) as name:
                try:
                    work = Path(name)
                    apt = _private_apt(work / "apt", arch, source, suite)
                    progress(f"Looking for Asterisk in Debian {suite}")
                    versions = _resolve(apt)
                    return _from_folder(_build(work, apt, versions, cache, f"asterisk-{suite}-{arch}", progress))
                except (PbxUnreachable, OSError, subprocess.SubprocessError) as error:
                    reason = error.came_back if isinstance(error, PbxUnreachable) else str(error)
                    log.warning("no Asterisk from Debian %s: %s", suite, reason)
                    problems.append(f"{suite}: {reason}")
    raise _nowhere("; ".join(problems))


def _build(work: Path, apt: list[str], versions: dict[str, str], cache: Path, prefix: str, progress: Progress) -> Path:
    """Fetch, unpack and try; the folder appears under its final name only when it runs."""
    wanted = {name: version for name, version in versions.items() if not NOT_NEEDED.fullmatch(name)}
    progress(f"Fetching Asterisk {wanted['asterisk']} and its libraries ({len(wanted)} packages)")
    debs, root = work / "debs", work / "root"
    debs.mkdir()
    root.mkdir()
    _run([*apt, "download", *(f"{name}={version}" for name, version in wanted.items())], cwd=debs)
    progress("Unpacking Asterisk into the cache")
    packages = []
    for deb in sorted(debs.glob("*.deb")):
        name, version = _run(["dpkg-deb", "--show", "--showformat=${Package}\n${Version}", str(deb)]).split()
        packages.append(Package(name, version, hashlib.sha256(deb.read_bytes()).hexdigest()))
        _run(["dpkg-deb", "--extract", str(deb), str(root)])
    _finish_root(root)
    manifest = {"version": _version_of(_loader_argv(root)), "packages": [asdict(p) for p in packages]}
    digest = hashlib.sha256("\n".join(f"{p.name}={p.version}" for p in packages).encode()).hexdigest()[:12]
    (root / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    final = cache / f"{prefix}-{digest}"
    root.rename(final)
    return final


def _finish_root(root: Path) -> None:
    """What the packages' own install scripts would have done, as far as it is needed."""
    sounds = root / "usr/share/asterisk/sounds"
    voice = sounds / "en_US_f_Allison"
    if voice.is_dir() and not (sounds / "en").exists():
        (sounds / "en").symlink_to(voice.name)
    root.chmod(0o755)


def _private_apt(root: Path, arch: str, source: AptSource, suite: str) -> list[str]:
    """Write a private apt tree for one source and suite, fetch its lists; returns the apt-get command to use."""
    for folder in ("etc/sources.list.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial"):
        (root / folder).mkdir(parents=True)
    (root / "status").touch()  # nothing is installed: the whole closure is resolved
    (root / "apt.conf").write_text(APT_CONF.format(root=root, arch=arch), "utf-8")
    (root / "etc/sources.list.d/debian.sources").write_text(source.stanza(suite), "utf-8")
    apt = ["apt-get", "-c", str(root / "apt.conf"), "-q"]
    _run([*apt, "update"])
    return apt


def _resolve(apt: list[str]) -> dict[str, str]:
    """Name and version of every package that apt would install for asterisk."""
    said = _run([*apt, "install", "--simulate", "--no-install-recommends", "asterisk"])
    return dict(re.findall(r"^Inst (\S+) \((\S+)", said, re.MULTILINE))


def _from_folder(root: Path) -> AsteriskBinary:
    manifest = json.loads((root / "manifest.json").read_text("utf-8"))
    packages = tuple(Package(**package) for package in manifest["packages"])
    modules = next(root.glob("usr/lib/*-linux-gnu/asterisk/modules"), root / "usr/lib/asterisk/modules")
    return AsteriskBinary(
        _loader_argv(root), manifest["version"], "unpacked", modules, root / "usr/share/asterisk", packages
    )


def _loader_argv(root: Path) -> tuple[str, ...]:
    loader = LOADERS[MACHINES[platform.machine()]]
    found = next((path for lib in ("usr/lib", "lib", "lib64") for path in sorted((root / lib).rglob(loader))), None)
    if found is None:
        raise _nowhere(f"the packages hold no {loader}")
    libraries = f"{found.resolve().parent}:{root / 'usr/lib'}"
    return (str(found), "--library-path", libraries, "--argv0", "asterisk", str(root / "usr/sbin/asterisk"))


def _version_of(argv_prefix: tuple[str, ...]) -> str:
    """`asterisk -V` says "Asterisk 22.10.1~dfsg+..."; this is the part that is a number."""
    said = _run([*argv_prefix, "-V"])
    found = re.search(r"Asterisk (?:certified[/-])?(\d+\.\d+(?:\.\d+)?)", said)
    if found is None:
        raise _nowhere(f"asterisk -V said {said.strip()[:100]!r}")
    return found[1]


def _first_existing(paths: list[Path]) -> Path | None:
    return next((path for path in paths if path.is_dir()), None)


def _run(argv: list[str], cwd: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands, package names come from apt
            argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=APT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _nowhere(f"{argv[0]}: {type(error).__name__}") from error
    if done.returncode:
        tail = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise _nowhere(re.sub(r"//[^/@\s]+@", "//", tail) or f"{argv[0]} ended with {done.returncode}")
    return done.stdout


def _nowhere(came_back: str) -> PbxUnreachable:
    return PbxUnreachable(
        "find an Asterisk (on PATH, in the cache, or from Debian's archive)",
        came_back,
        "install one: `apt-get install asterisk` (Ubuntu, Debian 11 or 14), or put another Asterisk >= 16 on PATH",
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One unpacking at a time: the second run waits and then finds the first one's result."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
