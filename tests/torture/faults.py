# SPDX-License-Identifier: Apache-2.0
"""A fault at every system call.  One mail system runs under faultshim.so.  For each process, call, error and mode the n-th call
from now fails, once or from then on, while a message goes through that needs this process; n = 1, 2, 3 ... until it no longer
comes to the n-th.  Two phases: while it works, and while it starts.

What must hold: no 250 (or exit 0) for mail that does not arrive; nothing but 4xx and broken connections otherwise; master lives;
and within 5 s of the fault's end a fresh message goes all the way, without help."""
import ctypes, fcntl, mmap, os, pwd, re, shutil, signal, struct, subprocess, tempfile, time

import house, sink
from dnsd import Dns

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES_AT, NAME_MAX, CALLS_MAX, SEEN_AT, FIRED_AT = 4096, 24, 96, 128, 64
COUNT, SHORT, KILL, LIE = 0, -1, -2, -3
WELL = 5.0                                       # seconds after the fault's end

DISK = ("EIO", "ENOSPC", "EDQUOT")
TABLES = ("EMFILE", "ENFILE", "ENOMEM")
ERRORS = {
    "open": ("EIO", "ENOSPC", "EMFILE", "ENOMEM", "EACCES", "EINTR"), "openat": ("EIO", "ENOSPC", "EDQUOT", "EMFILE", "ENOMEM", "EACCES", "EINTR"),
    "write": DISK + ("EINTR", "SHORT"), "writev": DISK + ("EINTR", "SHORT"), "pwrite": DISK + ("EINTR", "SHORT"),
    "read": ("EIO", "EINTR", "SHORT"), "pread": ("EIO", "EINTR", "SHORT"), "preadv2": ("EIO", "EAGAIN", "SHORT"),
    "fsync": DISK + ("EINTR",), "fdatasync": DISK + ("EINTR",), "syncfs": DISK + ("EINTR",),
    "renameat": DISK + ("ENOMEM",), "renameat2": DISK + ("ENOMEM", "EINVAL"), "unlinkat": DISK + ("ENOMEM",), "unlink": DISK,
    "mkdirat": DISK, "mkdir": DISK, "ftruncate": DISK + ("EINTR",), "flock": ("ENOLCK", "EINTR"), "fcntl": ("EMFILE", "ENOMEM"),
    "close": ("EIO", "EINTR", "ENOSPC"), "accept4": TABLES + ("ECONNABORTED", "EINTR"), "connect": ("ECONNREFUSED", "EAGAIN", "ENOMEM", "EINTR"),
    "bind": ("EADDRINUSE",), "send": ("ECONNRESET", "ENOBUFS", "EINTR"), "sendmsg": ("ECONNRESET", "ENOBUFS", "EINTR"),
    "sendfile": ("EIO", "EINTR", "SHORT"), "recv": ("ECONNRESET", "EIO", "EINTR"), "recvmsg": ("ECONNRESET", "ENOMEM", "EINTR"),
    "poll": ("EINTR", "ENOMEM"), "epoll_ctl": ("ENOMEM", "ENOSPC"), "epoll_wait": ("EINTR",),
    "fork": ("EAGAIN", "ENOMEM"), "posix_spawn": ("EAGAIN", "ENOMEM"), "pthread_create": ("EAGAIN",), "waitpid": ("EINTR",),
    "inotify_init1": TABLES, "inotify_add_watch": ("ENOSPC", "ENOMEM"), "readdir": ("EIO",),
}
for name in ("open", "openat"):
    ERRORS[f"{name}64"] = ERRORS[name]
for name in ("socket", "socketpair", "epoll_create1", "eventfd", "signalfd", "fdopendir", "dup2", "dup3"):
    ERRORS[name] = TABLES
for name in ("mmap", "mprotect", "madvise", "malloc", "calloc", "realloc"):
    ERRORS[name] = ("ENOMEM",)
for name in ("stat", "lstat", "fstat", "fstatat", "fstatvfs", "faccessat"):
    ERRORS[name] = ("EIO", "ENOMEM")
OTHERS = ("EIO",)
MEMORY = ("malloc", "calloc", "realloc")         # hundreds for one message: the first few
ONCE_ONLY = ("EINTR",)                           # a call that is always interrupted is not what systems do

# role: (how mail is handed in, recipients)
ROLES = {
    "smtpd": ("smtp", ("ok",)), "qmgr": ("smtp", ("ok", "no", "later")), "smtp": ("smtp", ("ok", "no")), "bounce": ("smtp", ("no",)),
    "pickup": ("sendmail", ("ok",)), "postdrop": ("sendmail", ("ok",)), "sendmail": ("sendmail", ("ok",)), "local": ("smtp", ("local",)),
    "deliver": ("smtp", ("local",)),
    "resolver": ("smtp", ("ok",)), "master": ("kill", ("ok",)),
}
STARTED = ("smtpd", "qmgr", "smtp", "bounce", "pickup", "local", "resolver", "master")


class AnyName(dict):
    """Every name below dst.test and src.test exists."""
    def get(self, name, default=None):
        return [("MX", 10, name), ("A", "127.0.0.1")] if name.endswith((".dst.test", "src.test")) else default


class Control:
    """The page that the processes look at."""

    def __init__(self, directory):
        self.path, self.directory = f"{directory}/page", directory
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        os.truncate(fd, 2 * NAMES_AT)
        os.chmod(self.path, 0o666)
        self.page = mmap.mmap(fd, 2 * NAMES_AT)
        os.close(fd)
        house.ALIVE.append(self)

    def names(self):
        raw = self.page[NAMES_AT:]
        return [n.decode() for n in (raw[i * NAME_MAX:(i + 1) * NAME_MAX].rstrip(b"\0") for i in range(CALLS_MAX)) if n]

    def arm(self, role, call, action, n=1, onwards=False):
        self.disarm()
        self.page[4:16] = struct.pack("<iII", action, n, onwards)
        self.page[16:64] = role.encode().ljust(NAME_MAX, b"\0") + call.encode().ljust(NAME_MAX, b"\0")
        self.page[FIRED_AT:FIRED_AT + 8] = bytes(8)
        self.page[SEEN_AT:SEEN_AT + 8 * CALLS_MAX] = bytes(8 * CALLS_MAX)
        self.page[0:4] = b"\1\0\0\0"

    def disarm(self): self.page[0:4] = bytes(4)
    def fired(self): return struct.unpack("<Q", self.page[FIRED_AT:FIRED_AT + 8])[0]

    def counts(self):
        seen = struct.unpack(f"<{CALLS_MAX}Q", self.page[SEEN_AT:SEEN_AT + 8 * CALLS_MAX])
        return {n: c for n, c in zip(self.names(), seen) if c}

    def close(self):
        self.disarm()
        shutil.rmtree(self.directory)


def build_shim():
    path = tempfile.mkdtemp(prefix="postroad-shim-") + "/faultshim.so"
    os.chmod(os.path.dirname(path), 0o755)
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-fPIC", "-shared", "-o", path, f"{HERE}/faultshim.c", "-ldl"], check=True)
    return path


def programs_dir(shim, page):
    """The programs, and a deliver that takes the library along: it is started with an empty environment."""
    path = f"{os.path.dirname(shim)}/programs"
    os.mkdir(path)
    os.chmod(path, 0o755)
    for name in os.listdir(house.BIN):
        if name != "deliver":
            os.symlink(f"{house.BIN}/{name}", f"{path}/{name}")
    with open(f"{path}/deliver", "w") as f:
        f.write(f"#!/bin/sh\nLD_PRELOAD={shim} POSTROAD_TORTURE={page} exec {house.BIN}/deliver\n")
    os.chmod(f"{path}/deliver", 0o755)
    return path


class World:
    def __init__(self):
        self.shim, self.n = build_shim(), 0
        self.control = Control(os.path.dirname(self.shim))
        self.tried = {}
        self.sink = sink.Sink(self.rule)
        dns = Dns({})
        dns.zone = AnyName()
        self.local_user = "games" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.m = house.Postroad(start=False, workers=1, dns=dns, smtp_tcp_port=str(self.sink.port), inet_protocols="ipv4",
                                daemon_directory=programs_dir(self.shim, self.control.path),
                                env={"LD_PRELOAD": self.shim, "POSTROAD_TORTURE": self.control.path}, master=[
                                    "pickup unix n - n 60 1 pickup", "local unix - n n - 1 local"],
                                mydestination="mx.test", local_recipient_maps="", alias_maps="", minimal_backoff_time="1s",
                                maximal_backoff_time="1s", queue_run_delay="1s", service_throttle_time="1s", smtp_connect_timeout="2s",
                                smtpd_client_connection_count_limit="0",
                                default_destination_concurrency_failed_cohort_limit="0", smtpd_hard_error_limit="1000", dns_timeout="2s",
                                notify_classes="")           # there is no postmaster
        os.chmod(self.m.dir, 0o711)
        self.mail = f"{self.m.dir}/mail"
        os.mkdir(self.mail)
        os.chmod(self.mail, 0o1777)
        self.m.settings["mail_spool_directory"] = self.mail
        self.m.write_config()
        self.m.start()
        self.master = self.m.processes()["master"]
        self.owed, self.got, self.copies = {}, set(), 0
        self.seen_messages = self.seen_mail = 0
        self.bad, self.steps, self.slowest, self.exits = [], 0, 0.0, {}

    def rule(self, session, step, text):
        if step == "rcpt" and "<no" in text:
            return "550 5.1.1 no such user"
        if step == "rcpt" and "<later" in text:
            self.tried[text] = self.tried.get(text, 0) + 1
            return "451 4.2.1 later" if self.tried[text] == 1 else None
        return None

    # -- mail --

    def address(self, kind, n): return f"{self.local_user}@mx.test" if kind == "local" else f"{kind}{n}@d{n}.dst.test"

    def send(self, how, kinds):
        """Hand one message in; "yes", or how it was refused."""
        self.n += 1
        n, rcpts = self.n, [self.address(k, self.n) for k in kinds]
        answer = self.by_sendmail(n, rcpts) if how == "sendmail" else self.by_smtp(n, rcpts)
        if answer == "yes":
            self.owed.update({(n, k): time.monotonic() for k in kinds})
        return answer

    def by_smtp(self, n, rcpts):
        try:
            t = house.Talk(("127.0.0.1", self.m.port), timeout=3)
        except OSError as e:
            return f"connect: {e}"
        try:
            for say in [None, "EHLO c.test", "MAIL FROM:<s@src.test>"] + [f"RCPT TO:<{r}>" for r in rcpts] + ["DATA", f"X-Fault: {n}\r\n\r\ntext\r\n."]:
                if say:
                    t.put(say)
                reply = t.reply()
                if reply[:1] == "5":
                    self.bad.append(f"{reply!r} in reply to {say!r}")
                if reply[:1] not in "23":
                    return reply
            return "yes"
        except (OSError, AssertionError) as e:
            return str(e)
        finally:
            t.close()

    def by_sendmail(self, n, rcpts):
        try:
            self.m.run("-i", "-f", "s@src.test", *rcpts, name="sendmail", stdin=f"X-Fault: {n}\n\ntext\n", check=False, limit=20)
        except subprocess.TimeoutExpired:
            self.bad.append("sendmail hangs")
            return "hangs"
        if self.m.status == 0:
            return "yes"
        self.exits[self.m.status] = self.exits.get(self.m.status, 0) + 1
        return f"exit {self.m.status}"

    def look(self):
        """Take what has arrived off the list."""
        arrived = []
        messages = self.sink.messages[:]
        for i in range(self.seen_messages, len(messages)):
            found = re.search(rb"(?m)^X-Fault: (\d+)\r", messages[i].content)
            if found and messages[i].rcpts[0].startswith("s@"):
                arrived += [(int(found[1]), "no")] if b"no such user" in messages[i].content else []
            elif found:
                arrived += [(int(found[1]), re.match("[a-z]+", r)[0]) for r in messages[i].rcpts]
        self.seen_messages = len(messages)
        try:
            with open(f"{self.mail}/{self.local_user}", "rb") as f:
                # What is just being written may be taken back.
                fcntl.lockf(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
                f.seek(self.seen_mail)
                text = f.read()
            whole = text.rpartition(b"\n")[0]
            self.seen_mail += len(whole)
            arrived += [(int(n), "local") for n in re.findall(rb"(?m)^X-Fault: (\d+)", whole)]
        except OSError:
            pass
        for key in arrived:
            self.copies += key in self.got
            self.got.add(key)
            self.owed.pop(key, None)
        self.owed = {k: v for k, v in self.owed.items() if k not in self.got}
        return not self.owed

    def wait(self, what, seconds):
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    # -- experiments --

    def dose(self, role):
        how, kinds = ROLES[role]
        if how == "kill":
            self.strike("smtp")
        return self.send("smtp" if how == "kill" else how, kinds)

    def strike(self, program):
        for pid in self.m.processes().get(program, []):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass

    def settled(self): return self.look()

    def census(self, role, start=False):
        """How often each call is made for one message, or by one start."""
        self.control.arm(role, "", COUNT)
        if start and role == "master":
            self.m.stop(check=False)
            self.m.start()
        elif start:
            self.strike(role)
            self.wait(lambda: role in self.m.processes(), 10)
        self.dose("smtpd" if start and role == "master" else role)
        self.wait(self.settled, 15)
        counts = self.control.counts()
        self.control.disarm()
        return counts

    def healthy(self):
        """Mail goes all the way again; after how long.  Mail that was taken while qmgr could not be told waits for its sweep, so
        more than one is sent."""
        began, fresh, next_one = time.monotonic(), set(), 0.0
        while time.monotonic() - began < WELL:
            if time.monotonic() >= next_one:
                if self.send("smtp", ("ok",)) == "yes":
                    fresh.add((self.n, "ok"))
                next_one = time.monotonic() + (0.5 if fresh else 0.05)
            self.look()
            took = time.monotonic() - began
            if fresh & self.got and took <= WELL:
                return took
            time.sleep(0.005)
        return None

    def step(self, role, start, call, action, n, onwards):
        """One experiment; did the fault come to pass?"""
        self.control.arm(role, call, action, n, onwards)
        if start:
            self.strike(role)
            time.sleep(0.02)
        self.dose(role)
        if not self.wait(lambda: self.look() or (onwards and self.control.fired()), 2 if not start else 4) or onwards:
            self.wait(self.look, 0.15)
        fired = self.control.fired()
        self.control.disarm()
        if not fired:
            return False
        self.steps += 1
        took = self.healthy()
        if took is None:
            self.bad.append(f"no mail goes through {WELL:.0f} s after the fault")
            self.wait(lambda: self.healthy() is not None, 60)
        self.slowest = max(self.slowest, took or 0)
        if self.m.processes().get("master") != self.master:
            self.bad.append("master died")
            self.m.run("start", check=False)
            self.master = self.m.processes().get("master")
        return True

    def step_of_a_start(self, call, action, n, onwards):
        """The same while master starts: it comes to be, or says that it did not, and then a second start brings it up."""
        self.m.stop(check=False)
        self.control.arm("master", call, action, n, onwards)
        starter = self.m.begin("start")
        if onwards and self.wait(lambda: self.control.fired() or starter.poll() is not None, 5):
            self.wait(lambda: starter.poll() is not None, 0.3)
            self.control.disarm()
        if not self.wait(lambda: starter.poll() is not None, 15):
            self.bad.append("start hangs")
            starter.kill()
        fired = self.control.fired()
        self.control.disarm()
        began = time.monotonic()
        if starter.wait() != 0 and "master" not in self.m.processes():       # it may live, and could just not say so
            self.m.run("start", check=False)
            if self.m.status != 0:
                self.bad.append(f"no second start: exit {self.m.status}: {self.m.said[-200:]!r}")
                self.m.run("abort", check=False)
                self.m.start()
        if self.healthy() is None:
            self.bad.append(f"no mail goes through {WELL:.0f} s after the start")
        self.slowest = max(self.slowest, time.monotonic() - began if fired else 0)
        self.steps += fired > 0
        self.master = self.m.processes().get("master")
        return fired > 0

    def mend(self):
        """What is stuck has been counted; the next cell begins with a mail system that works."""
        if self.healthy() is None:
            self.m.run("stop", check=False)
            self.m.start()
            self.master = self.m.processes()["master"]
            self.wait(self.look, 10)
        self.owed = {}

    def cell(self, role, start, call, error, onwards, most):
        """All n of one process, call, error and mode; (steps, what went wrong)."""
        action = {"SHORT": SHORT, "KILL": KILL}.get(error) or getattr(__import__("errno"), error)
        self.bad, before, where = [], self.steps, ""
        for n in range(1, most + 1):
            had = len(self.bad)
            if not (self.step_of_a_start(call, action, n, onwards) if start and role == "master" else
                    self.step(role, start, call, action, n, onwards)):
                break
            if len(self.bad) > had and not where:
                where = f" (n = {n})"
            if len(self.bad) > 3:
                break
        if not self.wait(self.look, 40):
            self.bad.append(f"false 250: nothing came of {sorted(self.owed)[:3]}")
            self.mend()
        return self.steps - before, [f"{b}{where}" for b in self.bad[:2]]


def modes(error): return (False,) if error in ONCE_ONLY or error == "KILL" else (False, True)


def cells(role, counts):
    for call, count in sorted(counts.items()):
        errors = ERRORS.get(call, OTHERS)
        for error in errors + (("KILL",) if role != "master" else ()):
            for onwards in modes(error):
                yield call, error, onwards, count


def row(role, phase, done, bad, w, began, copies):
    return {"process": role, "phase": phase, "cells": done[0], "faults": done[1], "violations": len(bad), "slowest recovery, s": f"{w.slowest:.1f}",
            "second copies": copies, "seconds": f"{time.monotonic() - began:.0f}"}


def sweep(w, role, start, most, picked, tell):
    began, done, bad, copies = time.monotonic(), [0, 0], [], w.copies
    w.slowest = 0.0
    counts = w.census(role, start)
    for call, error, onwards, count in cells(role, counts):
        if not picked(call, error, onwards):
            continue
        steps, wrong = w.cell(role, start, call, error, onwards, min(5 if call in MEMORY else most, count + 1))
        done[0] += 1
        done[1] += steps
        if wrong:
            bad.append((role, "start" if start else "work", call, error, "for ever" if onwards else "once", wrong))
            tell(f"VIOLATION {bad[-1]}")
    return row(role, "start" if start else "work", done, bad, w, began, w.copies - copies), bad


def control(w):
    """A disk that says yes and writes nothing: the suite must see the false 250.  A fault that does not end: it must see that."""
    w.bad = []
    w.control.arm("smtpd", "write", LIE, 1, True)
    answers = [w.send("smtp", ("ok",)) for _ in range(3)]
    w.control.arm("smtpd", "pwrite", LIE, 1, True)
    answers += [w.send("smtp", ("ok",)) for _ in range(3)]
    w.control.disarm()
    time.sleep(1)
    w.look()
    lost = len(w.owed)
    assert "yes" in answers and lost, f"a disk that writes nothing was not noticed: {answers}, {lost} lost"
    w.owed = {}
    w.control.arm("smtpd", "accept4", 24, 1, True)
    stuck = w.healthy() is None
    w.control.disarm()
    assert stuck, "a fault that goes on was not noticed"
    return {"process": "control", "phase": "a disk that lies; a fault that stays", "violations": f"{lost} + 1 seen, as must be"}


def suite(quick, roles=None, starts=None, tell=lambda text: print(text, flush=True)):
    w, rows, bad = World(), [], []
    few = {"write": ("ENOSPC", "SHORT"), "pwrite": ("EIO",), "openat": ("EMFILE",), "fsync": ("EIO",), "fdatasync": ("EIO",),
           "syncfs": ("EIO",), "renameat2": ("EIO",), "unlinkat": ("EIO",), "accept4": ("EMFILE",), "connect": ("EAGAIN",), "sendmsg": ("ECONNRESET",),
           "fork": ("EAGAIN",), "epoll_ctl": ("ENOMEM",), "mmap": ("ENOMEM",), "close": ("EIO",), "send": ("ECONNRESET",)}

    def picked(call, error, onwards): return not quick or error in few.get(call, ())
    plan = [(r, False) for r in roles or ROLES] + [(r, True) for r in (() if quick else starts or STARTED)]
    for role, start in plan:
        got, wrong = sweep(w, role, start, 2 if quick else 15 if not start else 8, picked, tell)
        rows.append(got)
        bad += wrong
        tell(f"{got}")
    house.wait_until(lambda: not w.m.queue(), 60, 0.2)
    corrupt = w.m.files("corrupt")
    rows.append(control(w))
    assert not corrupt, f"set aside: {corrupt}"
    assert not bad, f"{len(bad)} cells: " + "\n".join(map(str, bad))
    return rows, [f"sendmail's exit codes: {w.exits}"]
