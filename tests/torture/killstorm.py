# SPDX-License-Identifier: Apache-2.0
"""kill -9 of random processes, master included, every few hundred milliseconds while clients send, recipients are put off and
refused, and notices are written.

What must hold: whatever got a 250 is delivered, byte for byte, or a notice of it; a second copy exists only where docs/SPOOL.md
R6.3 (a) allows it.  That bound is computed, for each second copy: a process died while the first was in flight or its outcome not
yet written down, and the message had not been removed."""
import os, random, shutil, signal, sys, tempfile, time

import house, mailer

# How often each is chosen.
PROGRAMS = {"smtpd": 5, "qmgr": 5, "smtp": 5, "bounce": 2, "resolver": 1, "master": 1}
RECORDED = 1.0 + 1.5                             # qmgr's longest wait before it writes down a result, and this machine's delays
FLIGHT = 1.5                                     # longest that a delivery is under way here, which goes on when its qmgr has died


class Storm:
    def __init__(self, rate, seed=3):
        self.rnd, self.dir = random.Random(seed), tempfile.mkdtemp(prefix="postroad-storm-")
        self.ledger = mailer.Ledger(self.dir)
        self.sink = mailer.Sink(self.ledger)
        self.m = house.Postroad(sink=self.sink, minimal_backoff_time="1s", maximal_backoff_time="2s", queue_run_delay="2s",
                                smtpd_client_connection_count_limit="0", service_throttle_time="1s", message_size_limit="1000000")
        self.watch = mailer.LogWatch(self.ledger, self.m.maillog)
        house.ALIVE += [self.sink, self.watch, self]
        self.kills, self.dead, self.rate = [], dict.fromkeys(PROGRAMS, 0), rate
        self.load = None

    def close(self): shutil.rmtree(self.dir)

    def kill(self):
        program = self.rnd.choices(list(PROGRAMS), list(PROGRAMS.values()))[0]
        pids = self.m.processes().get(program)
        if not pids:
            return
        began = time.monotonic()
        try:
            os.kill(self.rnd.choice(pids), signal.SIGKILL)
        except OSError:
            return
        self.dead[program] += 1
        if program == "master":                                      # its children follow it
            house.wait_until(lambda: self.m.run("start", check=False) is not None and self.m.status == 0, 30, 0.1)
        self.kills.append((began, time.monotonic()))

    def rage(self, kills, pause):
        """Kill so many; the load is set down now and then for the ledger to be balanced."""
        while len(self.kills) < kills:
            self.load = mailer.Load(self.ledger, self.m.port, threads=8, rate=self.rate)
            end = min(kills, len(self.kills) + 1000)
            while len(self.kills) < end:
                time.sleep(self.rnd.uniform(*pause))
                self.kill()
            self.load.stop()
            self.ledger.settle()
            print(f"{self.check()}", file=sys.stderr, flush=True)

    def unexcused(self):
        bad, allowed = [], 0
        for (n, i), first, again in self.ledger.copies():
            gone = self.ledger.removed(n, first)
            if any(first <= dead + FLIGHT and k <= again and first >= k - RECORDED and not (gone and gone < k) for k, dead in self.kills):
                allowed += 1
            elif n in self.ledger.acked:                             # the others the client may have sent again
                bad.append((n, i, first, again, gone))
        return bad, allowed

    def check(self):
        bad, allowed = self.unexcused()
        s = {"kills": len(self.kills), **{f"{p}": n for p, n in self.dead.items()}, "acknowledged": len(self.ledger.acked),
             "recipients": sum(len(mailer.kinds_of(n)) for n in self.ledger.acked), "notices": len(self.ledger.notices),
             "second copies": allowed, "unexcused copies": len(bad), "lost": len(self.ledger.owed()), "damaged": len(self.ledger.damaged),
             "corrupt": len(self.m.files("corrupt"))}
        assert s["lost"] == 0, f"{sorted(self.ledger.owed())[:5]} got nothing: {s}"
        assert s["damaged"] == 0 and s["corrupt"] == 0, f"changed on the way: {s}"
        assert s["unexcused copies"] == 0, f"more copies than R6.3 allows: {bad[:5]} {s}"
        return s


def control():
    """A message file that vanishes while qmgr is dead: the ledger must miss it."""
    s = Storm(rate=100)
    pid = s.m.kill("qmgr", signal.SIGSTOP)
    load = mailer.Load(s.ledger, s.m.port, threads=2, limit=40)
    house.wait_until(lambda: len(s.ledger.read().acked) >= 40)
    load.stop()
    name = s.m.files("incoming")[0]
    for at, _, names in os.walk(f"{s.m.spool}/incoming"):
        if name in names:
            os.unlink(f"{at}/{name}")
    os.kill(pid, signal.SIGKILL)
    s.ledger.settle(20)
    lost = len(s.ledger.owed())
    assert lost, "a file was taken away and the ledger did not miss it"
    return {"kills": "control: one file taken away", "lost": f"{lost}, as must be"}


def suite(quick):
    s = Storm(rate=150)
    s.rage(120 if quick else 10_000, (0.03, 0.2))
    house.wait_until(lambda: not s.m.queue(), 60, 0.2)
    rows = [s.check()]
    house.clean_up()
    return rows + [control()], []
