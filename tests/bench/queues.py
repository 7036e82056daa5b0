# SPDX-License-Identifier: Apache-2.0
"""queues -- a queue of N messages that is there at the start: first delivery, when all is known, accepting meanwhile, draining, listing,
deleting, memory of qmgr.  One row each, of group "queue"."""
import os, shutil, subprocess, threading, time
import mtabench as B, peerdefs as P


class Queue:
    """What is common: a peer that is down at first, a sink, a row of results."""

    def __init__(self, mk, n):
        self.p, self.n = mk(defer=True), n
        self.sink = B.Sink()
        self.row = dict(group="queue", peer=self.p.name, profile=self.p.profile, n=n)

    def say(self, text):
        print(f"queue {self.p.name}:{self.p.profile} n={self.n} {text}", flush=True)

    def note(self, key, value, words):
        self.row[key] = value
        self.say(words.format(value))

    def seconds(self, key, words, do):
        t, u = time.monotonic(), sum(self.p.cpu())
        do()
        self.note(key, time.monotonic() - t, words + ": {:.2f} s, " + f"cpu {sum(self.p.cpu()) - u:.2f} s")

    def qmgr_kib(self):
        for q in self.p.pids():
            if open(f"/proc/{q}/comm").read().strip() == "qmgr":
                return int(open(f"/proc/{q}/statm").read().split()[1]) * 4
        return 0

    def first_delivery(self, start):
        t, before = time.monotonic(), self.sink.get()["msg"]
        start()
        B.wait_for(lambda: self.sink.get()["msg"] > before, 120, 0.002)
        self.note("first_s", time.monotonic() - t, "start to first delivery: {:.2f} s")
        return t

    def drain(self, secs):
        if self.n < 20000:             # all of it has gone while mail was accepted
            return
        t, before, cpu, peak = time.monotonic(), self.sink.get()["msg"], sum(self.p.cpu()), 0
        while time.monotonic() < t + secs and self.sink.get()["msg"] - before < self.n - 600:
            time.sleep(0.05)
            peak = max(peak, self.qmgr_kib())
        k = self.sink.get()["msg"] - before
        self.row.update(drain_cpu_ms=(sum(self.p.cpu()) - cpu) / max(k, 1) * 1e3, drain_qmgr_kib=peak)
        self.note("drain_rate", k / (time.monotonic() - t),
                  "draining: {:.0f}/s, " + f"cpu {self.row['drain_cpu_ms']:.3f} ms/msg, qmgr peak {peak} KiB")

    def close(self):
        self.p.down()
        self.sink.stop()


def postroad(q):
    """The files come from preload, into a system that is down."""
    p = q.p
    command = lambda *a: p.spawn([a[0], "-c", p.dir, *a[1:]], chroot=False, executable=P.MTA + "/postroad", stdout=open("/tmp/bench-queue.out", "w"))
    files = lambda: sum(len(f) for d in ("incoming", "deferred") for _, _, f in os.walk(f"{p.dir}/spool/{d}"))

    def prepare(**opt):
        shutil.rmtree(p.dir, ignore_errors=True)
        p.opt = dict(opt, conf=dict(maximal_queue_lifetime="5d", qmgr_message_active_limit=str(2 * q.n)))
        p.configure()
        subprocess.run([B.TOOLS + "/preload", p.dir + "/spool", str(q.n)], check=True)

    def rebuilt(t, key, words):
        """Watched beside what else is done meanwhile."""
        def watch():
            if B.wait_for(lambda: subprocess.run(["grep", "-qs", "queue rebuilt", p.dir + "/maillog"]).returncode == 0, 300, 0.1): q.note(key, time.monotonic() - t, words + ": {:.2f} s")
            else: q.say("not all of it known after 300 s")
        watcher = threading.Thread(target=watch)
        watcher.start()
        return watcher

    prepare()
    t = q.first_delivery(p.start)
    watcher = rebuilt(t, "rebuilt_s", "all of it known, while delivering")
    r = B.load(p, q.sink, "-s 10 -l 2048", 500, deliver=False)
    q.row.update(accept_p50=r["p50"], accept_p99=r["p99"])
    q.note("accept_rate", r["accept_rate"], "accepting meanwhile: {:.0f}/s, " + f"p50 {r['p50']} p99 {r['p99']} ms, failed {r['failed']:.0f}")
    watcher.join()
    q.drain(10)
    p.stop(); B.wait_for(lambda: not p.pids(), 20)

    prepare(defer=True)
    t = time.monotonic()
    p.start()
    rebuilt(t, "rebuilt_deferring_s", "all of it known, while deferring").join()
    time.sleep(2)
    q.note("qmgr_bytes", q.qmgr_kib() * 1024 / q.n, "qmgr: {:.0f} bytes a message")
    q.seconds("list_s", "postqueue -p", lambda: command("postqueue", "-p"))
    q.seconds("json_s", "postqueue -j", lambda: command("postqueue", "-j"))
    t = time.monotonic()
    q.seconds("delete_s", "postsuper -d ALL", lambda: command("postsuper", "-d", "ALL"))
    B.wait_for(lambda: files() == 0, 300, 0.2)
    q.note("files_gone_s", time.monotonic() - t, "until the last file is gone: {:.1f} s")


def postfix(q):
    """The queue comes in by SMTP and is deferred."""
    p = q.p
    sh = lambda cmd: p.spawn(["sh", "-c", cmd])
    p.up()
    r = B.load(p, q.sink, "-s 20 -M 0 -l 2048", q.n, deliver=False, patience=600)
    q.note("inject_rate", r["accept_rate"], "into deferred: {:.0f}/s, " + f"cpu {r['cpu_ms']:.2f} ms/msg")
    time.sleep(3)
    q.seconds("list_s", "postqueue -p", lambda: sh("postqueue -p > /tmp/list"))
    q.seconds("json_s", "postqueue -j", lambda: sh("postqueue -j > /tmp/list"))
    sh("postfix stop")
    B.wait_for(lambda: not p.pids(), 10)
    conf = p.tree + "/etc/postfix/main.cf"
    with open(conf) as f: text = f.read()
    with open(conf, "w") as f: f.write(text.replace("defer_transports = smtp,relay\n", ""))
    q.first_delivery(lambda: sh("postfix start; postqueue -f"))
    q.drain(25)
    sh("postfix stop")
    time.sleep(1)
    sh("find /var/spool/postfix/deferred /var/spool/postfix/active /var/spool/postfix/incoming -type f | wc -l > /tmp/left")
    with open(p.tree + "/tmp/left") as f: q.row["left"] = int(f.read())
    q.seconds("delete_s", f"postsuper -d ALL of the {q.row['left']} that are left", lambda: sh("postsuper -d ALL 2>/tmp/d"))


def measure(mk, n, out):
    q = Queue(mk, n)
    try:
        globals()[q.p.name](q)
        B.note(out, **q.row)
    finally:
        q.close()
