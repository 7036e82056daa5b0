#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""trace.py PEER[:PROFILE] [messages] -- system calls per message by daemon, and kernel/user hot spots.

Warms the peer up (so that its processes exist), attaches one `strace -c -f` per program name, sends
messages one session with one connection each, then prints calls per message.  Then perf record."""
import os, re, signal, subprocess, sys, time
import mtabench as B, peerdefs as P
name, _, prof = sys.argv[1].partition(":")
N = int(sys.argv[2]) if len(sys.argv) > 2 else 300
args = "-s 4 -l 2048"
sink = B.Sink()
with P.ALL[name](prof or "default") as p:
    B.load(p, sink, args, 100, patience=15)
    by = {}
    for pid in p.pids():
        try: comm = open(f"/proc/{pid}/comm").read().strip()
        except OSError: continue
        if name == "opensmtpd":
            comm = open(f"/proc/{pid}/cmdline").read().replace("\0", " ").strip()
        by.setdefault(comm, []).append(pid)
    tr = []
    for comm, pids in by.items():
        f = f"/tmp/strace.{name}.{len(tr)}"
        cmd = ["strace", "-f", "-c", "-S", "calls", "-o", f] + [x for q in pids for x in ("-p", str(q))]
        tr.append((comm, f, subprocess.Popen(cmd, stderr=subprocess.DEVNULL)))
    time.sleep(2)
    r = B.load(p, sink, args, N, patience=15)
    for _, _, t in tr: t.send_signal(signal.SIGINT)
    for _, _, t in tr: t.wait()
    total, all_ = 0, {}
    for comm, f, _ in tr:
        rows = []
        for l in open(f):
            w = l.split()
            if len(w) >= 5 and re.match(r"^[\d.]+$", w[0]) and w[-1] != "total":
                n = int(w[3]); rows.append((w[-1], n))
        s = sum(n for _, n in rows); total += s
        for c, n in rows: all_[c] = all_.get(c, 0) + n
        print(f"{comm[:30]:30} {s / N:7.1f} calls/msg: " + " ".join(f"{c}={n / N:.1f}" for c, n in rows if n / N >= 0.15))
        os.unlink(f)
    print(f"TOTAL {total / N:.1f} calls/msg over {N} messages: " + " ".join(f"{c}={n / N:.1f}" for c, n in sorted(all_.items(), key=lambda x: -x[1]) if n / N >= 0.3))
    # where CPU goes
    pf = subprocess.Popen(["perf", "record", "-q", "-o", "/tmp/perf.data", "-F", "1999", "-g", "-a", "--", "sleep", "4"], stderr=subprocess.DEVNULL)
    B.load(p, sink, "-s 10 -l 2048", 3500 if name != "exim" else 500, patience=15)
    pf.wait()
    for title, opt in (("by program", ["--sort", "comm"]), ("by symbol", ["--sort", "comm,symbol"])):
        o = B.sh(["perf", "report", "-i", "/tmp/perf.data", "--no-children", "-g", "none", *opt]).stdout
        print("--", title); print("\n".join([l for l in o.splitlines() if l and not l.startswith("#")][:28]))
    o = B.sh(["perf", "report", "-i", "/tmp/perf.data", "--children", "-g", "none", "--sort", "symbol"]).stdout
    print("-- inclusive"); print("\n".join([l for l in o.splitlines() if re.search(r"__x64_sys|do_exit|exc_page|softirq|execve|do_sys_open|vfs_fsync|ext4_sync|jbd2|tcp_v4_rcv|clone", l)][:40]))
    os.unlink("/tmp/perf.data")
sink.stop()
