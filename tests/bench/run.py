#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py GROUP PEER[:PROFILE]...   -- measure; rows are appended to results.jsonl, a line is printed each.
run.py                           -- all groups, with all peers whose trees are there (peers.sh): hours

GROUPS: relay (sizes x sessions x kept connections), rcpt (50 recipients), ingress, cost (system calls, bytes), idle, tls, queue, dead
Environment: RUNS (default 3), SCALE (of the numbers of messages, default 1), CELLS (short: seven cells of relay), QUEUE (lengths for the
queue group, default 1000,10000,100000), IDLE (numbers of sessions)
"""
import contextlib, functools, itertools, os, re, signal, subprocess, sys, time
import mtabench as B, peerdefs as P, queues

RUNS = int(os.environ.get("RUNS", "3"))
SCALE = float(os.environ.get("SCALE", "1"))
OUT = os.environ.get("OUT", B.TOOLS + "/results.jsonl")

# What `run.py` alone does.
ALL_PEERS = "postroad postfix:tuned postfix opensmtpd:tuned opensmtpd exim:tuned exim haraka:tuned haraka"
PLAN = [("relay", "postroad postfix:tuned postroad:nosync", {}), ("relay", ALL_PEERS, dict(CELLS="short", SCALE="0.25")),
        ("cost", ALL_PEERS, {}), ("rcpt", "postroad postfix:tuned exim:tuned haraka:tuned", {}), ("ingress", "postroad postfix:tuned", {}),
        ("idle", "postroad postfix:tuned", {}), ("dead", "postroad postfix:tuned", {}),
        ("queue", "postroad", dict(QUEUE="1000,10000,100000,1000000")), ("queue", "postfix:tuned", dict(QUEUE="1000,10000,100000"))]


def emit(group, peer, label, rows):
    r = B.median(rows)
    r["args"] = label
    r.update(group=group, peer=peer.name, profile=peer.profile, runs=len(rows))
    B.note(OUT, **r)
    print(f"{group:8} {peer.name}:{peer.profile:8} {label:34} rate={r['rate']:8.1f} [{r['rate_min']:.0f}-{r['rate_max']:.0f}] "
          f"accept={r['accept_rate']:8.1f} cpu={r['cpu_ms']:.3f}ms (u {r['user_ms']:.2f} s {r['sys_ms']:.2f}) sysbusy={r['busy_ms']:.2f} "
          f"p50={r['p50'] or 0:.1f} p99={r['p99'] or 0:.1f} pss={r['pss']:.0f} rss={r['rss']:.0f} n={r['procs']:.0f} "
          f"out={r['out_msgs']:.0f}/{r['out_conns']:.0f} got={r['got']:.0f}/{r['messages']} fail={r['failed']:.0f} {r['err']}", flush=True)


def relay_cells():
    """(source's arguments, bytes, messages)"""
    if os.environ.get("CELLS") == "short":
        return [("-s 1", 2048, 1500), ("-s 10", 2048, 4000), ("-s 50", 2048, 4000), ("-s 200", 10240, 4000), ("-s 50 -M 0", 10240, 4000),
                ("-s 50", 102400, 1500), ("-s 50", 1048576, 200)]
    sizes = ((2048, 4000), (10240, 4000), (102400, 1500), (1048576, 200))
    return [(f"-s {s}{kept}", size, n if s > 1 else n // 3) for (size, n), s, kept in itertools.product(sizes, (1, 10, 50, 200), ("", " -M 0"))]


def relay(*makers):
    """Every peer is up all the while, and they take turns, so that an hour in which the machine is slow is slow for all; but for a
    second profile of a peer that has but one tree, which comes afterwards."""
    while makers:
        ports = [mk().port for mk in makers]
        relay_together([mk for i, mk in enumerate(makers) if ports[i] not in ports[:i]])
        makers = [mk for i, mk in enumerate(makers) if ports[i] in ports[:i]]


def relay_together(makers):
    sink = B.Sink()
    with contextlib.ExitStack() as up:
        peers = [up.enter_context(mk()) for mk in makers]
        for p in peers:
            B.load(p, sink, "-s 10", 200, patience=15)                 # warm up
        for a, size, n in relay_cells():
            n = max(50, int(n * SCALE))
            rows = {p: [] for p in peers}
            for _, p in itertools.product(range(RUNS), peers):
                rows[p].append(B.load(p, sink, f"{a} -l {size}", n, patience=20))
            for p in peers:
                emit("relay", p, f"{a} -l {size}", rows[p])
    sink.stop()


def rcpt(mk):
    sink = B.Sink("-a", "50")
    with mk() as p:
        n = int(400 * SCALE)
        emit("rcpt", p, "50 rcpt, 1 domain, 2K, -s 10", [B.load(p, sink, "-s 10", n, 50) for _ in range(RUNS)])
    with mk(multi=True) as p:
        emit("rcpt", p, "50 rcpt, 50 destinations, 2K, -s 10", [B.load(p, sink, "-s 10 -d 50", n // 4, 50) for _ in range(RUNS)])
    sink.stop()


def tls(mk):
    for side in ("plain", "in", "out"):
        sink = B.Sink("-k", B.HERE + "/bench.pem", *(["-K"] if side == "outfull" else []))
        with mk(tls=side) as p:
            n = 1500
            if side in ("plain", "out"): emit("tls", p, side + " -s 20 10K", [B.load(p, sink, "-s 20 -l 10240", n) for _ in range(RUNS)])
            else:
                emit("tls", p, "in full -s 20 10K", [B.load(p, sink, "-s 20 -l 10240 -T", n) for _ in range(RUNS)])
                emit("tls", p, "in resumed -s 20 10K", [B.load(p, sink, "-s 20 -l 10240 -R", n) for _ in range(RUNS)])
                emit("tls", p, "in 1 conn/session -s 20 10K", [B.load(p, sink, "-s 20 -l 10240 -T -M 0", n) for _ in range(RUNS)])
        print("sink", sink.get())
        sink.stop()


def spool_sectors():
    """Written so far to the device that the spools lie on; 512 bytes each."""
    os.sync()
    d = os.stat(B.SPOOL).st_dev
    with open(f"/sys/dev/block/{os.major(d)}:{os.minor(d)}/stat") as f:
        return int(f.read().split()[6])


def cost(mk):
    """What a message costs: system calls and context switches (perf's tracepoints; mount tracefs), bytes written to the spool's device."""
    sink = B.Sink()
    with mk() as p:
        B.load(p, sink, "-s 10", 200, patience=15)
        for args in ("-s 50 -l 2048", "-s 4 -l 2048"):
            perf = subprocess.Popen(["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-e", "context-switches", "-p", ",".join(map(str, p.pids()))],
                                    stderr=subprocess.PIPE, text=True)
            B.CHILDREN.append(perf)
            time.sleep(1)
            sectors = spool_sectors()
            r = B.load(p, sink, args, int(2000 * SCALE), patience=20)
            time.sleep(1)
            perf.send_signal(signal.SIGINT)
            count = {name: float(n) for n, name in re.findall(r"^(\d+),,(raw_syscalls:sys_enter|context-switches)", perf.communicate()[1], re.M)}
            n = max(r["got"], 1)
            row = dict(calls=count.get("raw_syscalls:sys_enter", 0) / n, switches=count.get("context-switches", 0) / n,
                       kib=(spool_sectors() - sectors) / 2 / n, cpu_ms=r["cpu_ms"])
            B.note(OUT, group="cost", peer=p.name, profile=p.profile, args=args, **row)
            print(f"cost     {p.name}:{p.profile:8} {args:16} {row['calls']:.0f} system calls, {row['switches']:.1f} context switches, {row['kib']:.1f} KiB "
                  f"written, cpu {row['cpu_ms']:.3f} ms (while counted) a message", flush=True)
    sink.stop()


def idle(mk):
    EACH = 10000
    sink = B.Sink()
    with mk() as p:
        base = p.mem()
        for n in map(int, os.environ.get("IDLE", "200,1000,5000,20000" if p.name == "postroad" else "200").split(",")):
            # No more from one process than its limit of descriptors allows anywhere.
            parts = [min(EACH, n - at) for at in range(0, n, EACH)]
            sources = [subprocess.Popen([B.TOOLS + "/smtpsrc", "-s", str(k), "-i", "6", "127.0.0.1", str(p.port)], stdout=subprocess.PIPE, text=True)
                       for k in parts]
            B.CHILDREN.extend(sources)
            lines = [s.stdout.readline().strip() for s in sources]
            m = p.mem()
            print(f"idle {p.name}:{p.profile} want={n} base pss={base[0]:.1f} rss={base[1]:.0f} n={base[2]}  now pss={m[0]:.1f} rss={m[1]:.0f} n={m[2]} "
                  f"per-conn={(m[0] - base[0]) * 1024 / n:.1f} KiB  {'; '.join(lines)}", flush=True)
            B.note(OUT, group="idle", peer=p.name, profile=p.profile, args=n, base=base, mem=m, lines=lines)
            for s in sources: s.communicate()
            time.sleep(2)
    sink.stop()


def ingress(mk):
    sink = B.Sink()
    with mk(hold=True) as p:
        for a, size in (("-s 50", 2048), ("-s 50 -M 0", 2048), ("-s 50", 10240), ("-s 50 -M 0", 10240)):
            emit("ingress", p, f"{a} -l {size}", [B.load(p, sink, f"{a} -l {size}", 4000, deliver=False) for _ in range(RUNS)])
    sink.stop()


NEVER_GREETS, ANSWERS_AFTER_2_S = ("-E", "3600000"), ("-w", "dead.test:2000")


def dead(mk):
    """How fast is live mail while mail for 1 or 50 other destinations is queued, which accept connections and then say nothing, or
    take 2 s for each message?"""
    sink = B.Sink()
    n = int(2000 * SCALE)
    one, fifty = ("-s 10 -D dead.test", 1000, 1), ("-s 10 -D dead.test -d 50", 40, 50)
    cases = (("none", NEVER_GREETS, None), ("1 dead, 1000 msgs", NEVER_GREETS, one), ("50 dead, 2000 rcpts", NEVER_GREETS, fifty),
             ("1 slow, 1000 msgs", ANSWERS_AFTER_2_S, one), ("50 slow, 2000 rcpts", ANSWERS_AFTER_2_S, fifty))
    rows = {label: [] for label, *_ in cases}
    for _, (label, manner, queued) in itertools.product(range(RUNS), cases):
        other = B.Sink("-a", "51", *manner, port=P.DEADPORT, cnt="/tmp/bench-dead.cnt")
        with mk(dead=True) as p:
            B.load(p, sink, "-s 10", 200, patience=10)
            if queued:
                B.load(p, sink, *queued, deliver=False)
                time.sleep(2)
            rows[label].append(dict(B.load(p, sink, "-s 20 -l 2048", n, patience=15), open_to_dead=other.get()["open"], taken=other.get()["msg"]))
        other.stop()
    for label, of in rows.items():
        emit("dead", p, label, of)
        print(f"   connections open to the others: {max(r['open_to_dead'] for r in of):.0f}, messages they took: {max(r['taken'] for r in of):.0f}", flush=True)
    sink.stop()


def queue(*makers):
    for mk, n in itertools.product(makers, map(int, os.environ.get("QUEUE", "1000,10000,100000").split(","))):
        queues.measure(mk, n, OUT)


# These see all their peers at once; the others one after the other.
TOGETHER = (relay, queue)


def run(group, specs):
    group = globals()[group]
    makers = []
    for spec in specs:
        name, _, profile = spec.partition(":")
        if not (name == "postroad" or os.path.isdir(f"{B.PEERS}/{name}")):
            print(f"LEFT OUT: {spec} (tests/bench/peers.sh {name})", flush=True)
            continue
        makers.append(functools.partial(lambda name, profile, **kw: P.ALL[name](profile, **kw), name, profile or "default"))
    if group in TOGETHER:
        group(*makers)
    else:
        for mk in makers: group(mk)


def run_all():
    for group, peers, env in PLAN:
        subprocess.run([sys.executable, __file__, group, *peers.split()], env=dict(os.environ, **env), check=True)


if __name__ == "__main__":
    try:
        if len(sys.argv) > 1: run(sys.argv[1], sys.argv[2:])
        else: run_all()
    finally:
        B.kill_children()                  # sinks and sources, however the group ended
