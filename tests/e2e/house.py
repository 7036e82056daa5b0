# SPDX-License-Identifier: Apache-2.0
"""A whole mail system in a temporary directory, and the people it talks to: Postroad, Talk (a client whose text is a
transcript), Sink (a scripted server, in sink.py), Dns (a name server with its own zone, in dnsd.py)."""
import fnmatch, json, os, re, shutil, signal, socket, struct, subprocess, tempfile, textwrap, time

BIN = "build/release/bin"
ALIVE = []                                     # everything to be ended at the end of a story


def clean_up():
    for thing in reversed(ALIVE):
        thing.close()
    ALIVE.clear()


def evidence():
    out = ""
    for thing in ALIVE:
        if isinstance(thing, Postroad):
            log = thing.log()
            out += f"--- {thing.maillog} (end)\n{log[-6000:]}\n--- stderr\n{thing.said[-2000:]}\n"
    return out


def free_port(host="127.0.0.1"):
    with socket.socket() as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def wait_until(what, seconds=20, step=0.02):
    """Call what() until it returns something true; that is returned.  AssertionError at the deadline."""
    end = time.time() + seconds
    while True:
        got = what()
        if got:
            return got
        if time.time() > end:
            raise AssertionError(f"not within {seconds} s: {getattr(what, '__doc__', None) or what}")
        time.sleep(step)


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None


class Postroad:
    """An instance of its own: Postroad(sink=...) relays all to the sink; settings as keywords; extra service lines in master."""

    def __init__(self, sink=None, master=None, env=None, start=True, workers=2, dns=None, **settings):
        self.dir = tempfile.mkdtemp(prefix="postroad-e2e-")
        self.port = free_port()
        self.spool, self.maillog = f"{self.dir}/spool", f"{self.dir}/maillog"
        self.said = ""
        # A sanitized build writes what it finds here; see close().
        found = f"log_path={self.dir}/sanitizer:print_stacktrace=1"
        self.env = dict({"ASAN_OPTIONS": found + ":detect_leaks=0", "UBSAN_OPTIONS": found}, **os.environ)
        self.env.update(env or {})
        self.settings = {"queue_directory": self.spool, "data_directory": f"{self.dir}/data", "maillog_file": self.maillog,
                         "myhostname": "mx.test", "mydestination": "", "mynetworks": "127.0.0.0/8"}
        if os.geteuid() == 0:
            self.settings["mail_owner"] = "root"
        if sink:
            self.settings["relayhost"] = f"[127.0.0.1]:{sink.port}"
        if dns:
            self.settings["dns_forwarders"] = f"127.0.0.1@{dns.port}"
        self.settings.update(settings)
        self.services = [f"127.0.0.1:{self.port} inet n - n - {workers} smtpd", "qmgr unix n - n - 1 qmgr",
                         f"smtp unix - - n - {workers} smtp", "bounce unix - - n - 1 bounce",
                         "resolver unix - - n - 1 resolver"] + (master or [])
        self.write_config()
        ALIVE.append(self)
        if start:
            self.start()

    def write_config(self):
        with open(f"{self.dir}/main.cf", "w") as f:
            f.writelines(f"{k} = {v}\n" for k, v in self.settings.items())
        with open(f"{self.dir}/master.cf", "w") as f:
            f.writelines(f"{s}\n" for s in self.services)

    def run(self, *args, check=True, name="postroad", stdin=None, limit=60):
        """Run a command of ours on this instance; what it said on stdout."""
        cmd = [f"{BIN}/postroad"] + (["-c", self.dir] if name == "postroad" else []) + list(args)
        if name != "postroad":
            link = f"{self.dir}/{name}"
            if not os.path.lexists(link):
                os.symlink(f"{BIN}/postroad", link)
            cmd = [link, "-c", self.dir] + list(args)
        p = subprocess.run(cmd, env=self.env, text=True, errors="replace", input=stdin, capture_output=True, timeout=limit)
        self.said += p.stderr
        self.status = p.returncode
        if check:
            assert p.returncode == 0, f"{' '.join(cmd)}: exit {p.returncode}: {p.stdout}{p.stderr}"
        return p.stdout

    def begin(self, *args):
        """A command that is not waited for."""
        return subprocess.Popen([f"{BIN}/postroad", "-c", self.dir, *args], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self): self.run("start")
    def stop(self, check=True): self.run("stop", check=check)
    def reload(self): self.run("reload")

    def close(self):
        pids = self.all_pids()
        self.run("abort", check=False)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        reports = "".join(line + "\n" for line in self.log().splitlines() if "is not among the promises" in line)
        for name in os.listdir(self.dir):
            if name.startswith("sanitizer."):
                with open(f"{self.dir}/{name}", errors="replace") as f:
                    reports += f.read()[:5000]
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not reports, reports

    def log(self):
        try:
            with open(self.maillog, errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def wait_log(self, pattern, count=1, seconds=20):
        """Wait until the pattern stands in the log `count` times; the matches."""
        def look():
            found = list(re.finditer(pattern, self.log(), re.M))
            return found if len(found) >= count else None
        look.__doc__ = f"log line {pattern!r} x{count}"
        return wait_until(look, seconds)

    def no_log(self, pattern):
        m = re.search(pattern, self.log(), re.M)
        assert not m, f"in the log: {m and m[0]!r}"

    def all_pids(self):
        """Pids of the processes of this instance, by program name: from /proc, so that nothing depends on what it says."""
        return [pid for pids in self.processes().values() for pid in pids]

    def processes(self):
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/cmdline", "rb") as f:
                        argv = f.read().decode(errors="replace").split("\0")
                    if self.dir in argv and not argv[0].startswith("python"):
                        found.setdefault(os.path.basename(argv[0]), []).append(int(entry))
                except OSError:
                    pass
        # What master has forked is not yet what it will be.
        masters = found.get("master", [])
        if len(masters) > 1:
            found["master"] = [p for p in masters if parent_of(p) not in masters]
        return found

    def kill(self, program, sig=signal.SIGKILL, which=0):
        pid = wait_until(lambda: self.processes().get(program))[which]
        os.kill(pid, sig)
        return pid

    def queue(self):
        """The queue as `postroad --json queue` lists it."""
        return [json.loads(line) for line in self.run("--json", "queue").splitlines() if line.strip()]

    def files(self, *dirs):
        """Queue ids of the message files in these spool directories."""
        found = []
        for d in dirs or ("incoming", "active", "deferred", "hold", "corrupt"):
            for _, _, names in os.walk(f"{self.spool}/{d}"):
                found += names
        return found

    def empty(self, seconds=30):
        """Wait until no message file is left."""
        wait_until(lambda: not self.files("incoming", "active", "deferred", "hold"), seconds)

    def talk(self, **kw): return Talk(("127.0.0.1", self.port), **kw)

    def send(self, sender="alice@client.test", rcpts=("bob@example.org",), body=b"Subject: hello\r\n\r\nhello\r\n", talk=None):
        """Send one message the plain way; its queue id."""
        t = talk or self.talk().greet()
        t.put(f"MAIL FROM:<{sender}>"); t.expect("250")
        for r in [rcpts] if isinstance(rcpts, str) else rcpts:
            t.put(f"RCPT TO:<{r}>"); t.expect("250")
        t.put("DATA"); t.expect("354")
        if isinstance(body, str):
            body = body.encode()
        t.raw(re.sub(rb"(?m)^\.", b"..", body) + b".\r\n")
        qid = t.expect("250").split()[-1]
        if not talk:
            t.quit()
        return qid


class Clock:
    """A calendar that a story can push forward: Postroad(env=clock.env)."""
    def __init__(self):
        fd, self.path = tempfile.mkstemp(prefix="postroad-clock-")
        os.write(fd, bytes(8)); os.close(fd)
        self.env, self.offset = {"POSTROAD_CLOCK": self.path}, 0
        ALIVE.append(self)

    def forward(self, seconds):
        self.offset += seconds
        with open(self.path, "r+b") as f:
            f.write(struct.pack("<q", self.offset))

    def close(self): os.unlink(self.path)


class Talk:
    """One SMTP conversation, written as the transcript it should produce: "C:" lines are sent, "S:" lines must come (shell
    patterns; the last line of a reply, or with "S-" each line of it)."""
    def __init__(self, addr, timeout=20, source=None):
        self.sock = socket.create_connection(addr, timeout=timeout, source_address=source)
        self.file = self.sock.makefile("rb")

    def __call__(self, transcript):
        for line in textwrap.dedent(transcript).strip().splitlines():
            mark, _, text = line.partition(" ")
            if mark == "C:":
                self.put(text)
            elif mark == "S:":
                got = self.reply()
                assert fnmatch.fnmatchcase(got, text), f"expected {text!r}, got {got!r}"
            elif mark == "S-":
                got = self.line()
                assert fnmatch.fnmatchcase(got, text), f"expected {text!r}, got {got!r}"
            elif mark == "EOF":
                got = self.file.readline()
                assert got == b"", f"expected the end, got {got!r}"
            else:
                raise ValueError(f"neither C: nor S: {line}")
        return self

    def raw(self, data): self.sock.sendall(data if isinstance(data, bytes) else data.encode())
    def put(self, text): self.raw(text.encode("utf-8", "surrogateescape") + b"\r\n")
    def line(self):
        got = self.file.readline()
        if not got:
            raise AssertionError("connection closed")
        return got.decode(errors="replace").rstrip("\r\n")

    def reply(self):
        while True:
            line = self.line()
            if line[3:4] != "-":
                return line

    def expect(self, start):
        got = self.reply()
        assert got.startswith(start), f"expected {start!r}, got {got!r}"
        return got

    def greet(self, name="client.test"):
        self.expect("220"); self.put(f"EHLO {name}"); self.expect("250")
        return self

    def quit(self):
        self.put("QUIT"); self.expect("221"); self.close()

    def close(self):
        self.file.close()
        self.sock.close()
