# SPDX-License-Identifier: Apache-2.0
"""Mail that can be counted: clients that write down every 250 they are given, a server that writes down every message it takes,
and the ledger that compares the two.  Each runs in a process of its own and outlives every crash of the system in between.

Message N is a function of N: its size, its recipients and its text.  So the server checks each byte of what arrives, and the
ledger knows what must become of it.  A recipient is mN.KIND.I@dst.test, and its kind says what the server makes of it:
    ok      taken
    later   deferred twice (451 to RCPT), then taken
    no      refused (550 to RCPT): a notice must reach sN@src.test
    slow    taken, but the answer to the final dot comes late
Kinds are mixed within a message."""
import functools, os, random, re, signal, socket, threading, time
import multiprocessing as mp

KINDS = ("ok", "later", "no", "slow")
CTX = mp.get_context("fork")
POOL = None


def pool():
    """1 MiB of lines, some of which begin with a dot or hold 8-bit bytes."""
    global POOL
    if POOL is None:
        rnd, lines = random.Random(7), []
        for n in range(13000):
            text = bytes(rnd.choices(b"abcdefghijklmnopqrstuvwxyz .0123456789\xc3\xa4", k=rnd.randrange(40, 110)))
            lines.append((b"." if n % 17 == 0 else b"") + text.rstrip() + b"x")
        POOL = b"\r\n".join(lines) + b"\r\n"
    return POOL


@functools.lru_cache(None)
def kinds_of(n):
    rnd = random.Random(-n)
    return tuple(rnd.choices(KINDS, (70, 12, 12, 6), k=rnd.choice((1, 1, 2, 3, 5))) if rnd.random() < 0.3 else ("ok",))


class Plan:
    """What message n is."""

    def __init__(self, n):
        rnd = random.Random(n)
        self.n, self.kinds = n, kinds_of(n)
        self.size = int(200 * 1000 ** (rnd.random() ** 3))             # 0.2 to 200 KB, most of them small
        at = rnd.randrange(len(pool()) - self.size - 200)
        start = pool().index(b"\n", at) + 1
        end = pool().index(b"\n", start + self.size) + 1 if start + self.size < len(pool()) else len(pool())
        self.text = (b"X-Torture: %d\r\nFrom: s@src.test\r\nTo: many:;\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
                     b"Message-Id: <%d@src.test>\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" % (n, n)) \
            + pool()[start:end]

    def rcpts(self): return [f"m{self.n}.{kind}.{i}@dst.test" for i, kind in enumerate(self.kinds)]


# -- the clients --

class Refused(Exception):
    pass


class Client:
    def __init__(self, port, timeout):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")
        self.expect(b"220")
        self.sock.sendall(b"EHLO load.test\r\n")
        self.expect(b"250")

    def reply(self):
        while True:
            line = self.file.readline()
            if not line:
                raise OSError("closed")
            if line[3:4] != b"-":
                return line

    def expect(self, code):
        line = self.reply()
        if not line.startswith(code):
            raise Refused(line.decode(errors="replace").strip())
        return line

    def send(self, plan, sent=lambda: None):
        """Its queue id.  Refused: it said no; OSError: it is gone."""
        rcpts = plan.rcpts()
        self.sock.sendall("".join([f"MAIL FROM:<s{plan.n}@src.test>\r\n", *(f"RCPT TO:<{r}>\r\n" for r in rcpts), "DATA\r\n"]).encode())
        replies = [self.reply() for _ in range(len(rcpts) + 2)]
        bad = [r for r in replies[:-1] if not r.startswith(b"250")]
        if bad or not replies[-1].startswith(b"354"):
            raise Refused((bad or replies[-1:])[0].decode(errors="replace").strip())
        sent()                                           # no sync of it can have begun before
        self.sock.sendall(plan.text.replace(b"\n.", b"\n..") + b".\r\n")
        return self.expect(b"250").split()[-1].decode()

    def close(self):
        self.file.close()
        self.sock.close()


def inject(port, first, threads, out, stop, rate, limit):
    """The clients' process: threads that send until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended, lock, numbers = threading.Event(), threading.Lock(), iter(range(first, first + limit))

    def note(*words): os.write(out, (" ".join(map(str, words)) + "\n").encode())

    def run():
        client = None
        while not ended.is_set():
            with lock:
                n = next(numbers, None)
            if n is None:
                break
            try:
                client = client or Client(port, 20)
                plan, when = Plan(n), [0]
                note("S", n, time.monotonic())
                began = time.monotonic()
                qid = client.send(plan, lambda: when.__setitem__(0, time.monotonic()))
                note("A", n, when[0], time.monotonic(), qid)
                if rate:
                    time.sleep(max(0, threads / rate - (time.monotonic() - began)))
            except (OSError, Refused) as e:
                note("R", n, time.monotonic(), re.sub(r"\s+", "_", str(e)) or "?")
                if client:
                    client.close()
                client = None
                time.sleep(0.02)
    all_of_them = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for t in all_of_them:
        t.start()
    stop.poll(None)
    ended.set()
    for t in all_of_them:
        t.join(25)
    note("E", first, time.monotonic())


class Load:
    """Clients at work: from now until stop()."""

    def __init__(self, ledger, port, threads=8, rate=0, limit=10 ** 9):
        self.ledger = ledger
        self.pipe, theirs = CTX.Pipe()
        fd = os.open(ledger.sent_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.process = CTX.Process(target=inject, args=(port, ledger.next, threads, fd, theirs, rate, limit), daemon=True)
        self.process.start()
        os.close(fd)

    def stop(self):
        self.pipe.send("stop")
        self.process.join(40)
        self.ledger.read()


# -- the server --

class Server:
    """One connection of the sink."""

    def __init__(self, sink, sock):
        self.sink, self.sock, self.file = sink, sock, sock.makefile("rb")

    def say(self, text): self.sock.sendall(text + b"\r\n")

    def talk(self):
        self.say(b"220 sink.test ESMTP")
        sender, rcpts = b"", []
        while True:
            line = self.file.readline()
            verb = line[:4].upper()
            if not line:
                return
            if verb == b"MAIL":
                sender, rcpts = line.partition(b"<")[2].partition(b">")[0], []
                self.say(b"250 2.1.0 ok")
            elif verb == b"RCPT":
                self.rcpt(line.partition(b"<")[2].partition(b">")[0].decode(), rcpts)
            elif verb == b"DATA":
                if not rcpts:
                    self.say(b"554 5.5.1 nobody")
                    continue
                self.say(b"354 go on")
                if not self.data(sender, rcpts):
                    return
            elif verb == b"EHLO":
                self.say(b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 104857600")
            else:
                self.say(b"221 bye" if verb == b"QUIT" else b"250 2.0.0 ok")
                if verb == b"QUIT":
                    return

    def rcpt(self, addr, rcpts):
        kind = addr.split(".")[1] if addr.startswith("m") else "ok"
        if kind == "later" and self.sink.tries.get(addr, 0) < 2:
            self.sink.tries[addr] = self.sink.tries.get(addr, 0) + 1
            self.say(b"451 4.2.1 later")
        elif kind == "no":
            self.say(b"550 5.1.1 no such user")
        else:
            rcpts.append(addr)
            self.say(b"250 2.1.5 ok")

    def data(self, sender, rcpts):
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                return False
            if line == b".\r\n":
                break
            lines.append(line[1:] if line[:1] == b"." else line)
        self.sink.take(sender, rcpts, b"".join(lines))
        if any(".slow." in r for r in rcpts):
            time.sleep(0.15)
        self.say(b"250 2.0.0 taken")
        return True


class SinkProcess:
    def __init__(self, listener, out):
        self.listener, self.out, self.tries = listener, out, {}

    def take(self, sender, rcpts, content):
        """Write down what came, before it is said that it did."""
        now, out = time.monotonic(), []
        if rcpts[0].startswith("s"):
            for failed in set(re.findall(rb"(?m)^Final-Recipient: rfc822; *m(\d+)\.\w+\.(\d+)@", content)):
                out.append(f"N {int(failed[0])} {int(failed[1])} {now}\n")
        else:
            n = int(rcpts[0].partition(".")[0][1:])
            at = content.find(b"X-Torture: ")
            good = at >= 0 and content[at:] == Plan(n).text and sender == b"s%d@src.test" % n
            out += [f"D {n} {int(r.partition('@')[0].split('.')[2])} {now} {int(good)}\n" for r in rcpts]
        os.write(self.out, "".join(out).encode())

    def serve(self, sock):
        try:
            Server(self, sock).talk()
        except OSError:
            pass
        finally:
            sock.close()

    def run(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()


class Sink:
    def __init__(self, ledger):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        self.port = listener.getsockname()[1]
        fd = os.open(ledger.got_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.process = CTX.Process(target=SinkProcess(listener, fd).run, daemon=True)
        self.process.start()
        listener.close()
        os.close(fd)

    def close(self):
        self.process.kill()
        self.process.join()


def watch_log(path, out):
    """When was it known that a message had been removed: not before the moment it is read here."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while not os.path.exists(path):
        time.sleep(0.02)
    pending = b""
    with open(path, "rb", buffering=0) as f:
        while True:
            data = f.read(1 << 20)
            if not data:
                time.sleep(0.004)
                continue
            now, pending = time.monotonic(), pending + data
            lines, _, pending = pending.rpartition(b"\n")
            gone = re.findall(rb"/qmgr\[\d+\]: ([0-9A-F]{16}): removed", lines)
            if gone:
                os.write(out, b"".join(b"G %s %f\n" % (qid, now) for qid in gone))


class LogWatch:
    def __init__(self, ledger, maillog):
        fd = os.open(ledger.gone_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.process = CTX.Process(target=watch_log, args=(maillog, fd), daemon=True)
        self.process.start()
        os.close(fd)

    def close(self):
        self.process.kill()
        self.process.join()


# -- the ledger --

class Ledger:
    """acked: {n: (sent, acknowledged, qid)}; got and notices: {(n, i): [time, ...]}; gone: {qid: [time, ...]}.  All times monotonic."""

    def __init__(self, directory):
        self.sent_path, self.got_path, self.gone_path = (f"{directory}/{f}" for f in ("sent", "got", "gone"))
        self.acked, self.started, self.refused, self.got, self.notices, self.gone, self.damaged = {}, {}, {}, {}, {}, {}, []
        self.places, self.next = {}, 1
        pool()                                           # made before the processes part
        self.missing = set()                             # (n, i) that something is still due for
        for path in (self.sent_path, self.got_path, self.gone_path):
            open(path, "ab").close()

    def lines(self, path):
        with open(path, "rb") as f:
            f.seek(self.places.get(path, 0))
            data = f.read()
        whole = data.rpartition(b"\n")[0]
        self.places[path] = self.places.get(path, 0) + (len(whole) + 1 if whole else 0)
        return [line.decode().split(" ") for line in whole.split(b"\n")] if whole else []

    def read(self):
        for w in self.lines(self.sent_path):
            n = int(w[1])
            self.next = max(self.next, n + 1)
            if w[0] == "S":
                self.started[n] = float(w[2])
            elif w[0] == "A":
                self.acked[n] = (float(w[2]), float(w[3]), w[4])
                self.missing.update((n, i) for i in range(len(kinds_of(n))))
            elif w[0] == "R":
                self.refused[n] = w[3]
        for w in self.lines(self.got_path):
            key = int(w[1]), int(w[2])
            if w[0] == "D":
                self.got.setdefault(key, []).append(float(w[3]))
                if w[4] != "1":
                    self.damaged.append(key)
            else:
                self.notices.setdefault(key, []).append(float(w[3]))
        for w in self.lines(self.gone_path):
            self.gone.setdefault(w[1], []).append(float(w[2]))
        return self

    def owed(self):
        """Recipients of acknowledged messages for whom nothing has come: neither the message nor, when refused, a notice."""
        self.read()
        self.missing -= {k for k in self.missing if k in (self.notices if kinds_of(k[0])[k[1]] == "no" else self.got)}
        return self.missing

    def settle(self, patience=60):
        """Wait for all that is owed, as long as something still comes; how much does not."""
        owed, since = len(self.owed()), time.monotonic()
        while owed and time.monotonic() - since < patience:
            time.sleep(0.1)
            now = len(self.owed())
            if now < owed:
                owed, since = now, time.monotonic()
        return owed

    def removed(self, n, after):
        """When message n was seen to be removed, first after that moment; None: it was not."""
        return min((t for t in self.gone.get(self.acked[n][2], ()) if t >= after), default=None) if n in self.acked else None

    def copies(self):
        """(key, earlier, later) for each copy after the first."""
        for key, times in self.got.items():
            times.sort()
            for a, b in zip(times, times[1:]):
                yield key, a, b

    @functools.lru_cache(None)
    def last_commit(self, before):
        """All that the disk was told before this moment was durable at the moment `before`, which is over: an acknowledgement is a
        commit."""
        return max((sent for sent, acked, _ in self.acked.values() if acked <= before), default=0.0)
