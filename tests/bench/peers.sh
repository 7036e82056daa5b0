#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# peers.sh -- build one chroot tree per peer MTA (their Debian packages conflict).
#
#   peers.sh all                 build every tree
#   peers.sh postfix|opensmtpd|exim|haraka|zonemta|sendmail
#   peers.sh clean               remove all trees (refuses while something is mounted/running inside)
#
# Trees live in $PEERS (default /tmp/mta-peers/NAME).  Needs root, debootstrap, and a reachable
# Debian mirror / npm registry through the ordinary clients.
set -eu
PEERS=${PEERS:-/tmp/mta-peers}
SUITE=${SUITE:-bookworm}
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)}
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
mkdir -p "$PEERS"

base() {                                   # a minimal bookworm tree, made once and copied
    [ -e "$PEERS/base/.done" ] && return
    command -v debootstrap >/dev/null || apt-get install -y -q debootstrap
    rm -rf "$PEERS/base"
    debootstrap --variant=minbase --include=ca-certificates,strace,procps "$SUITE" "$PEERS/base" "$MIRROR"
    printf 'deb %s %s main\n' "$MIRROR" "$SUITE" >"$PEERS/base/etc/apt/sources.list"
    printf '#!/bin/sh\nexit 101\n' >"$PEERS/base/usr/sbin/policy-rc.d"   # packages start no daemon
    chmod 755 "$PEERS/base/usr/sbin/policy-rc.d"
    cp -f /etc/apt/apt.conf.d/*prox* "$PEERS/base/etc/apt/apt.conf.d/" 2>/dev/null || :
    cp -f /etc/resolv.conf /etc/hosts "$PEERS/base/etc/"
    echo bench.test >"$PEERS/base/etc/mailname"
    touch "$PEERS/base/.done"
}
tree() {                                   # tree NAME pkg...
    local name=$1; shift
    [ -e "$PEERS/$name/.done" ] && return
    base
    rm -rf "$PEERS/$name"; cp -a "$PEERS/base" "$PEERS/$name"; rm "$PEERS/$name/.done"
    [ -e "$PEERS/$name/dev/urandom" ] || mknod -m 666 "$PEERS/$name/dev/urandom" c 1 9
    [ -e "$PEERS/$name/dev/null" ] || mknod -m 666 "$PEERS/$name/dev/null" c 1 3
    mkdir -p "$PEERS/$name/proc"; mount -t proc proc "$PEERS/$name/proc"
    chroot "$PEERS/$name" sh -c "apt-get update -q && apt-get install -y -q --no-install-recommends $*"
    umount "$PEERS/$name/proc"
    touch "$PEERS/$name/.done"
}
npmtree() {                                # npmtree NAME 'npm package@version ...'; runs on the host's node
    local name=$1; shift
    [ -e "$PEERS/$name/.done" ] && return
    mkdir -p "$PEERS/$name"; (cd "$PEERS/$name" && npm init -y >/dev/null && npm install --no-audit --no-fund "$@")
    touch "$PEERS/$name/.done"
}
peer() {
    case $1 in
    postfix)   tree postfix postfix openssl ;;
    opensmtpd) tree opensmtpd opensmtpd openssl ;;
    exim)      tree exim exim4-daemon-heavy openssl ;;
    sendmail)  tree sendmail sendmail-bin sendmail ;;
    haraka)    npmtree haraka Haraka ;;
    zonemta)   npmtree zonemta zone-mta ;;
    *) echo "unknown peer $1" >&2; exit 2 ;;
    esac
}
case ${1:-} in
all)   for p in postfix opensmtpd exim haraka zonemta; do peer $p; done ;;
clean) if grep -q " $PEERS/" /proc/mounts; then echo "still mounted under $PEERS" >&2; exit 1; fi; rm -rf "$PEERS" ;;
'')    sed -n '2,10p' "$0" ;;
*)     for p in "$@"; do peer "$p"; done ;;
esac
