# SPDX-License-Identifier: Apache-2.0
"""mtabench -- run peers' MTAs in their trees (see peers.sh), load them, and measure.

Used as a library by run.py.  A peer is started inside its own cpuacct cgroup (v1; this machine's
layout) so that user+sys CPU of all its processes, dead ones included, is read exactly; memory is
the sum of Pss over the cgroup's processes.  Everything binds to loopback only.
"""
import json, mmap, os, re, shutil, signal, statistics, struct, subprocess, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TOOLS = os.environ.get("TOOLS", ROOT + "/build/bench")          # smtpsrc, smtpsink, logsink
MTA = os.environ.get("MTA", ROOT + "/build/release/bin")            # the Postroad that is measured
PEERS = os.environ.get("PEERS", "/tmp/mta-peers")
SPOOL = os.environ.get("SPOOL", PEERS + "/spool")
CG = "/sys/fs/cgroup/cpuacct"
SINKPORT = 2525


def sh(cmd, **kw):
    return subprocess.run(cmd, shell=isinstance(cmd, str), capture_output=True, text=True, **kw)


CHILDREN = []                              # sinks and sources we started


def kill_children():
    for p in CHILDREN:
        if p.poll() is None:
            p.kill()
            p.wait()


def wait_for(cond, secs, step=0.02):
    end = time.monotonic() + secs
    while time.monotonic() < end:
        if cond():
            return True
        time.sleep(step)
    return False


def port_open(port):
    import socket
    s = socket.socket()
    s.settimeout(5)
    try:
        s.connect(("127.0.0.1", port))
        return s.recv(4)[:3] == b"220"
    except OSError:
        return False
    finally:
        s.close()


class Sink:
    """smtpsink with mapped counters."""
    NAMES = "conn msg rcpt bytes last tls resumed refused open fast".split()

    def __init__(self, *opts, port=SINKPORT, cnt="/tmp/bench-sink.cnt"):
        self.p = subprocess.Popen([TOOLS + "/smtpsink", "-c", cnt, *opts, str(port)])
        CHILDREN.append(self.p)
        wait_for(lambda: os.path.exists(cnt) and os.path.getsize(cnt) >= 80, 3)
        time.sleep(0.1)
        self.map = mmap.mmap(os.open(cnt, os.O_RDONLY), 80, prot=mmap.PROT_READ)

    def get(self):
        return dict(zip(self.NAMES, struct.unpack("10Q", self.map[:80])))

    def cpu(self):
        return procstat(self.p.pid)

    def stop(self):
        self.p.kill()
        self.p.wait()


def procstat(pid):
    f = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    return (int(f[11]) + int(f[12])) / 100.0


def busy():
    f = [int(x) for x in open("/proc/stat").readline().split()[1:]]
    return (sum(f) - f[3] - f[4]) / 100.0


class Peer:
    name, port, spooldir, workdir = "?", 0, "", ""

    def __init__(self, profile="default", **opt):
        self.profile, self.opt = profile, opt
        self.tree = f"{PEERS}/{self.name}"
        self.cg = f"{CG}/bench-{self.name}-{profile}"
        self.log = None

    # -- cgroup ---------------------------------------------------------------
    def spawn(self, argv, chroot=True, wait=True, env=None, **kw):
        os.makedirs(self.cg, exist_ok=True)
        def enter():
            open(self.cg + "/cgroup.procs", "w").write(str(os.getpid()))
            if chroot:
                os.chroot(self.tree)
                os.chdir("/")
        e = dict(os.environ, PATH="/usr/sbin:/usr/bin:/sbin:/bin" if chroot else os.environ["PATH"], LC_ALL="C")
        e.update(env or {})
        kw.setdefault("stdout", subprocess.DEVNULL)     # a daemon must not hold our own output open
        kw.setdefault("stderr", subprocess.DEVNULL)
        p = subprocess.Popen(argv, preexec_fn=enter, env=e, stdin=subprocess.DEVNULL, **kw)
        if wait:
            p.wait()
        return p

    def pids(self):
        try:
            return [int(x) for x in open(self.cg + "/cgroup.procs")]
        except OSError:
            return []

    def cpu(self):
        u = int(open(self.cg + "/cpuacct.usage_user").read()) / 1e9
        s = int(open(self.cg + "/cpuacct.usage_sys").read()) / 1e9
        return u, s

    def mem(self):
        """(MiB Pss, MiB Rss, processes)"""
        pss = rss = n = 0
        for pid in self.pids():
            try:
                t = open(f"/proc/{pid}/smaps_rollup").read()
                pss += int(re.search(r"^Pss:\s+(\d+)", t, re.M).group(1))
                rss += int(re.search(r"^Rss:\s+(\d+)", t, re.M).group(1))
                n += 1
            except (OSError, AttributeError):
                pass
        return pss / 1024, rss / 1024, n

    # -- life -----------------------------------------------------------------
    def chroot(self, cmd, **kw):
        return sh(["chroot", self.tree, "sh", "-c", cmd], **kw)

    def up(self):
        if self.spooldir:
            src = f"{SPOOL}/{self.name}"
            self.wipe()
            os.makedirs(src, exist_ok=True)
            dst = self.tree + self.spooldir
            os.makedirs(dst, exist_ok=True)
            st = os.stat(dst)
            os.chown(src, st.st_uid, st.st_gid); os.chmod(src, st.st_mode & 0o7777)
            sh(["mount", "--bind", src, dst])
        if os.path.isdir(self.tree + "/etc"):
            open(self.tree + "/etc/resolv.conf", "w").write("nameserver 127.0.0.1\n")
            open(self.tree + "/etc/hosts", "w").write("127.0.0.1 localhost mx.bench.test\n")
            os.makedirs(self.tree + "/dev", exist_ok=True)
            self.log = subprocess.Popen([TOOLS + "/logsink", self.tree + "/dev/log", self.tree + "/var/log/mail.log"])
            wait_for(lambda: os.path.exists(self.tree + "/dev/log"), 2)
        try:
            self.configure()
            self.start()
            if not wait_for(lambda: port_open(self.port), 20):
                raise RuntimeError(self.name + " did not come up")
        except BaseException:
            self.down()
            raise
        return self

    def down(self):
        self.stop()
        wait_for(lambda: not self.pids(), 5)
        for pid in self.pids():                # only what runs in our own cgroup
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        wait_for(lambda: not self.pids(), 5)
        if self.log:
            self.log.kill(); self.log.wait()
            try: os.unlink(self.tree + "/var/log/mail.log")
            except OSError: pass
        if self.spooldir:
            sh(["umount", self.tree + self.spooldir])
        try:
            os.rmdir(self.cg)
        except OSError:
            pass

    def wipe(self):
        shutil.rmtree(f"{SPOOL}/{self.name}", ignore_errors=True)

    def configure(self): pass
    def start(self): pass
    def stop(self): pass
    def __enter__(self): return self.up()
    def __exit__(self, *a): self.down()


def load(peer, sink, args, messages, rcpts=1, deliver=True, patience=60, port=None):
    """Run smtpsrc against the peer and wait for the sink to have everything.  Returns a dict."""
    s0, (u0, y0), b0 = sink.get(), peer.cpu(), busy()
    t0 = time.monotonic()
    src = subprocess.Popen([TOOLS + "/smtpsrc", *args.split(), "-m", str(messages), "-r", str(rcpts), "-L", "127.0.0.1",
                            str(port or peer.port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    CHILDREN.append(src)
    peak = (0, 0, 0)
    nextmem = t0 + 1
    goal = s0["rcpt"] + messages * rcpts
    last, stuck = s0["rcpt"], t0
    while True:
        time.sleep(0.02)
        now, s = time.monotonic(), sink.get()
        if now > nextmem:
            m = peer.mem(); nextmem = now + 1 + 20 * (time.monotonic() - now)
            if m[0] > peak[0]: peak = m
        if s["rcpt"] != last: last, stuck = s["rcpt"], now
        if src.poll() is not None and (s["rcpt"] >= goal or not deliver): break
        # Some peers leave a few of the source's connections unanswered: all has arrived, so that is the end.
        if now - stuck > (min(patience, 3) if deliver and s["rcpt"] >= goal else patience):
            src.kill(); break
    if not peak[0]: peak = peer.mem()
    out, err = src.communicate()
    s1 = sink.get()
    r = {k: float(v) for k, v in re.findall(r"(\w+)=([\d.]+)", out)}
    end = s1["last"] / 1e6 if deliver else time.monotonic()
    time.sleep(0.3)
    (u1, y1) = peer.cpu()
    got = (s1["rcpt"] - s0["rcpt"]) / rcpts if deliver else r.get("accepted", 0)
    n = max(got, 1)
    return dict(args=args, messages=messages, rcpts=rcpts, accept_rate=r.get("rate", 0), failed=r.get("failed", -1),
                rate=got / max(end - t0, 1e-6), got=got, out_msgs=s1["msg"] - s0["msg"], out_conns=s1["conn"] - s0["conn"],
                user_ms=(u1 - u0) * 1e3 / n, sys_ms=(y1 - y0) * 1e3 / n, cpu_ms=(u1 - u0 + y1 - y0) * 1e3 / n,
                busy_ms=(busy() - b0) * 1e3 / n, p50=r.get("p50_ms"), p99=r.get("p99_ms"), pss=peak[0], rss=peak[1], procs=peak[2],
                err=err[:200])


def median(rows):
    out = dict(rows[0])
    for k, v in rows[0].items():
        if isinstance(v, (int, float)):
            out[k] = statistics.median([r[k] for r in rows if r[k] is not None] or [0])
    out["rate_min"], out["rate_max"] = min(r["rate"] for r in rows), max(r["rate"] for r in rows)
    return out


def note(path, **row):
    with open(path, "a") as f:
        f.write(json.dumps(row) + "\n")
