# SPDX-License-Identifier: Apache-2.0
"""Clients that keep sessions open and say nothing, or a byte every few seconds, while others want to be served."""
import os, resource, select, socket, statistics, threading, time

import house, sink

PER_ADDRESS = 40                                 # sessions from one of 127.0.0.0/8
PERIOD = 3.0                                     # seconds between the bytes of a slow one
PENDING = 200                                    # connections being made at once
HELLO = b"EHLO crowd.test\r\n"
ENVELOPE = b"MAIL FROM:<slow@crowd.test>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
# What follows EHLO byte by byte: a command without end, or content.
COMMAND = b"MAIL FROM:<" + b"a" * 60 + b"@crowd.test> " + b" " * 400
CONTENT = b"Subject: slow\r\n\r\n" + b"drip\r\n" * 100


class Crowd:
    """idle sessions (every other one has said EHLO) and slow ones (commands and content by turns) with the smtpd at a port."""

    def __init__(self, port, idle, slow):
        self.port, self.sockets, self.slow = port, [], []
        self.stop = threading.Event()
        kinds = [b"" if n % 2 else HELLO for n in range(idle)] + [HELLO + (b"" if n % 2 else ENVELOPE) for n in range(slow)]
        waiting, pending = list(enumerate(kinds)), {}
        self.poll = select.epoll()
        while waiting or pending:
            while waiting and len(pending) < PENDING:
                n, words = waiting.pop()
                s = self.connect(n)
                pending[s.fileno()] = [s, n, words, b""]
                self.poll.register(s, select.EPOLLIN)
            ready = self.poll.poll(20)
            assert ready, f"{len(pending)} sessions got no answer"
            for fd, _ in ready:
                if self.goes_on(*pending[fd], pending):
                    s, n, words, _ = pending.pop(fd)
                    self.poll.unregister(fd)
                    self.sockets.append(s)
                    if n >= idle:
                        self.slow.append([s, CONTENT if ENVELOPE in words else COMMAND, 0])
        self.thread = threading.Thread(target=self.drip)
        self.thread.start()

    def connect(self, n):
        s = socket.socket()
        s.bind((f"127.0.{1 + n // PER_ADDRESS // 250}.{1 + n // PER_ADDRESS % 250}", 0))
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", self.port))
        return s

    @staticmethod
    def goes_on(s, n, words, heard, pending):
        """Hear more; say the next line if it is our turn.  True: has got where it is to stay."""
        more = s.recv(4096)
        assert more, f"session {n} was closed after {heard}"
        heard += more
        done = heard.endswith(b"\r\n") and heard.split(b"\r\n")[-2][3:4] == b" "
        if not done or not words:
            pending[s.fileno()][3] = heard
            return done
        assert heard[:1] in b"23", heard
        line, _, rest = words.partition(b"\r\n")
        s.send(line + b"\r\n")
        pending[s.fileno()][2:] = [rest, b""]
        return False

    def drip(self):
        while not self.stop.is_set():
            began = time.monotonic()
            for n, one in enumerate(self.slow):
                s, text, at = one
                try:
                    s.send(text[at % len(text):][:1])
                except OSError:
                    pass                         # counted by lost()
                one[2] += 1
                if n % 10 == 9:
                    self.stop.wait(max(0, began + PERIOD * n / len(self.slow) - time.monotonic()))
            self.stop.wait(max(0, began + PERIOD - time.monotonic()))

    def lost(self):
        """How many were told something, or were closed."""
        lost = 0
        for s in self.sockets:
            try:
                lost += s.recv(1) is not None
            except BlockingIOError:
                pass
            except OSError:
                lost += 1
        return lost

    def go(self):
        self.stop.set()
        self.thread.join()
        for s in self.sockets:
            s.close()


def usage(m):
    """Memory in bytes (shared pages by their share) and seconds of CPU of all smtpd processes."""
    size, cpu = 0, 0.0
    for pid in m.processes()["smtpd"]:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            size += sum(int(line.split()[1]) << 10 for line in f if line.startswith("Pss:"))
        with open(f"/proc/{pid}/stat") as f:
            cpu += sum(map(int, f.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return size, cpu


def good_client(m, s):
    """Seconds until the greeting, and until the message has arrived at its destination."""
    began, n = time.monotonic(), len(s.messages)
    t = m.talk()
    t.expect("220")
    greeted = time.monotonic() - began
    t.put("EHLO client.test"); t.expect("250")
    m.send(talk=t)
    s.wait(n + 1)
    through = time.monotonic() - began
    t.quit()
    return greeted, through


def world(idle, slow, settings):
    """A system whose limits per client hold for the crowd, with descriptors enough for it and for us."""
    need = idle + slow + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, need))         # as root
    elif soft != resource.RLIM_INFINITY and soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
    s = sink.Sink()
    m = house.Postroad(sink=s, mynetworks="127.0.0.1/32", relay_domains="example.org", relay_transport="smtp",
                       smtpd_client_connection_count_limit=str(PER_ADDRESS + 10), **{"smtpd_stress_limit": "0", **settings})
    for _ in range(3):
        good_client(m, s)
    return m, s


def hold(idle, slow, rounds, pause=0.0, **settings):
    """The figures of a good client's life among them, as a row of a table."""
    m, s = world(idle, slow, settings)
    before, (size, _) = m.processes(), usage(m)
    began = time.monotonic()
    crowd = Crowd(m.port, idle, slow)
    try:
        made = time.monotonic() - began
        full, cpu = usage(m)
        began, sent = time.monotonic(), len(s.messages)
        times = []
        for _ in range(rounds):
            times.append(good_client(m, s))
            time.sleep(pause)
        passed, (_, used) = time.monotonic() - began, usage(m)
        lost = crowd.lost()
        assert lost == 0, f"{lost} of the crowd were sent away"
        assert len(s.messages) == sent + rounds and m.processes() == before, m.processes()
    finally:
        crowd.go()
    m.empty()                                    # half messages leave nothing
    good_client(m, s)
    greeted, through = zip(*times)
    return {"idle": idle, "slow": slow, "opened in, s": f"{made:.1f}", "clients": rounds, "greeted in, ms (median)": f"{1000 * statistics.median(greeted):.1f}",
            "(worst)": f"{1000 * max(greeted):.1f}", "delivered in, ms (median)": f"{1000 * statistics.median(through):.1f}",
            " (worst)": f"{1000 * max(through):.1f}", "bytes a session": (full - size) // (idle + slow), "CPU of smtpd": f"{100 * (used - cpu) / passed:.1f} %"}


def control():
    """Sessions that the server ends are missed."""
    try:
        hold(20, 10, 15, 0.2, smtpd_timeout="1s")
    except AssertionError as e:
        assert "of the crowd were sent away" in str(e), e
        return
    raise AssertionError("a crowd that was sent away was not missed")


def suite(quick):
    rows = []
    control()
    house.clean_up()
    for idle, slow in ((1000, 100),) if quick else ((1, 0), (10000, 0), (0, 1000), (10000, 1000)):
        rows.append(hold(idle, slow, 100 if quick else 300, 0.1))
        house.clean_up()
    worst = max(float(r["(worst)"]) for r in rows)
    assert worst < 1000, f"a client was greeted after {worst} ms\n{rows}"
    return rows, []
