# SPDX-License-Identifier: Apache-2.0
"""Power cuts.  The spool lies on a file system of its own in a loop-mounted image.  Clients send; at a random moment the file
system is shut down (the shutdown ioctl of ext4 and XFS: from then on nothing reaches the image, and what was in memory only is
lost), every process is killed, the image is copied, the copy is mounted, which replays the file system's journal, and Postroad
is started on it.  Often the next cut comes while it is still rebuilding and delivering.

What must hold (docs/SPOOL.md): whatever got a 250 is delivered, byte for byte, or for a recipient that was refused there is a
notice; a second copy exists only where R6.3 allows it, which is decided for each one from the clock and the log, not counted."""
import fcntl, os, random, shutil, signal, struct, subprocess, sys, tempfile, time

import house, mailer

SHUTDOWN = 0x8004587D                            # _IOR('X', 125, uint32_t), of ext4 and XFS alike
LOG_FLUSH, NO_LOG_FLUSH = 1, 2
FLIGHT = 0.1                                     # what was on its way when its sender died may come a little later
NOTED = 2.0 + 0.5                                # R10.6: the longest that the note of a removal is not durable, and a sync
RECORDED = 1.0 + 1.5                             # qmgr's longest wait before it writes down a result, and this machine's delays


class Missing(Exception):
    """What is needed is not on this machine."""


def run(*cmd):
    p = subprocess.run(cmd, text=True, capture_output=True)
    if p.returncode:
        raise OSError(f"{' '.join(cmd)}: {p.stdout}{p.stderr}")
    return p.stdout.strip()


def usable(kind):
    """Why file system `kind` cannot be had, or None."""
    if os.geteuid() != 0:
        return "needs root"
    if not shutil.which(f"mkfs.{kind}", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        return f"no mkfs.{kind}"
    with open("/proc/filesystems") as f:
        if kind not in f.read().split():
            return f"this kernel has no {kind}"
    return None


class Disk:
    """An image file, mounted; cut() turns it into a copy of what a power cut would have left."""

    def __init__(self, kind, megabytes=1024, inodes=100_000):
        base = "/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 4 << 30 else None
        self.dir, self.kind, self.number = tempfile.mkdtemp(prefix="postroad-disk-", dir=base), kind, 0
        self.mounted = f"{self.dir}/mnt"
        os.mkdir(self.mounted)
        with open(self.image(), "wb") as f:
            f.truncate(megabytes << 20)
        run(*(["/sbin/mkfs.ext4", "-q", "-F", "-N", str(inodes)] if kind == "ext4" else ["/sbin/mkfs.xfs", "-q", "-f"]), self.image())
        self.mount()
        house.ALIVE.append(self)

    def image(self): return f"{self.dir}/image{self.number}"

    def mount(self):
        """nouuid: somebody's mount namespace may keep the former image's XFS, of the same UUID."""
        run("mount", "-o", "loop,nodiscard" + (",nouuid" if self.kind == "xfs" else ""), self.image(), self.mounted)

    def shut_down(self, flag):
        fd = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", flag))
        finally:
            os.close(fd)

    def renew(self):
        """Unmount what is left, and go on with a copy of the image."""
        house.wait_until(lambda: subprocess.run(["umount", self.mounted], capture_output=True).returncode == 0, 30, 0.05)
        old = self.image()
        self.number += 1
        run("cp", "--sparse=always", old, self.image())
        os.unlink(old)
        self.mount()

    def close(self):
        subprocess.run(["umount", "-l", self.mounted], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)


KINDS = ("ext4", "xfs")


def kill_all(m):
    while True:
        pids = m.all_pids()
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.01)


class Trial:
    """One file system and one Postroad on it, through many cuts."""

    def __init__(self, kind, sync="auto", seed=1):
        self.kind, self.rnd, self.disk = kind, random.Random(seed), Disk(kind)
        self.dir = tempfile.mkdtemp(prefix="postroad-torture-")
        self.ledger = mailer.Ledger(self.dir)
        self.sink = mailer.Sink(self.ledger)
        house.ALIVE.append(self.sink)
        self.m = house.Postroad(sink=self.sink, start=False, queue_directory=f"{self.disk.mounted}/spool", spool_sync=sync,
                                data_directory=f"{self.disk.mounted}/data", minimal_backoff_time="1s", maximal_backoff_time="2s",
                                queue_run_delay="2s", message_size_limit="1000000",
                                smtpd_client_connection_count_limit="0", default_destination_concurrency_limit="50")
        self.m.spool = f"{self.disk.mounted}/spool"
        self.watch = mailer.LogWatch(self.ledger, self.m.maillog)
        house.ALIVE += [self.watch, self]
        self.cuts, self.during_recovery, self.held = [], 0, 0
        self.m.start()

    def close(self): shutil.rmtree(self.dir)

    def cut(self):
        off = time.monotonic()
        self.disk.shut_down(self.rnd.choice((LOG_FLUSH, NO_LOG_FLUSH)))
        kill_all(self.m)
        self.cuts.append((off, time.monotonic()))
        self.disk.renew()
        self.m.start()

    def round(self, seconds, hold=False):
        """Send for a while, cut, recover, perhaps cut again; then all that was acknowledged must arrive."""
        load = mailer.Load(self.ledger, self.m.port, threads=24)
        time.sleep(self.rnd.uniform(0.2, 1) * seconds)
        if hold:
            self.m.run("queue", "hold", "all", check=False)
            self.held += 1
        time.sleep(self.rnd.uniform(0, 0.3))
        self.cut()
        load.stop()
        while self.rnd.random() < 0.4:
            time.sleep(self.rnd.uniform(0, 0.5))
            self.during_recovery += 1
            self.cut()
        if hold:
            self.m.run("queue", "release", "all", check=False)

    def unexcused(self):
        """Second copies that R6.3 does not allow, and how many it does.  What was delivered between the moment the disk was gone
        and the moment the processes were is in flight as well: in a true power cut there is no such time."""
        bad, allowed = [], 0
        commits = [(off, dead, self.ledger.last_commit(off)) for off, dead in self.cuts]
        for (n, i), first, again in self.ledger.copies():
            gone = self.ledger.removed(n, first)
            if any(first <= dead + FLIGHT and off < again and self.excused(first, gone, off, commit) for off, dead, commit in commits):
                allowed += 1
            elif n in self.ledger.acked:                             # the others the client may have sent again
                bad.append((n, i, first, again, gone))
        return bad, allowed

    @staticmethod
    def excused(first, gone, off, commit):
        """(b) removed, but perhaps not durably; (a) in flight, or its outcome not yet written down."""
        return gone > min(commit, off - NOTED) if gone is not None and gone <= off else first >= off - RECORDED

    def summary(self):
        bad, allowed = self.unexcused()
        return {"file system": self.kind, "cuts": len(self.cuts), "of them while recovering": self.during_recovery,
                "acknowledged": len(self.ledger.acked), "recipients": sum(len(mailer.kinds_of(n)) for n in self.ledger.acked),
                "notices": len(self.ledger.notices), "second copies": allowed, "unexcused copies": len(bad),
                "lost": len(self.ledger.owed()), "damaged": len(self.ledger.damaged), "corrupt": len(self.m.files("corrupt"))}


def check(trial):
    s = trial.summary()
    assert s["lost"] == 0, f"{s['lost']} acknowledged recipients got nothing: {s}"
    assert s["damaged"] == 0, f"changed on the way: {s}"
    assert s["unexcused copies"] == 0, f"more copies than R6.3 allows: {trial.unexcused()[0][:5]} {s}"
    return s


def cuts(kind, number, acknowledged, seconds):
    """At least this many cuts and acknowledged messages, all on one file system that lives on from cut to cut."""
    t = Trial(kind)
    while len(t.cuts) < number or len(t.ledger.acked) < acknowledged:
        t.round(seconds, hold=len(t.cuts) % 5 == 4)
        t.ledger.settle()
        print(f"{kind}: {check(t)}", file=sys.stderr, flush=True)
    house.wait_until(lambda: not t.m.queue(), 60, 0.2)
    return check(t)


def control(kind):
    """Without syncs the same must lose mail: otherwise the cuts cut nothing."""
    t = Trial(kind, sync="none")
    for _ in range(5):
        t.round(1)
        if t.ledger.settle(6):
            return dict(t.summary(), **{"file system": f"{kind}, spool_sync = none"})
    raise AssertionError(f"{kind}: five power cuts lost nothing although nothing was synced: the suite proves nothing")


def suite(quick):
    rows, left_out = [], []
    for kind in KINDS:
        why = usable(kind)
        if why:
            left_out.append(f"{kind}: {why}")
            continue
        for part in (lambda: cuts(kind, *((4, 100, 1.5) if quick else (60, 100_000, 8))), lambda: control(kind)):
            rows.append(part())
            house.clean_up()
    return rows, left_out
