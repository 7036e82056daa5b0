#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# spoolfs.sh up ext4|xfs  [MIB]   make and mount a journaled file system on a loop file (at $MNT)
# spoolfs.sh down                 unmount and detach
#
# Why: this machine's root is ext4 *without a journal*.  There ext4 refuses to reuse recently deleted
# inodes (recently_deleted() in fs/ext4/ialloc.c) and scans them one by one, so creating a file costs
# up to 1 ms CPU after many deletes and every spool benchmark depends on what was deleted in the last
# minutes.  A journaled file system (what production hosts run) has none of that.
set -eu
IMG=${IMG:-/tmp/mta-peers/img/spool.img}; MNT=${MNT:-/tmp/mta-peers/spool}
case ${1:-} in
up) mib=${3:-12288}; mkdir -p "$(dirname "$IMG")" "$MNT"
    # fully written, not sparse: so that a flush of the loop device never allocates below
    [ -s "$IMG" ] || dd if=/dev/zero of="$IMG" bs=1M count="$mib" conv=fsync status=none
    dev=$(losetup --direct-io=on --show -f "$IMG")
    case $2 in
    ext4) mkfs.ext4 -q -F -N 2000000 "$dev" ;;
    xfs)  mkfs.xfs -q -f "$dev" ;;
    esac
    mount -o nodiscard,noatime "$dev" "$MNT"; echo "$dev on $MNT ($2)" ;;
down) dev=$(findmnt -no SOURCE "$MNT" || :); umount "$MNT" || :; [ -n "$dev" ] && losetup -d "$dev" ;;
*) sed -n '2,10p' "$0" ;;
esac
