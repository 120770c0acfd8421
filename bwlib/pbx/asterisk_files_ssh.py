"""Asterisk's configuration directory on another machine: a small shell script there, spoken to by its stdin.

It needs a POSIX shell and base64, chown, flock, ln, mv, readlink, stat, tail (coreutils and util-linux, or BusyBox).
Contents go by stdin and stdout only, so they are on no command line, and in base64, so that any byte passes. A request
that does not arrive whole changes nothing.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from bwlib.errors import PbxRefused, PbxUnreachable
from bwlib.models import SshLogin
from bwlib.pbx.asterisk_files import Change
from bwlib.pbx.asterisk_ssh import CONNECT_TIMEOUT_S, Refusal, Session, SshConnection, ssh_argv, what_to_do

ANSWER_LIMIT_S = 30.0
LOCK_TRIES = 30  # one a second

# One request is a verb and its arguments, a line each; an answer ends with "ok", or with "no" and the reason.
# read PATTERN... "" | tail SIZE PATH | stage PATH LIKE MODE CONTENT | settle | remove PATH | lock TRIES | unlock
SCRIPT = r"""
umask 077; LC_ALL=C; export LC_ALL; IFS=
dir=$1; set --; why=; made=; parts=
nl='
'
trap tidy EXIT
trap 'exit 1' HUP INT TERM
tidy() { set -f; IFS=$nl; rm -f -- $parts; set +f; IFS=; parts=; }
end() { if [ -z "$why" ]; then echo ok; else printf 'no %s' "$why" | tr '\n' ' '; echo; fi; why=; }
tell() { said=$("$@" 2>&1) || { why=${said:-$1 failed}; return 1; }; }
line() { IFS= read -r "$1" || exit 1; }
own() {
  model=$2; [ -e "$model" ] || model=$dir
  tell stat -L -c %u:%g -- "$model" && owner=$said && tell stat -L -c %u:%g -- "$1" || return 1
  [ "$said" = "$owner" ] || tell chown -- "$owner" "$1"
}
save() {
  [ "$(command -v printf)" = printf ] || { echo "printf is not found in the shell itself"; return 1; }
  printf %s "$1" | base64 -d >"$2"
}
names() { base=${1##*/.}; folder=${1%/*}; target=$folder/${base%.bw-new}; old=$folder/.${base%.bw-new}.bw-old; }
stage() {
  folder=${path%/*}
  if [ ! -d "$folder" ]; then tell mkdir -m 700 -- "$folder" && made=$folder && own "$folder" "$dir" || return 1; fi
  tell readlink -f -- "$path" || return 1
  part=${said%/*}/.${said##*/}.bw-new
  rm -f -- "$part"; parts=$parts$part$nl
  tell save "$content" "$part" || return 1
  if [ -z "$mode" ]; then mode=600; [ ! -e "$like" ] || { tell stat -L -c %a -- "$like" && mode=$said; }; fi
  tell chmod -- "$mode" "$part" && own "$part" "$like" || return 1
  sync -- "$part" 2>/dev/null || :
}
settle() {
  [ -n "$why" ] || for part do
    names "$part"; rm -f -- "$old"
    [ ! -e "$target" ] || tell ln -- "$target" "$old" || break
    tell mv -f -- "$part" "$target" || break
  done
  [ -z "$why" ] || for part do
    names "$part"
    if [ -e "$part" ]; then rm -f -- "$part"
    elif [ -e "$old" ]; then mv -f -- "$old" "$target"
    else rm -f -- "$target"; fi
  done
  for part do names "$part"; rm -f -- "$old"; done
  [ -z "$why" ] || [ -z "$made" ] || rmdir -- "$made"
  made=
}
real=$(cd -- "$dir" 2>/dev/null && pwd -P) || real=$dir
printf '\nbw-runbook-files %s\n' "$real"
while IFS= read -r verb; do
  case $verb in
  read)
    while line pattern && [ -n "$pattern" ]; do
      for path in $pattern; do
        [ ! -d "$path" ] || continue
        if said=$(base64 -- "$path" 2>&1); then printf 'file %s\n%s\n' "$path" "$said"
        else case $said in *'No such file or directory'|*'Not a directory') ;; *) why=$said ;; esac; fi
      done
    done; end ;;
  tail)
    line size; line path
    if [ -f "$path" ] && [ -r "$path" ]; then tail -c "$size" -- "$path" | base64
    else why="$path: there is no such file, or it cannot be read"; fi; end ;;
  stage)
    line path; line like; line mode; line content
    if [ -z "$why" ] && stage; then set -- "$@" "$part"; fi ;;
  settle) settle "$@"; set --; tidy; end ;;
  remove) line path; tell rm -f -- "$path"; [ "${path%/*}" = "$dir" ] || rmdir -- "${path%/*}" 2>/dev/null; end ;;
  lock)
    line tries
    if ! [ -r "$dir/." ]; then why="$dir: there is no such directory, or it cannot be read"
    elif tell command -v flock; then
      exec 9<"$dir"
      until flock -n 9; do
        [ "$((tries -= 1))" -gt 0 ] || { why="another program has it locked"; exec 9<&-; break; }
        sleep 1
      done
    else why="flock: not found"; fi; end ;;
  unlock) exec 9<&-; end ;;
  *) why="unknown request"; end ;;
  esac
done
"""


def connect(
    login: SshLogin,
    directory: str,
    *,
    key: Path | None = None,
    known_hosts: Path | None = None,
    forward: tuple[str, int] | None = None,
    connect_timeout_s: int = CONNECT_TIMEOUT_S,
) -> SshConnection:
    """What `SshFiles` needs: the script on that machine, told its directory. Nothing is sent before it is used.

    key, known_hosts: None for what ssh itself would use. forward: (host, port) of the AMI, seen from there.
    """
    command = f"exec /bin/sh -c {shlex.quote(SCRIPT)} bw-runbook-files {shlex.quote(directory)}"
    argv = ssh_argv(login, command, key=key, known_hosts=known_hosts, connect_timeout_s=connect_timeout_s)
    where = f"{login.user}@{login.place}"
    return SshConnection(argv, where, lambda said: what_to_do(login, known_hosts, said), forward)


class SshFiles:
    """A directory of another machine. See `bwlib.pbx.asterisk_files.Files`.

    connection: its sessions run SCRIPT with `directory` as its argument. host: for the record, "pbx.example.com:22".
    """

    def __init__(self, connection: SshConnection, directory: str, host: str) -> None:
        self._connection = connection
        self._dir = directory.rstrip("/")
        self._host = host
        self._locked: Session | None = None

    @property
    def directory(self) -> str:
        return self._dir

    def identity(self) -> Mapping[str, str]:
        """The directory, links resolved, and the machine."""
        return {"config_dir": self._connection.session().greeting, "host": self._host}

    def read(self, *patterns: str) -> dict[str, bytes]:
        request = "\n".join(["read", *(self._path(pattern) for pattern in patterns), "", ""])
        found: dict[str, list[str]] = {}
        name = ""
        for line in self._ask("read", request):
            if line.startswith("file "):
                name = line.removeprefix("file ").removeprefix(f"{self._dir}/")
                found[name] = []
            else:
                found[name].append(line)
        return {name: base64.b64decode("".join(lines)) for name, lines in found.items()}

    def tail(self, name: str, size: int) -> bytes:
        return base64.b64decode("".join(self._ask("read", f"tail\n{size}\n{self._path(name)}\n")))

    def change(self, *changes: Change) -> None:
        """Staged and put in place by one request, so that a connection that breaks leaves all or nothing."""
        written = [change for change in changes if change.content is not None]
        request = "".join(map(self._staging, written)) + "settle\n"
        self._ask("write", request)
        for change in changes:
            if change.content is None:
                self._ask("write", f"remove\n{self._path(change.name)}\n")

    def _staging(self, change: Change) -> str:
        content = base64.b64encode(change.content or b"").decode()
        mode = "" if change.mode is None else f"{change.mode:o}"
        return f"stage\n{self._path(change.name)}\n{self._path(change.like or change.name)}\n{mode}\n{content}\n"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Held by the session: when that is cut off, the lock is free, and nothing more is written under it."""
        self._locked = self._connection.session()
        try:
            self._ask("lock", f"lock\n{LOCK_TRIES}\n", LOCK_TRIES + ANSWER_LIMIT_S)
            yield
        finally:
            with suppress(PbxUnreachable):  # then it is free as well
                self._ask("unlock", "unlock\n")
            self._locked = None

    def _path(self, name: str) -> str:
        if any(ord(character) < 32 for character in name):
            raise PbxRefused(f"use the file {name!r}", "its name holds a control character", "give it another name")
        return name if name.startswith("/") else f"{self._dir}/{name}"

    def _ask(self, verb: str, request: str, limit_s: float = ANSWER_LIMIT_S) -> list[str]:
        session = self._locked or self._connection.session()
        try:
            return session.ask(request, limit_s)
        except Refusal as refusal:
            raise PbxRefused(
                f"{verb} Asterisk's configuration in {self._dir} on {self._connection.where}",
                str(refusal).strip(),
                _fix(str(refusal)),
            ) from None


def _fix(said: str) -> str:
    if "not found" in said:
        return "install what is not found there: coreutils and util-linux"
    if "has it locked" in said:
        return "wait until the other one has finished, then run again"
    return (
        "log in as a user who may write there and owns Asterisk's files, or as root (pbx.ssh), "
        "or give the right directory (pbx.config_dir)"
    )
