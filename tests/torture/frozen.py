#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""frozen.py COMMAND...   -- run it, as root, in a control group that is frozen at random, so that all of it stops but the clock

What a slow or crowded machine does to tests: one that fails here depends on a quick machine, or has found a race."""
import os, random, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from exhaust_states import Group


def main():
    group = Group("freezer")
    state, frozen, thawed = ("freezer.state", "FROZEN", "THAWED") if group.old else ("cgroup.freeze", 1, 0)
    try:
        p = subprocess.Popen(sys.argv[1:], preexec_fn=lambda: group.write("cgroup.procs", 0))
        while p.poll() is None:
            time.sleep(random.choice((0.005, 0.02, 0.1, 0.5)))
            group.write(state, frozen)
            time.sleep(random.choice((0.02, 0.1, 0.3, 0.6)))
            group.write(state, thawed)
    finally:
        group.write(state, thawed)
        group.close()
    return p.returncode


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) > 1 else __doc__)
