#!/bin/sh
# Installs the system packages that `make demo` or `make test` would like: sh tools/system_packages.sh demo|test
#
# Only where it may: Debian or Ubuntu, as root or with a sudo that asks nothing. Anywhere else it prints the exact
# line to type and goes on: the program says itself what it does without. Nothing missing = no apt call at all.
# BW_NO_SYSTEM_PACKAGES=1 only ever prints the line.
set -eu
exec >&2

purpose=${1:?usage: system_packages.sh demo|test}
# Other people's programs live in sbin as well (sshd), where a plain user's PATH does not look.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "bw-runbook: $*"; }
have() { command -v "$1" >/dev/null 2>&1; }

have_browser() {
  if [ -n "${BW_BROWSER:-}" ] && have "$BW_BROWSER"; then return 0; fi
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if have "$name"; then return 0; fi
  done
  for folder in "${PLAYWRIGHT_BROWSERS_PATH:-${HOME:-}/.cache/ms-playwright}"/chromium-*; do
    if [ -d "$folder" ]; then return 0; fi
  done
  return 1
}

system=$(ID=; ID_LIKE=; . /etc/os-release 2>/dev/null && printf '%s' "$ID $ID_LIKE") || system=
packages=
if ! have_browser; then
  case " $system " in
    *" ubuntu "*)
      # Ubuntu's chromium package is a snap that a browser driver cannot start.
      say "no browser found (pictures and PDF are left out). To get one: .venv/bin/python -m playwright install chromium" ;;
    *) packages="chromium" ;;
  esac
fi
if [ "$purpose" = test ]; then
  have sipp || packages="$packages sip-tester"
  have baresip || packages="$packages baresip-core"
  have sshd || packages="$packages openssh-server"
  have kamailio || packages="$packages kamailio"
  have php || packages="$packages php-cli"
fi
packages=${packages# }
[ -n "$packages" ] || exit 0

case " $system " in
  *" debian "*|*" ubuntu "*) ;;
  *)
    say "not found: $packages (names of the Debian packages). Install what your system calls them; without them"
    say "the demo leaves pictures out, and the tests with those programs are skipped."
    exit 0 ;;
esac
have apt-get || { say "not found: $packages, and no apt-get to install them with"; exit 0; }

by_hand="apt-get install -y --no-install-recommends $packages"
root=
if [ "$(id -u)" -ne 0 ]; then
  by_hand="sudo $by_hand"
  root="sudo -n"
fi
if [ -n "${BW_NO_SYSTEM_PACKAGES:-}" ] || { [ -n "$root" ] && ! sudo -n true >/dev/null 2>&1; }; then
  say "not found: $packages. To install them:"
  say "  $by_hand"
  say "Going on without."
  exit 0
fi

# These are wanted as programs, not as open doors: on a machine run by systemd their services stay masked.
mask() { # PACKAGE UNIT...
  package=$1; shift
  case " $packages " in *" $package "*) ;; *) return 0 ;; esac
  [ -d /run/systemd/system ] || return 0
  say "masking $* so that nothing listens (undo: sudo systemctl unmask $*)"
  $root systemctl mask --quiet "$@" || packages=$(printf '%s' "$packages" | sed "s/ *$package//")
}
mask openssh-server ssh.service ssh.socket
mask kamailio kamailio.service
packages=${packages# }
[ -n "$packages" ] || exit 0

say "installing $packages"
apt="$root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120"
# shellcheck disable=SC2086  # words on purpose: package names and options hold no spaces
if ! { $apt update && $apt install -y --no-install-recommends $packages; }; then
  say "apt could not install $packages. To see why:"
  say "  $by_hand"
  say "Going on without."
fi
