# SPDX-License-Identifier: Apache-2.0
"""Exhaustion that lasts.  While clients send, disk, inodes, descriptors, memory or processes run out and stay away for a while
(exhaust_states.py); then they are there again, and nobody does anything for Postroad.

What must hold: while it lasts nothing but 250, 4xx and broken connections; sendmail says EX_TEMPFAIL or takes the message;
commands answer; master lives; the log says what is wrong, in not much more lines than there were attempts.  Afterwards mail
flows again within 5 s by itself; whatever got a 250 has arrived, byte for byte, or a notice of it; a second copy exists only
where docs/SPOOL.md R6.3 (a) allows it."""
import collections, os, pwd, re, shutil, subprocess, sys, tempfile, threading, time

import house, mailer, powercut
from exhaust_states import *

RECORDED, FLIGHT = 1.0 + 1.5, 1.5                   # as in killstorm.py
TEMPFAIL = 75
COMMANDS = (("status",), ("queue",), ("-p",))
SANE = {("status",): (0, 1, 69), ("queue",): (0, 69, 75), ("-p",): (0, 69, 75)}
ANSWERED = 12                                        # s: a qmgr that works, but has no descriptor left for who asks, is given 10
LINES_PER_ATTEMPT, LINES_PER_SECOND = 8, 1000        # of the log: what a client is told is logged, and why


class LogTail(threading.Thread):
    """What is logged, when."""

    def __init__(self, m):
        super().__init__(daemon=True)
        self.m, self.ended, self.deaths, self.trouble, self.lines = m, False, [], collections.Counter(), 0

    def run(self):
        place, rest = 0, b""
        while not self.ended:
            time.sleep(0.02)
            try:
                with open(self.m.maillog, "rb") as f:
                    f.seek(place)
                    data = f.read()
            except OSError:
                continue
            place += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.look(line.decode(errors="replace"))

    def look(self, line):
        self.lines += 1
        if re.search(r"killed by signal|exit status|panic:|fatal:", line):
            self.deaths.append(time.monotonic())
        bad = re.search(r"/(\w+)\[\d+\]: .*?((?:warning|error|fatal|panic): .*|status=deferred \((?!host ).*)", line)
        if bad:
            self.trouble[f"{bad[1]}: " + re.sub(r"[0-9A-F]{16}|\d+", "N", bad[2])[:150]] += 1

    def mark(self):
        return self.lines, self.trouble.copy()

    def close(self): self.ended = True


class Probe:
    """One who hands in mail with sendmail and looks after the queue, while it lasts."""

    def __init__(self, w): self.w, self.bad, self.exits, self.slowest = w, [], collections.Counter(), 0.0

    def sendmail(self):
        w = self.w
        w.handed += 1
        n = w.handed
        try:
            w.m.run("-i", "-f", "s@src.test", f"{w.user}@mx.test", name="sendmail", stdin=f"X-Probe: {n}\n\ntext\n", check=False, limit=40)
        except subprocess.TimeoutExpired:
            self.bad.append("sendmail hangs")
            return
        self.exits[f"sendmail {w.m.status}"] += 1
        if w.m.status == 0:
            w.taken.add(n)
        elif w.m.status != TEMPFAIL:
            self.bad.append(f"sendmail: exit {w.m.status}: {w.m.said[-200:]}")

    def command(self, words):
        began = time.monotonic()
        try:
            self.w.m.run(*words, name="postqueue" if words[0] == "-p" else "postroad", check=False, limit=20)
        except subprocess.TimeoutExpired:
            self.bad.append(f"{words} hangs")
            return
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        if took > ANSWERED:
            self.bad.append(f"{words}: {took:.1f} s")
        if self.w.m.status not in SANE[words]:
            self.bad.append(f"{words}: exit {self.w.m.status}: {self.w.m.said[-200:]}")

    def all(self):
        self.sendmail()
        for words in COMMANDS:
            self.command(words)


class World:
    def __init__(self, disk=None, rate=150, **settings):
        self.disk, self.rate = disk, rate
        self.dir = tempfile.mkdtemp(prefix="postroad-exhaust-")
        os.chmod(self.dir, 0o711)
        self.place = disk.mounted if disk else self.dir
        self.ledger = mailer.Ledger(self.dir)
        self.sink = mailer.Sink(self.ledger)
        self.user = "games" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.mail = f"{self.dir}/mail"
        os.mkdir(self.mail)
        os.chmod(self.mail, 0o1777)
        self.m = house.Postroad(sink=self.sink, start=False, queue_directory=f"{self.place}/spool", data_directory=f"{self.place}/data",
                                master=["pickup unix n - n 60 1 pickup", "local unix - n n - 5 local"],
                                mydestination="mx.test", local_recipient_maps="", alias_maps=f"inline:{{postmaster={self.user}}}", mail_spool_directory=self.mail,
                                minimal_backoff_time="1s", maximal_backoff_time="2s", queue_run_delay="2s", message_size_limit="1000000",
                                smtpd_client_connection_count_limit="0", default_destination_concurrency_limit="50", **settings)
        self.m.spool = f"{self.place}/spool"
        os.chmod(self.m.dir, 0o711)
        self.watch, self.tail = mailer.LogWatch(self.ledger, self.m.maillog), LogTail(self.m)
        house.ALIVE += [self.sink, self.watch, self.tail, self]
        self.tail.start()
        self.handed, self.taken, self.windows, self.deaths, self.groups = 0, set(), [], [], {}
        self.m.start()
        self.master = self.m.processes()["master"]

    def close(self):
        for g in self.groups.values():
            g.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def group(self, controller):
        if controller not in self.groups:
            self.groups[controller] = Group(controller)
            self.groups[controller].take(self)
        return self.groups[controller]

    def kill(self, pid):
        self.deaths.append(time.monotonic())
        try:
            os.kill(pid, 9)
        except OSError:
            pass

    # -- one state --

    def endure(self, state, seconds, free=True):
        """Send; begin, keep and end the state; wait until mail flows again.  A row of the table, and what was wrong."""
        bad, probe = [], Probe(self)
        state.prepare(self)
        load = mailer.Load(self.ledger, self.m.port, threads=8, rate=self.rate if state.rate is None else state.rate)
        time.sleep(0.7)
        acked, refused = len(self.ledger.read().acked), len(self.ledger.refused)
        tried = len(self.ledger.started) + refused
        lines, trouble = self.tail.mark()
        begun = time.monotonic()
        state.begin(self)
        prober = threading.Thread(target=lambda: self.probing(probe, begun + seconds), daemon=True)
        prober.start()
        while time.monotonic() < begun + seconds:
            state.keep(self)
            time.sleep(0.05)
        if free:
            state.end(self)
        ended = time.monotonic()
        self.windows.append((begun, ended + state.patience))
        took = self.recovery(ended, state.patience)
        if took is None:
            bad.append(f"no mail goes through {state.patience:.0f} s after it")
            took = self.recovery(ended, 60) if free else None
        prober.join(60)
        load.stop()
        if not free:
            state.end(self)
        self.ledger.settle()
        bad += probe.bad + self.verdict(state)
        refused = len(self.ledger.refused) - refused
        attempts = len(self.ledger.started) + len(self.ledger.refused) - tried
        logged, now = self.tail.mark()
        said = now - trouble
        if logged - lines > LINES_PER_ATTEMPT * attempts + LINES_PER_SECOND * (ended - begun):
            bad.append(f"{logged - lines} lines of log for {attempts} attempts: {said.most_common(5)}")
        if not said and refused:
            bad.append("not one line of the log says what is wrong")
        row = {"state": state.name, "seconds": f"{ended - begun:.0f}", "acknowledged": len(self.ledger.acked) - acked,
               "refused": refused, "died": len([d for d in self.tail.deaths if d >= begun]), "mail again after, s": f"{took:.1f}" if took else "never",
               "log lines": logged - lines, "lost": len(self.ledger.owed()), "damaged": len(self.ledger.damaged),
               "second copies": self.copies_since(begun), "sendmail": " ".join(f"{k.split()[1]}x{v}" for k, v in sorted(probe.exits.items())),
               "slowest command, s": f"{probe.slowest:.1f}",
               "notes": " ".join(f"{k} {v}" for k, v in state.figures().items())}
        return row, bad, said

    def probing(self, probe, until):
        while time.monotonic() < until:
            probe.all()
            time.sleep(0.3)

    def copies_since(self, begun): return sum(1 for _, _, again in self.ledger.copies() if again >= begun)

    def recovery(self, ended, patience):
        """After how long a message that was begun after the end has arrived; None: not in time."""
        while time.monotonic() < ended + patience:
            self.ledger.read()
            came = [times[-1] for (n, i), times in list(self.ledger.got.items())[-3000:] if self.ledger.started.get(n, 0) > ended]
            if came:
                return max(0.01, min(came) - ended)
            time.sleep(0.05)
        return None

    # -- what must hold --

    def verdict(self, state):
        bad = []
        replies = {w for w in self.ledger.refused.values() if w[:1] == "5" and w[:4].rstrip("_-").isdigit()}
        if replies:
            bad.append(f"refused for good: {sorted(replies)[:3]}")
        if self.ledger.owed():
            bad.append(f"{len(self.ledger.owed())} recipients of acknowledged messages got nothing: {sorted(self.ledger.owed())[:5]}")
        if self.ledger.damaged:
            bad.append(f"changed on the way: {self.ledger.damaged[:5]}")
        if self.m.files("corrupt"):
            bad.append(f"set aside: {self.m.files('corrupt')}")
        copies = self.unexcused()
        if copies:
            bad.append(f"{len(copies)} copies that R6.3 does not allow: {copies[:3]}")
        now = self.m.processes().get("master")
        if now is None or now != self.master:
            bad.append("master died, or did not start")
        self.master = now
        try:
            house.wait_until(lambda: self.taken <= self.delivered(), 20, 0.2)
        except AssertionError:
            bad.append(f"handed in with sendmail and gone: {sorted(self.taken - self.delivered())}")
        return bad

    def delivered(self):
        try:
            with open(f"{self.mail}/{self.user}", "rb") as f:
                return {int(n) for n in re.findall(rb"(?m)^X-Probe: (\d+)", f.read())}
        except OSError:
            return set()

    def unexcused(self):
        bad, deaths = [], sorted(self.deaths + self.tail.deaths)
        for (n, i), first, again in self.ledger.copies():
            gone = self.ledger.removed(n, first)
            windows = [b for b, e in self.windows if b - RECORDED <= first <= e + FLIGHT]
            if not any(w - RECORDED <= first <= d + FLIGHT and d - 1 <= again and not (gone and gone < d - 1) for w in windows for d in deaths) \
                    and n in self.ledger.acked:
                bad.append((n, i, first, again, gone, time.strftime("%T", time.localtime(time.time() - time.monotonic() + first))))
        return bad


# -- the table --

def full_disk(quick):
    long = 5 if quick else 25
    yield FullDisk("full disk"), long
    yield FullDisk("full disk, qmgr killed", kill_qmgr), long
    if not quick:
        yield FullDisk("full disk, restarted", restart), long
    yield FullOfMail(), 8 if quick else 30


def other(quick):
    long = 4 if quick else 20
    roles = ("smtpd", "qmgr") if quick else ("smtpd", "qmgr", "smtp", "bounce", "local", "pickup", "resolver", "master")
    for role in roles:
        for more in (0,) if quick else (0, 1, 2):
            yield NoFiles(role, more), 4 if quick else 8
    for role in ("smtpd",) if quick else roles:
        for more in (64,) if quick else (0, 256, 2048):
            yield NoAddresses(role, more), 4 if quick else 8
    for share in (0.5,) if quick else (0.7, 0.5, 0.3):
        yield NoMemory(share), long
    for more in (0,) if quick else (0, 1, 3):
        yield NoProcesses(more), long


def tell(text): print(text, file=sys.stderr, flush=True)


def go(w, place, states, rows, bad, left_out):
    for state, seconds in states:
        try:
            row, wrong, said = w.endure(state, seconds)
        except powercut.Missing as e:
            left_out.append(f"{state.name}: {e}")
            continue
        rows.append({"file system": place, **row})
        tell(f"{rows[-1]}\n  {said.most_common(6)}")
        for b in wrong:
            tell(f"VIOLATION {place} {state.name}: {b}")
        bad += [f"{place} {state.name}: {b}" for b in wrong]
    return w


def control(place):
    """A disk that stays full must be noticed."""
    w = World(place)
    _, wrong, _ = w.endure(FullDisk(), 2, free=False)
    assert any("no mail goes through" in b for b in wrong), f"a disk that stays full was not noticed: {wrong}"
    return {"state": "control: the disk stays full", "notes": "seen, as must be"}


def places(quick):
    """[(file system, how to make it)], why others are left out"""
    found, left_out = [], []
    for kind in ("ext4",) if quick else powercut.KINDS:
        why = powercut.usable(kind)
        if why:
            left_out.append(f"{kind}: {why}")
        else:
            found.append((kind, lambda kind=kind: powercut.Disk(kind, 64 if kind == "ext4" else 320, 20_000)))
    return found, left_out


def suite(quick):
    rows, bad = [], []
    found, left_out = places(quick)
    for kind, make in found:
        w = World(make())
        go(w, kind, full_disk(quick), rows, bad, left_out)
        if kind == "ext4":
            go(w, kind, [(NoInodes(), 4 if quick else 25)], rows, bad, left_out)
        house.clean_up()
    go(World(), "", other(quick), rows, bad, left_out)
    house.clean_up()
    if found:
        rows.append(control(found[0][1]()))
        house.clean_up()
    if bad:
        tell("\n".join(bad))
    assert not bad, f"{len(bad)} violations:\n" + "\n".join(bad)
    return rows, left_out
