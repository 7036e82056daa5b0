#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ab.py BIN_A BIN_B [CELL]...   -- two builds of Postroad against each other, in turns, for machines that others use too.

A CELL is what smtpsrc is given ("-s 50 -l 2048", the default).  Each round runs every cell with A, then with B; medians are printed: messages/s,
CPU, context switches and system calls per message.  CPU is the control group's; the system calls are counted by perf's tracepoints in
a round of their own, as counting costs something (far less than strace, which slows down the processes so much that it counts
what they do while they wait).  The same build twice shows the noise.
Environment: ROUNDS (default 5), MESSAGES (default 3000)
"""
import os, re, statistics, subprocess, sys, time
import mtabench as B, peerdefs as P

ROUNDS = int(os.environ.get("ROUNDS", "5"))
MESSAGES = int(os.environ.get("MESSAGES", "3000"))
CALLS = ("futex epoll_wait epoll_ctl sendto recvfrom sendmsg read write writev pread64 preadv2 openat close accept4 connect socket setsockopt "
         "getsockopt shutdown ioctl fcntl flock fsync fdatasync syncfs unlinkat renameat2 poll sendfile64 mmap munmap madvise getpid").split()


def threads(peer):
    return [f"/proc/{p}/task/{t}" for p in peer.pids() for t in os.listdir(f"/proc/{p}/task")]


def switches(peer):
    return sum(int(n) for t in threads(peer) for n in re.findall(r"ctxt_switches:\s+(\d+)", open(t + "/status").read()))


def count_calls(peer, sink, cell, n):
    events = [x for c in ["raw_syscalls:sys_enter"] + ["syscalls:sys_enter_" + c for c in CALLS] for x in ("-e", c)]
    perf = subprocess.Popen(["perf", "stat", "-x", ",", *events, "-p", ",".join(map(str, peer.pids()))], stderr=subprocess.PIPE, text=True)
    B.CHILDREN.append(perf)
    time.sleep(1)
    r = B.load(peer, sink, cell, n, patience=20)
    perf.send_signal(2)
    found = re.findall(r"^(\d+),,(?:raw_)?syscalls:sys_enter_?(\w*),", perf.communicate()[1], re.M)
    return {name or "total": int(v) / max(r["got"], 1) for v, name in found}


def measure(binaries, sink, cell, n):
    P.MTA = binaries
    with P.ALL["postroad"]("default") as p:
        B.load(p, sink, cell, 200, patience=20)                        # warm up
        s = switches(p)
        r = B.load(p, sink, cell, n, patience=20)
        r["switches"] = (switches(p) - s) / max(r["got"], 1)
        r["calls"] = count_calls(p, sink, cell, n) if measure.count else None
        return r


if __name__ == "__main__":
    builds = dict(A=os.path.abspath(sys.argv[1]), B=os.path.abspath(sys.argv[2]))
    cells = sys.argv[3:] or ["-s 50 -l 2048"]
    rows, sink = {}, B.Sink()
    try:
        for i in range(ROUNDS):
            measure.count = i == ROUNDS - 1
            for cell in cells:
                for name in builds if i % 2 == 0 else reversed(builds):
                    size = int(re.search(r"-l (\d+)", cell + " -l 2048").group(1))
                    rows.setdefault((cell, name), []).append(measure(builds[name], sink, cell, max(100, min(MESSAGES, MESSAGES * 40960 // size))))
    finally:
        B.kill_children()
    for (cell, name), r in sorted(rows.items()):
        m = lambda k: statistics.median(x[k] for x in r)
        print(f"{cell:20} {name}: {m('rate'):7.0f}/s [{min(x['rate'] for x in r):.0f}-{max(x['rate'] for x in r):.0f}]  cpu {m('cpu_ms'):.3f} ms "
              f"[{min(x['cpu_ms'] for x in r):.3f}-{max(x['cpu_ms'] for x in r):.3f}] (user {m('user_ms'):.3f} sys {m('sys_ms'):.3f})  switches {m('switches'):.1f}")
        c = r[-1]["calls"] or {}
        print(f"{'':23} {c.pop('total', 0):.1f} system calls: " + " ".join(f"{k}={v:.2f}" for k, v in sorted(c.items(), key=lambda x: -x[1]) if v >= 0.02))
