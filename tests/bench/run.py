#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py GROUP PEER[:PROFILE]...   -- measure; rows are appended to results.jsonl, a line is printed each.

GROUPS: relay (sizes x sessions), rcpt (50 recipients), ingress, egress, idle, tls, queue, dead
Environment: RUNS (default 3), QUEUE (messages for the queue group, default 100000)
"""
import functools, os, sys, time, signal, subprocess
import mtabench as B, peerdefs as P

RUNS = int(os.environ.get("RUNS", "3"))
OUT = os.environ.get("OUT", B.TOOLS + "/results.jsonl")


def emit(group, peer, label, rows):
    r = B.median(rows)
    r["args"] = label
    r.update(group=group, peer=peer.name, profile=peer.profile, runs=len(rows))
    B.note(OUT, **r)
    print(f"{group:8} {peer.name}:{peer.profile:8} {label:34} rate={r['rate']:8.1f} [{r['rate_min']:.0f}-{r['rate_max']:.0f}] "
          f"accept={r['accept_rate']:8.1f} cpu={r['cpu_ms']:.3f}ms (u {r['user_ms']:.2f} s {r['sys_ms']:.2f}) sysbusy={r['busy_ms']:.2f} "
          f"p50={r['p50'] or 0:.1f} p99={r['p99'] or 0:.1f} pss={r['pss']:.0f} rss={r['rss']:.0f} n={r['procs']:.0f} "
          f"out={r['out_msgs']:.0f}/{r['out_conns']:.0f} got={r['got']:.0f}/{r['messages']} fail={r['failed']:.0f} {r['err']}", flush=True)


def relay(mk):
    cells = [("-s 1", 2048, 1500), ("-s 10", 2048, 4000), ("-s 50", 2048, 4000), ("-s 200", 2048, 4000),
             ("-s 50 -M 0", 2048, 4000), ("-s 10 -M 0", 10240, 4000), ("-s 50", 10240, 4000), ("-s 50 -M 0", 10240, 4000), ("-s 200", 10240, 4000),
             ("-s 50", 102400, 1500), ("-s 50 -M 0", 102400, 1500), ("-s 50", 1048576, 200), ("-s 50 -M 0", 1048576, 200)]
    if os.environ.get("CELLS") == "short":
        cells = [cells[i] for i in (0, 1, 2, 8, 7, 9, 11)]
    scale = float(os.environ.get("SCALE", "1"))
    sink = B.Sink()
    with mk() as p:
        B.load(p, sink, "-s 10", 200, patience=15)                     # warm up
        for a, size, n in cells:
            n = max(50, int(n * scale))
            emit("relay", p, f"{a} -l {size}", [B.load(p, sink, f"{a} -l {size}", n, patience=20) for _ in range(RUNS)])
    sink.stop()


def rcpt(mk):
    sink = B.Sink("-a", "50")
    with mk() as p:
        n = int(400 * float(os.environ.get("SCALE", "1")))
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


def idle(mk):
    sink = B.Sink()
    with mk() as p:
        base = p.mem()
        for n in (200, 1000, 5000):
            src = subprocess.Popen([B.TOOLS + "/smtpsrc", "-s", str(n), "-i", "6", "127.0.0.1", str(p.port)], stdout=subprocess.PIPE, text=True)
            line = ""
            end = time.monotonic() + 70
            line = src.stdout.readline()
            m = p.mem()
            print(f"idle {p.name}:{p.profile} want={n} base pss={base[0]:.1f} rss={base[1]:.0f} n={base[2]}  now pss={m[0]:.1f} rss={m[1]:.0f} n={m[2]} "
                  f"per-conn={(m[0] - base[0]) * 1024 / n:.1f} KiB  {line.strip()}", flush=True)
            B.note(OUT, group="idle", peer=p.name, profile=p.profile, want=n, base=base, mem=m, line=line.strip())
            src.communicate()
            time.sleep(2)
    sink.stop()


def ingress(mk):
    sink = B.Sink()
    with mk(hold=True) as p:
        for a, size in (("-s 50", 2048), ("-s 50 -M 0", 2048), ("-s 50", 10240), ("-s 50 -M 0", 10240)):
            emit("ingress", p, f"{a} -l {size}", [B.load(p, sink, f"{a} -l {size}", 4000, deliver=False) for _ in range(RUNS)])
    sink.stop()


def dead(mk):
    """How fast is live mail while 1 or 50 destinations accept connections and then say nothing?"""
    sink = B.Sink()
    hole = B.Sink("-a", "51", "-E", "3600000", port=P.DEADPORT, cnt="/tmp/bench-dead.cnt")
    n = int(2000 * float(os.environ.get("SCALE", "1")))
    for label, args, cnt, rc in (("none dead", None, 0, 0), ("1 dead, 1000 msgs queued for it", "-s 10 -D dead.test", 1000, 1),
                                 ("50 dead, 2000 rcpts queued for them", "-s 10 -D dead.test -d 50", 40, 50)):
        with mk(dead=True) as p:
            B.load(p, sink, "-s 10", 200, patience=10)
            if args:
                B.load(p, sink, args, cnt, rc, deliver=False)
                time.sleep(2)
            emit("dead", p, label, [B.load(p, sink, "-s 20 -l 2048", n, patience=15)])
            print("   open to dead:", hole.get()["open"], "processes", len(p.pids()), flush=True)
    sink.stop(); hole.stop()


def queue_postroad(p, n):
    """A queue of n messages that was there before the start: what is accepted and delivered meanwhile, when all is known, listing,
    memory, draining, deleting.  The files come from preload."""
    sink = B.Sink()
    say = lambda text: print(f"queue {p.name}:{p.profile} n={n} {text}", flush=True)
    pid = lambda prog: next((q for q in p.pids() if open(f"/proc/{q}/comm").read().strip() == prog), None)
    rss = lambda: int(open(f"/proc/{pid('qmgr')}/statm").read().split()[1]) * 4 if pid("qmgr") else 0
    log = lambda: open(p.dir + "/maillog", errors="replace").read() if os.path.exists(p.dir + "/maillog") else ""
    command = lambda name, *a: p.spawn([name, "-c", p.dir, *a], chroot=False, executable=P.MTA + "/postroad", stdout=open("/tmp/bench-queue.out", "w"))

    def preload():
        t = time.monotonic()
        subprocess.run([B.TOOLS + "/preload", p.dir + "/spool", str(n)], check=True)
        say(f"(preloaded in {time.monotonic() - t:.0f} s)")

    def start(*conf):
        p.opt = dict(conf=dict(conf, maximal_queue_lifetime="5d", qmgr_message_active_limit=str(2 * n)))
        with open(p.dir + "/main.cf", "a") as f: f.writelines(f"{k} = {v}\n" for k, v in p.opt["conf"].items())
        t = time.monotonic()
        p.start()
        say(f"started in {time.monotonic() - t:.2f} s")
        return t

    def timed(what, *argv):
        t, u = time.monotonic(), sum(p.cpu())
        command(*argv)
        say(f"{what}: {time.monotonic() - t:.2f} s, cpu {sum(p.cpu()) - u:.2f} s")

    def rebuilt(t):
        if B.wait_for(lambda: "queue rebuilt" in log(), 300): say(f"all of it known: {time.monotonic() - t:.2f} s")
        else: say("not all of it known after 300 s")

    try:
        p.configure()
        preload()
        t, s0 = start(), sink.get()["msg"]
        B.wait_for(lambda: sink.get()["msg"] > s0, 120, 0.002)
        say(f"start to first delivery: {time.monotonic() - t:.2f} s")
        r = B.load(p, sink, "-s 10 -l 2048", 500, deliver=False)
        say(f"accepting meanwhile: {r['accept_rate']:.0f}/s, latency p50 {r['p50']} p99 {r['p99']} ms, failed {r['failed']:.0f}")
        rebuilt(t)
        t, s0, u0, peak = time.monotonic(), sink.get()["msg"], sum(p.cpu()), 0
        while time.monotonic() < t + 10: time.sleep(0.25); peak = max(peak, rss())
        k = sink.get()["msg"] - s0
        say(f"draining: {k / (time.monotonic() - t):.0f}/s, cpu {(sum(p.cpu()) - u0) / max(k, 1) * 1e3:.3f} ms/msg, qmgr peak {peak} KiB")
        p.stop(); B.wait_for(lambda: not p.pids(), 20)
        os.unlink(p.dir + "/maillog")

        p.wipe(); p.opt = dict(defer=True); p.configure()
        preload()
        rebuilt(start(("defer_transports", "smtp")))
        time.sleep(2)
        say(f"qmgr {rss()} KiB, {rss() * 1024 / n:.0f} bytes per message")
        timed("postqueue -p", "postqueue", "-p")
        timed("postqueue -j", "postqueue", "-j")
        timed("postsuper -d ALL", "postsuper", "-d", "ALL")
        say("left: %d files" % sum(len(f) for d in ("incoming", "deferred") for _, _, f in os.walk(f"{p.dir}/spool/{d}")))
    finally:
        p.down(); sink.stop()


def queue(mk):
    """Postfix: N messages deferred; listing, memory, restart, drain, delete."""
    n = int(os.environ.get("QUEUE", "100000"))
    if mk.keywords["name"] == "postroad": return queue_postroad(mk(), n)
    sink = B.Sink()
    def timed(what, cmd):
        t = time.monotonic(); u = sum(p.cpu())
        p.spawn(["sh", "-c", cmd])
        print(f"queue {p.name}:{p.profile} n={n} {what}: {time.monotonic() - t:.2f} s, cpu {sum(p.cpu()) - u:.2f} s", flush=True)
    def rss(prog):
        for q in p.pids():
            if open(f"/proc/{q}/comm").read().strip() == prog:
                return int(open(f"/proc/{q}/statm").read().split()[1]) * 4
    p = mk(defer=True).up()
    try:
        t = time.monotonic()
        r = B.load(p, sink, "-s 20 -M 0 -l 2048", n, deliver=False, patience=600)
        print(f"queue {p.name}:{p.profile} n={n} inject into deferred: accept {r['accept_rate']:.0f}/s cpu {r['cpu_ms']:.2f} ms/msg, qmgr rss {rss('qmgr')} KiB", flush=True)
        time.sleep(3)
        timed("postqueue -p", "postqueue -p > /tmp/list; tail -1 /tmp/list")
        timed("postqueue -j", "postqueue -j > /tmp/list")
        timed("postqueue -p again", "postqueue -p > /tmp/list")
        timed("find files", "find /var/spool/postfix/deferred -type f | wc -l > /tmp/c")
        timed("stop", "postfix stop")
        B.wait_for(lambda: not p.pids(), 10)
        conf = p.tree + "/etc/postfix/main.cf"
        s = open(conf).read().replace("defer_transports = smtp,relay\n", "")
        open(conf, "w").write(s)
        t = time.monotonic(); s0 = sink.get()["msg"]
        p.spawn(["sh", "-c", "postfix start; postqueue -f"])
        u0 = sum(p.cpu())
        B.wait_for(lambda: sink.get()["msg"] > s0, 120)
        print(f"queue {p.name}:{p.profile} n={n} start+flush to first delivery: {time.monotonic() - t:.2f} s", flush=True)
        t = time.monotonic(); s0 = sink.get()["msg"]
        peak = 0
        while time.monotonic() < t + 25 and sink.get()["msg"] - s0 < n - 50:
            time.sleep(0.5); peak = max(peak, rss("qmgr") or 0)
        d, k = time.monotonic() - t, sink.get()["msg"] - s0
        print(f"queue {p.name}:{p.profile} n={n} egress of the preloaded queue: {k / d:.0f}/s over {d:.0f} s, cpu {(sum(p.cpu()) - u0) / max(k, 1) * 1e3:.2f} ms/msg, qmgr peak rss {peak} KiB", flush=True)
        B.note(OUT, group="egress", peer=p.name, profile=p.profile, rate=k / d, n=n, qmgr_kib=peak)
        p.spawn(["postfix", "stop"]); time.sleep(1)
        p.spawn(["sh", "-c", "find /var/spool/postfix/deferred /var/spool/postfix/active /var/spool/postfix/incoming -type f | wc -l > /tmp/c"])
        print("left:", open(p.tree + "/tmp/c").read().strip())
        timed("postsuper -d ALL (of those left)", "postsuper -d ALL 2>/tmp/d")
    finally:
        p.down(); sink.stop()


if __name__ == "__main__":
    group = globals()[sys.argv[1]]
    try:
        for spec in sys.argv[2:]:
            name, _, profile = spec.partition(":")
            group(functools.partial(lambda name, **kw: P.ALL[name](profile or "default", **kw), name=name))
    finally:
        B.kill_children()                  # sinks and sources, however the group ended
