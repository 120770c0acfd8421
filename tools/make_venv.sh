#!/bin/sh
# Creates or refreshes .venv from a lock file: sh tools/make_venv.sh requirements.lock|requirements-dev.lock
#
# uv when it is there, else venv + pip. Every package comes as a wheel whose hash is in the lock; the project itself
# is installed last, editable, without dependencies and without build isolation (its build backend is in the lock
# too), so nothing is ever fetched unhashed. A stamp with the digests makes the second run free.
# All talk goes to stderr; stdout stays with the program that make starts afterwards.
set -eu
exec >&2

lock=${1:?usage: make_venv.sh requirements.lock|requirements-dev.lock}
cd -- "$(dirname -- "$0")/.."
stamp=.venv/.bw-runbook-stamp

say() { printf '%s\n' "bw-runbook: $*"; }
stop() { printf '%s\n' "$@"; exit 1; }

# uv and pip look for hints in the environment; another project's must not steer this one.
unset VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH PIP_REQUIRE_VIRTUALENV PIP_USER PIP_TARGET PIP_PREFIX
export UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1

# Two makes at once wait for each other, where the system has flock (Linux).
if command -v flock >/dev/null 2>&1; then
  exec 9<requirements.lock
  flock -n 9 || { say "another make is setting up .venv; waiting for it"; flock 9; }
fi

digest() { cksum "$1" | cut -d ' ' -f 1,2; }
suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; }

# What .venv was made of, one line each. The folder counts: the scripts inside .venv hold its path.
packages_of() { printf 'packages %s %s\n' "$1" "$(digest "$1")"; }
project="project $(digest pyproject.toml)"
folder="folder $(pwd -P)"

stamped() { grep -qxF -- "$1" "$stamp" 2>/dev/null; }
# The dev lock holds everything of the small one.
fresh_packages() { stamped "$(packages_of "$lock")" || stamped "$(packages_of requirements-dev.lock)"; }

if suits .venv/bin/python && stamped "$folder" && stamped "$project" && fresh_packages; then
  exit 0
fi

find_python() {
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 /usr/bin/python3 python; do
    if suits "$candidate"; then command -v "$candidate"; return 0; fi
  done
  if [ "$uv" = yes ]; then uv python find '>=3.11,<3.14' 2>/dev/null; fi
}

uv=no
if uv --version >/dev/null 2>&1; then uv=yes; fi

create_venv() {
  python=$(find_python) || python=
  [ -n "$python" ] || stop \
    "Attempted: to find a Python for .venv." \
    "Came back: no Python 3.11, 3.12 or 3.13 on PATH." \
    "Do next:   sudo apt-get install python3 python3-venv (Debian 12, Ubuntu 24.04), or: uv python install 3.12," \
    "           or: make PYTHON=/path/to/python3.12 ..."
  say "creating .venv with $python"
  rm -rf .venv
  if [ "$uv" = yes ]; then
    uv venv --quiet --python "$python" .venv
  else
    "$python" -m venv .venv || stop \
      "Attempted: $python -m venv .venv" \
      "Came back: the lines above; on Debian and Ubuntu the module is a package of its own." \
      "Do next:   sudo apt-get install python3-venv   (then the same make again)"
  fi
}

if [ -e "$stamp" ] && ! stamped "$folder"; then
  create_venv   # made in another folder: its scripts point there
elif ! suits .venv/bin/python; then
  create_venv
elif [ "$uv" = no ] && ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  create_venv   # made by uv, which is gone: there is no pip inside
fi

install() {
  if [ "$uv" = yes ]; then
    uv pip install --quiet --python .venv/bin/python "$@"
  else
    .venv/bin/python -m pip install --quiet "$@"
  fi
}

if ! fresh_packages; then
  rm -f "$stamp"
  say "installing the packages of $lock (about 150 MB the first time)"
  # Wheels only: building from source would fetch build tools that no hash covers.
  if [ "$uv" = yes ]; then
    install --require-hashes --no-build -r "$lock"
  else
    install --require-hashes --only-binary :all: -r "$lock"
  fi
  packages_of "$lock" >"$stamp.new"
else
  grep '^packages ' "$stamp" >"$stamp.new"
fi

install --no-deps --no-build-isolation --editable .
printf '%s\n' "$project" "$folder" >>"$stamp.new"
mv "$stamp.new" "$stamp"
say ".venv is ready"
