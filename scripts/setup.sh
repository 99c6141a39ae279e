#!/bin/sh
# Makes a fresh checkout ready: checks Node, installs the packages, and sees to a Redis server.
# Safe to repeat; says nothing when there is nothing to do. Postgres needs nothing: PGlite is among
# the packages.
set -eu
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 3; }
have() { command -v "$1" >/dev/null 2>&1; }

check_node() {
  have node || fail "Node.js is missing; install version 20.19 or newer (https://nodejs.org)"
  node -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1);
  ' || fail "Node.js 20.19 or newer is needed, this is $(node --version); see https://nodejs.org"
}

# A copy of the lock file tells what is installed; a checkout gives files the time it is made, so
# times alone say little. They decide only where somebody has installed without this script.
packages_ready() {
  copy=node_modules/.gavotte-lock
  [ -f node_modules/.package-lock.json ] || return 1
  if [ -f "$copy" ]; then
    cmp -s package-lock.json "$copy"
  else
    [ -n "$(find node_modules/.package-lock.json -newer package-lock.json)" ] &&
      cp package-lock.json "$copy"
  fi
}

install_packages() {
  packages_ready && return
  say "installing packages"
  npm ci --no-audit --no-fund --loglevel=error >&2 ||
    fail "npm ci failed; the lines above say why (the network, or a proxy, is the usual reason)"
  cp package-lock.json node_modules/.gavotte-lock
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_be_root() {
  [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }
}

# Debian starts a service as soon as it is installed. Here only the program is wanted, so starting
# is refused while it installs (policy-rc.d, where there is none) and RUNLEVEL tells older scripts.
apt_install() {
  policy=/usr/sbin/policy-rc.d
  if ! [ -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  install_quietly "$1" || { as_root apt-get -qq update >&2 && install_quietly "$1"; }
}

install_quietly() {
  as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y --no-install-recommends install "$1" >/dev/null 2>&1
}

install_redis() {
  if have apt-get && can_be_root; then
    apt_install redis-server || apt_install valkey-server || apt_install valkey
  elif have brew; then
    brew install --quiet redis >/dev/null
  elif have apk && can_be_root; then
    as_root apk add --quiet redis || as_root apk add --quiet valkey
  elif have dnf && can_be_root; then
    as_root dnf -q -y install redis || as_root dnf -q -y install valkey
  else
    return 1
  fi
}

redis_found() { have redis-server || have valkey-server; }

find_redis() {
  redis_found && return
  [ -n "${GAVOTTE_REDIS_URL:-}" ] && return
  say "no redis-server or valkey-server; installing one"
  if install_redis && redis_found; then return; fi
  if have docker && docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
    say "none could be installed; Redis will run in Docker"
    return
  fi
  fail "a Redis server is needed and could not be installed. Do one of these:
  - install redis-server or valkey-server with your system's package manager
  - start Docker
  - set GAVOTTE_REDIS_URL to a server you run"
}

check_node
install_packages
find_redis
