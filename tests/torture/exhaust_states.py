# SPDX-License-Identifier: Apache-2.0
"""The states of tests/torture/exhaust.py.  Each is begun, kept up (called every 50 ms: what is freed meanwhile is taken again) and ended."""
import os, random, re, resource, signal, subprocess, time

import house, powercut

PIECES = (1 << 26, 1 << 22, 1 << 18, 1 << 14)


def running(w, role):
    return [p for p in w.m.processes().get(role, [])]


class State:
    rate = None                                      # messages a second; None: as usual
    patience = 5.0                                   # seconds after its end in which mail must flow again

    def prepare(self, w): pass
    def begin(self, w): pass
    def keep(self, w): pass
    def end(self, w): pass
    def figures(self): return {}


def fill(path, leave=0):
    """Let the file have all that its file system has left but `leave` bytes; what is free now."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        for size in PIECES:
            while free(path) - leave >= size:
                try:
                    os.posix_fallocate(fd, os.fstat(fd).st_size, size)
                except OSError:
                    break
        while free(path) > leave or not leave:           # what is reserved for root as well
            try:
                os.write(fd, bytes(4096))
            except OSError:
                break
    finally:
        os.close(fd)
    return free(path)


def free(path):
    v = os.statvfs(path)
    return v.f_bavail * v.f_frsize


class FullDisk(State):
    """A file takes everything, and whatever is freed; `then` is done once it is full."""

    def __init__(self, name="full disk", then=None):
        self.name, self.then, self.least = name, then, 1 << 60

    def begin(self, w):
        self.path = f"{w.place}/filler"
        self.keep(w)
        if self.then:
            self.then(w)

    def keep(self, w): self.least = min(self.least, fill(self.path))
    def end(self, w): os.unlink(self.path)
    def figures(self): return {"least free": self.least}


class FullOfMail(State):
    """The next hop hangs and mail comes in until there is no more room for it; then it goes on."""
    name, rate = "full of mail", 0

    def __init__(self, room=24 << 20): self.room, self.least, self.path = room, 1 << 60, None

    def begin(self, w):
        self.path = f"{w.place}/filler"
        fill(self.path, self.room)
        os.kill(w.sink.process.pid, signal.SIGSTOP)

    def keep(self, w): self.least = min(self.least, free(w.place))

    def end(self, w):
        os.kill(w.sink.process.pid, signal.SIGCONT)
        house.wait_until(lambda: free(w.place) > 4 << 20, 60)        # the filler must not be what frees it
        os.unlink(self.path)

    def figures(self): return {"least free": self.least}


class NoInodes(State):
    name = "no inodes"

    def begin(self, w):
        self.dir = f"{w.place}/filler"
        os.mkdir(self.dir)
        self.n = 0
        self.keep(w)

    def keep(self, w):
        try:
            while True:
                os.close(os.open(f"{self.dir}/{self.n}", os.O_CREAT | os.O_WRONLY))
                self.n += 1
        except OSError:
            pass

    def end(self, w): subprocess.run(["rm", "-rf", self.dir], check=True)
    def figures(self): return {"files": self.n}


class NoFiles(State):
    """RLIMIT_NOFILE of the processes of one role: so many more than what they have open when they are first seen."""
    def __init__(self, role, more): self.name, self.role, self.more, self.limits = f"no descriptors: {role} + {more}", role, more, {}

    @staticmethod
    def next_free(pid):
        have, n = {int(x) for x in os.listdir(f"/proc/{pid}/fd")}, 0
        while n in have:
            n += 1
        return n

    def begin(self, w): self.keep(w)

    def keep(self, w):
        for pid in running(w, self.role):
            if pid not in self.limits:
                try:
                    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
                    self.limits[pid] = hard
                    resource.prlimit(pid, resource.RLIMIT_NOFILE, (self.next_free(pid) + self.more, hard))
                except (OSError, ValueError):
                    self.limits.pop(pid, None)

    def end(self, w):
        for pid, hard in self.limits.items():
            try:
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
            except OSError:
                pass


class NoAddresses(State):
    """RLIMIT_AS of the processes of one role: what they have when they are first seen, and so many KiB."""
    def __init__(self, role, more): self.name, self.role, self.more, self.seen = f"no memory: {role} + {more} KiB", role, more, set()

    def begin(self, w): self.keep(w)

    def keep(self, w):
        for pid in running(w, self.role):
            if pid in self.seen:
                continue
            try:
                with open(f"/proc/{pid}/status") as f:
                    size = int(re.search(r"VmSize:\s+(\d+)", f.read())[1])
                hard = resource.prlimit(pid, resource.RLIMIT_AS)[1]
                resource.prlimit(pid, resource.RLIMIT_AS, ((size + self.more) << 10, hard))
                self.seen.add(pid)
            except (OSError, ValueError, TypeError):
                pass

    def end(self, w):
        for pid in self.seen:
            try:
                hard = resource.prlimit(pid, resource.RLIMIT_AS)[1]
                resource.prlimit(pid, resource.RLIMIT_AS, (hard, hard))
            except OSError:
                pass


class Group:
    """A control group of our own, of whichever version this machine has the controller in."""

    def __init__(self, controller):
        for base in (f"/sys/fs/cgroup/{controller}", "/sys/fs/cgroup"):
            self.base, self.old = base, base != "/sys/fs/cgroup"
            if os.path.exists(f"{base}/cgroup.procs") and (self.old or self.has(controller)):
                break
        else:
            raise powercut.Missing(f"no {controller} controller")
        self.dir = f"{self.base}/postroad-torture-{os.getpid()}"
        try:
            os.mkdir(self.dir)
        except OSError as e:
            raise powercut.Missing(f"no control group of our own: {e.strerror}") from e

    @staticmethod
    def has(controller):
        if controller == "freezer":                  # each group of version 2 can be frozen
            return True
        with open("/sys/fs/cgroup/cgroup.subtree_control") as f:
            return controller in f.read().split()

    def write(self, name, value):
        with open(f"{self.dir}/{name}", "w") as f:
            f.write(str(value))

    def read(self, name):
        with open(f"{self.dir}/{name}") as f:
            return f.read()

    def take(self, w):
        """Start the system anew in it, so that all its memory counts."""
        w.m.stop()
        self.write("cgroup.procs", os.getpid())
        try:
            w.m.start()
        finally:
            with open(f"{self.base}/cgroup.procs", "w") as f:
                f.write(str(os.getpid()))
        w.master = w.m.processes()["master"]

    def close(self):
        for pid in self.read("cgroup.procs").split():
            try:
                with open(f"{self.base}/cgroup.procs", "w") as f:
                    f.write(pid)
            except OSError:
                pass
        for _ in range(100):
            try:
                os.rmdir(self.dir)
                return
            except OSError:
                time.sleep(0.05)


class NoMemory(State):
    """The whole system in a group that may have no more than it has, so that the kernel kills."""
    killed = 0

    def __init__(self, share): self.share, self.name = share, f"no memory: the whole system, {share:.0%} of what it has"

    def prepare(self, w): self.group = w.group("memory")

    def begin(self, w):
        self.limit, self.usage = ("memory.limit_in_bytes", "memory.usage_in_bytes") if self.group.old else ("memory.max", "memory.current")
        for name in ("memory.swappiness", "memory.swap.max"):
            if os.path.exists(f"{self.group.dir}/{name}"):
                self.group.write(name, 0)
        self.now = int(self.group.read(self.usage))
        self.target = int(self.now * self.share)
        self.keep(w)

    def keep(self, w):
        """Down to the target, in steps, as the old controller refuses what it cannot reclaim; then growing kills."""
        if self.now <= self.target:
            return
        self.now = max(self.target, min(self.now, int(self.group.read(self.usage))) - (64 << 10))
        try:
            self.group.write(self.limit, self.now)
        except OSError:
            pass

    def end(self, w):
        self.group.write(self.limit, -1 if self.group.old else "max")
        text = self.group.read("memory.oom_control" if self.group.old else "memory.events")
        self.killed = int(re.search(r"(?m)^oom_kill (\d+)", text)[1])

    def figures(self): return {"killed by the kernel": self.killed}


class NoProcesses(State):
    """No process or thread can be made any more, while those that are there die now and then."""
    mortal = ("smtp", "smtpd", "qmgr", "bounce", "local", "pickup", "resolver")

    def __init__(self, more=0):
        self.more, self.rnd, self.next = more, random.Random(5), 0
        self.name = f"no processes: + {more}"

    def prepare(self, w): self.group = w.group("pids")

    def begin(self, w):
        self.next = time.monotonic() + 0.5
        self.group.write("pids.max", int(self.group.read("pids.current")) + self.more)

    def keep(self, w):
        """Those that died leave room for others: that is taken away as well."""
        self.group.write("pids.max", max(1, min(int(self.group.read("pids.max")), int(self.group.read("pids.current")) + self.more)))
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + 0.5
        pids = running(w, self.rnd.choice(self.mortal))
        if pids:
            w.kill(self.rnd.choice(pids))

    def end(self, w): self.group.write("pids.max", "max")


def kill_qmgr(w):
    for pid in running(w, "qmgr"):
        w.kill(pid)


def restart(w):
    """Stop and start, as an operator would who hopes that it helps."""
    w.deaths.append(time.monotonic())
    w.m.run("stop", check=False)
    w.m.run("start", check=False, limit=90)
    w.master = w.m.processes().get("master")
    w.deaths.append(time.monotonic())
