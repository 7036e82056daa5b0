# SPDX-License-Identifier: Apache-2.0
"""A Debian 12 of its own, booted by its own systemd in its own namespaces, with no network but loopback: Machine().  Its files are a
thin layer over a tree that is made once (build/real/base), or over one where the package is installed already (build/real/installed)."""
import hashlib, os, shlex, shutil, signal, subprocess, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = f"{ROOT}/build/real"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
# What the package depends on and what uses a mail system; nothing of it brings one.
PACKAGES = """systemd-sysv dbus iproute2 procps python3 man-db logrotate cron
    libunbound8 libdb5.3 libcdb1 libpcre2-8-0 libseccomp2 libssl3 libsasl2-2 dns-root-data ca-certificates
    s-nail mutt swaks git git-email libmailtools-perl netcat-openbsd make
    dovecot-core dovecot-lmtpd fail2ban pflogsumm monitoring-plugins-basic curl""".split()
# These want a mail system, so they are fetched now and installed when ours is there (or, the last, to be replaced by ours).
FETCHED = ["bsd-mailx", "logwatch", "postfix"]
# Of these a single program is wanted, not what they depend on: unpacked below /opt/unpacked.
UNPACKED = ["prometheus-postfix-exporter", "monitoring-plugins-standard"]
HOSTS = "127.0.0.1\tlocalhost\n127.0.1.1\thost.example.net host\n::1\tlocalhost ip6-localhost\n"
ALIVE = []


class Failed(AssertionError):
    pass


def run(*cmd, limit=1800, check=True, stdin=None):
    p = subprocess.run(cmd, text=True, errors="replace", input=stdin or "", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit)
    if check and p.returncode:
        raise Failed(f"{shlex.join(cmd)}: exit {p.returncode}\n{p.stdout[-4000:]}")
    return p.stdout


def wait_until(what, seconds=30, step=0.1):
    """Call what() until it returns something true; that is returned."""
    end = time.time() + seconds
    while True:
        got = what()
        if got:
            return got
        if time.time() > end:
            raise Failed(f"not within {seconds} s: {getattr(what, '__doc__', None) or what}")
        time.sleep(step)


def base():
    """The tree without a mail system; made when it is not there or was made for another list of packages."""
    want = hashlib.sha256(repr((PACKAGES, FETCHED, UNPACKED, HOSTS, MIRROR)).encode()).hexdigest()
    tree, mark = f"{CACHE}/base", f"{CACHE}/base.made-for"
    if os.path.exists(mark) and open(mark).read() == want:
        return tree
    print("making a Debian 12 in build/real/base (once; some minutes)", flush=True)
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(CACHE, exist_ok=True)
    run("debootstrap", "--variant=minbase", "bookworm", tree, MIRROR)
    for path, text in (("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n"), ("etc/hosts", HOSTS), ("etc/hostname", "host\n")):
        with open(f"{tree}/{path}", "w") as f:
            f.write(text)
    os.chmod(f"{tree}/usr/sbin/policy-rc.d", 0o755)
    apt = "export DEBIAN_FRONTEND=noninteractive; mount -t proc proc /proc; apt-get -q -y --no-install-recommends "
    for words in (["install"] + PACKAGES, ["-d", "install"] + FETCHED):
        run("unshare", "-m", "-p", "-f", "chroot", tree, "sh", "-ec", apt + " ".join(words))
    run("chroot", tree, "sh", "-ec", "mkdir /opt/unpacked; cd /opt/unpacked; apt-get -q download " + " ".join(UNPACKED) +
        "; for f in *.deb; do dpkg -x $f .; done; rm *.deb")
    os.unlink(f"{tree}/usr/sbin/policy-rc.d")
    for unit in ("fail2ban", "dovecot", "cron"):
        run("chroot", tree, "systemctl", "disable", unit)
    with open(mark, "w") as f:
        f.write(want)
    return tree


def deb():
    found = sorted(f for f in os.listdir(f"{ROOT}/build") if f.startswith("postroad_") and f.endswith(".deb"))
    if not found:
        raise Failed("no package in build/: make deb")
    return f"{ROOT}/build/{found[-1]}"


class Machine:
    """Boot.  installed: with our package, of which a layer is kept, made from the package as it is now."""

    def __init__(self, installed=True):
        self.dir = tempfile.mkdtemp(prefix="postroad-real-")
        self.root = f"{self.dir}/host"
        layers = [base()]
        if installed:
            layers.insert(0, installed_layer())
        for name in ("host", "upper", "work"):
            os.mkdir(f"{self.dir}/{name}")
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={':'.join(layers)},upperdir={self.dir}/upper,workdir={self.dir}/work", self.root)
        ALIVE.append(self)
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", self.root, "--private-network", "--boot", "--register=no", "--keep-unit", "--console=pipe",
             "--hostname=host"], stdin=subprocess.DEVNULL, stdout=open(f"{self.dir}/console", "w"), stderr=subprocess.STDOUT)
        self.init = wait_until(self.find_init)
        wait_until(lambda: self.sh("systemctl is-system-running || true").strip() in ("running", "degraded"), 120, 0.3)

    def find_init(self):
        """the machine's first process"""
        if self.nspawn.poll() is not None:
            with open(f"{self.dir}/console") as f:
                raise Failed(f"systemd-nspawn ended: {f.read()}")
        with open(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children") as f:
            pids = f.read().split()
        for pid in pids:
            try:
                with open(f"/proc/{pid}/comm") as f:
                    if f.read().strip() == "systemd":
                        return int(pid)
            except OSError:
                pass

    def sh(self, script, user=None, check=True, stdin=None, limit=120):
        """Run a shell script in the machine; its output, standard error among it.  self.status is its exit status."""
        cmd = ["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        if user:
            cmd += ["runuser", "-u", user, "--"]
        cmd += ["env", "-i", f"HOME={'/home/' + user if user else '/root'}", f"USER={user or 'root'}", f"LOGNAME={user or 'root'}",
                "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "bash", "-c", f"cd; {script}"]
        p = subprocess.run(cmd, text=True, errors="replace", input=stdin or "", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit)
        self.status = p.returncode
        if check and p.returncode:
            raise Failed(f"{script}: exit {p.returncode}\n{p.stdout[-3000:]}")
        return p.stdout

    def install(self, *names):
        """Packages that the tree has fetched, or files of the machine."""
        return self.sh(f"apt-get -q -y --no-install-recommends --allow-downgrades install {shlex.join(names)}", limit=300)

    def put(self, path, text, mode=0o644, owner=None):
        self.sh(f"mkdir -p $(dirname {path}); cat >{path}; chmod {mode:o} {path}" + (f"; chown {owner} {path}" if owner else ""), stdin=text)

    def get(self, path):
        return self.sh(f"cat {path}")

    def copy_in(self, path, to):
        """A file of this host; through the layer's own directory."""
        shutil.copy(path, f"{self.root}{to}")

    def log(self):
        return self.sh("journalctl -q --no-pager -o short SYSLOG_FACILITY=2")

    def wait_for(self, script, seconds=30):
        """Until the script ends with 0; its output."""
        def done():
            out = self.sh(script, check=False)
            return out or " " if self.status == 0 else None
        done.__doc__ = f"`{script}` says yes; last: {self.sh(script, check=False)[-500:]}"
        return wait_until(done, seconds, 0.2)

    def close(self):
        if self in ALIVE:
            ALIVE.remove(self)
        try:
            os.kill(self.init, signal.SIGRTMIN + 14)   # power off now
            self.nspawn.wait(10)
        except (OSError, AttributeError, subprocess.TimeoutExpired):
            self.nspawn.kill()
            self.nspawn.wait()
        run("umount", "-R", "-l", self.root, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


def run_inside(script):
    """A test program of this tree, with the programs as they are built, run in a machine; what it prints."""
    m = Machine(installed=False)
    try:
        for part in ("build/release/bin", "tests/e2e", "tests/real"):
            shutil.copytree(f"{ROOT}/{part}", f"{m.root}/opt/tree/{part}", ignore=shutil.ignore_patterns("__pycache__"))
        return m.sh(f"python3 /opt/tree/{script}", check=False, limit=600)
    finally:
        m.close()


def installed_layer():
    """What installing the package changed, as a layer; made anew when the package is newer."""
    layer, mark, package = f"{CACHE}/installed", f"{CACHE}/installed.made-for", deb()
    want = hashlib.sha256(open(package, "rb").read()).hexdigest()
    if os.path.exists(mark) and open(mark).read() == want:
        return layer
    m = Machine(installed=False)
    try:
        m.copy_in(package, "/root/postroad.deb")
        m.install("/root/postroad.deb", "bsd-mailx", "logwatch")
        m.sh("useradd -m -s /bin/bash bob; useradd -m -s /bin/bash alice; systemctl stop postroad; sync")
        shutil.rmtree(layer, ignore_errors=True)
        run("cp", "-a", f"{m.dir}/upper", layer)
    finally:
        m.close()
    with open(mark, "w") as f:
        f.write(want)
    return layer
