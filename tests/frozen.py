#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""frozen.py COMMAND...   -- run it, as root, in a control group that is frozen at random, so that all of it stops but the clock

What a slow or crowded machine does to tests: one that fails here depends on a quick machine, or has found a race."""
import os, random, subprocess, sys, time

V1, V2 = "/sys/fs/cgroup/freezer", "/sys/fs/cgroup"


def freezer():
    """The file that freezes, what to write into it to freeze and to thaw, and the group's directory."""
    if os.path.isdir(V1):
        group = f"{V1}/frozen.{os.getpid()}"
        return f"{group}/freezer.state", "FROZEN", "THAWED", group
    group = f"{V2}/frozen.{os.getpid()}"
    return f"{group}/cgroup.freeze", "1", "0", group


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def remove(group):
    """What the command left running ends first."""
    for _ in range(100):
        with open(f"{group}/cgroup.procs") as f:
            left = f.read().split()
        if not left:
            break
        for pid in left:
            try:
                os.kill(int(pid), 9)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    os.rmdir(group)


def main():
    state, frozen, thawed, group = freezer()
    os.mkdir(group)
    try:
        p = subprocess.Popen(sys.argv[1:], preexec_fn=lambda: write(f"{group}/cgroup.procs", "0"))
        while p.poll() is None:
            time.sleep(random.choice((0.005, 0.02, 0.1, 0.5)))
            write(state, frozen)
            time.sleep(random.choice((0.02, 0.1, 0.3, 0.6)))
            write(state, thawed)
    finally:
        write(state, thawed)
        remove(group)
    return p.returncode


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) > 1 else __doc__)
