# SPDX-License-Identifier: Apache-2.0
"""Servers and name servers that mean harm, and lists that never end.  The mail waits or goes back, in time and in little memory; the
next message passes."""
import os, re, socket, threading, time

import house, sink, test_local
from dnsd import Dns
from sink import HANG


class Script:
    """A server that says these bytes, in pieces with pauses between, to everybody who connects, whatever he says."""

    def __init__(self, *pieces, pause=0.0):
        self.pieces, self.pause, self.heard, self.held = pieces, pause, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        house.ALIVE.append(self)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        began, heard = time.monotonic(), b""
        self.held.append(c)
        threading.Thread(target=self.say, args=(c,), daemon=True).start()
        try:
            while piece := c.recv(65536):
                heard += piece
        except OSError:
            pass
        self.heard.append((time.monotonic() - began, heard))

    def say(self, c):
        try:
            for piece in self.pieces:
                c.sendall(piece)
                time.sleep(self.pause)
        except OSError:
            pass

    def close(self):
        self.listener.close()
        for c in self.held:
            c.close()


def memory(m, program):
    with open(f"/proc/{m.processes()[program][0]}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def outcome(script, want, dsn=r"4\.\d\.\d", seconds=20, **settings):
    """One message to that server: how it ends, and that nobody was hurt."""
    m = house.Postroad(sink=script, workers=1, minimal_backoff_time="300s", **settings)
    m.send(rcpts="first@example.org")
    first = m.wait_log(r"to=<first@example\.org>, .*status=\w+", seconds=seconds)
    before, size = m.processes(), memory(m, "smtp")
    qid = m.send()
    m.wait_log(rf"{qid}: to=<bob@example\.org>, .*dsn={dsn}, status={want}", seconds=seconds)
    assert m.processes() == before, "a process died"
    if "/asan/" not in house.BIN:
        assert memory(m, "smtp") - size < 4 << 20
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", m.log()) and max(map(len, m.log().split("\n"))) < 2500
    return m, first


def test_a_reply_that_never_ends_is_not_waited_for():
    outcome(Script(b"220 x\r\n", b"250-x\r\n" * 1000000 + b"250 end\r\n"), "deferred")
    outcome(Script(b"220" + b"-" * 30000000), "deferred")
    outcome(Script(b"\0" * 5000000), "deferred")


def test_a_byte_now_and_then_is_no_reply():
    """The deadline is that of the reply, not of the byte."""
    s = Script(b"220 x\r\n250 x\r\n", *[b"2", b"5", b"0"] + [b"-"] * 1000, pause=0.2)
    m, _ = outcome(s, "deferred", smtp_mail_timeout="2s", smtp_helo_timeout="2s", smtp_quit_timeout="1s", smtp_rset_timeout="1s")
    house.wait_until(lambda: s.heard)
    assert max(t for t, _ in s.heard) < 15, s.heard


def test_answers_that_come_before_the_question():
    """All answers of a session at once, some of it under a line end of another kind: whatever it is taken for, content goes out
    after DATA alone, and the next server has nothing of it."""
    for end in (b"\r\n", b"\n", b"\r"):
        s = Script(end.join([b"220 x", b"250 x", b"250 ok", b"250 ok", b"354 go", b"250 taken", b"221 bye", b""]))
        m = house.Postroad(sink=s, smtp_helo_timeout="2s", smtp_mail_timeout="2s", smtp_connection_cache_on_demand="no")
        m.send()
        m.wait_log(r"to=<bob@example\.org>, .*status=(deferred|sent)")
        m.stop()
        house.wait_until(lambda: s.heard)
        for _, heard in s.heard:
            assert b"hello\r\n" not in heard or heard.index(b"DATA\r\n") < heard.index(b"hello\r\n"), heard
            assert b"Subject" not in heard or heard.count(b"\r\n.\r\n") == 1, heard
        m.close(); house.ALIVE.remove(m)


def test_codes_that_are_none():
    for code in (b"999 x", b"2", b"25", b"2500 x", b"-50 x", b"220\0 x", b"\xff\xfe\xfd x", b"", b"250x", b"354 go", b"2 0 0"):
        outcome(Script(b"220 x\r\n250 x\r\n", code + b"\r\n"), "deferred", smtp_mail_timeout="2s", smtp_helo_timeout="2s", smtp_quit_timeout="1s")


def test_a_server_that_writes_our_notices():
    """Lines and bytes of a reply do not become fields of the notice, or records of the queue."""
    s = sink.Sink(lambda ses, at, text: "553-\r\n553\n\ntype: mda\nmda-exec: id\r\n" if at == "mail" and ses.sender == "alice@client.test" else None)
    m = house.Postroad(sink=s)
    m.send()
    got = s.wait(1)[0]
    assert got.sender == "" and got.rcpts == ["alice@client.test"]
    report = got.content[got.content.index(b"message/delivery-status"):]
    assert not re.search(rb"(?m)^(type|mda-exec):", got.content), got.content
    assert b"Action: failed" in report and b"\r\n\r\ntype" not in report, report
    m.empty()
    assert len(s.messages) == 1


# -- names --

def test_zones_that_lead_nowhere():
    """Loops, crowds and records of the wrong length: the mail waits, or finds the host that is good."""
    s = sink.Sink()
    many = [("MX", n % 60000, f"m{n}.example.net") for n in range(2000)]
    d = Dns({"loop.test": [("CNAME", "loop.test")], "a.test": [("CNAME", "b.test")], "b.test": [("CNAME", "a.test")],
             **{f"c{n}.test": [("CNAME", f"c{n + 1}.test")] for n in range(50)}, "c50.test": [("A", "127.0.0.1")],
             "many.test": many, "self.test": [("MX", 1, "self.test")],
             "twice.test": [("MX", 1, "x.twice.test"), ("MX", 2, "good.test")], "x.twice.test": [("CNAME", "x.twice.test")],
             "good.test": [("A", "127.0.0.1")], "big.test": [("TXT", *["x" * 255] * 200), ("MX", 1, "good.test")]})
    m = house.Postroad(dns=d, smtp_tcp_port=str(s.port), smtp_connect_timeout="1s", dns_timeout="2s", inet_protocols="ipv4", minimal_backoff_time="300s")
    before = m.processes()
    for domain in ("loop.test", "a.test", "c0.test", "many.test", "self.test"):
        m.send(rcpts=f"bob@{domain}")
    for domain in ("loop.test", "a.test", "many.test", "self.test"):
        m.wait_log(rf"to=<bob@{domain}>, .*status=(deferred|bounced)")
    m.wait_log(r"to=<bob@c0\.test>, .*status=")
    for domain in ("twice.test", "big.test", "good.test"):
        m.send(rcpts=f"bob@{domain}")
        m.wait_log(rf"to=<bob@{domain}>, .*status=sent")
    after = m.processes()
    assert all(after[p] == before[p] for p in ("master", "qmgr", "resolver", "smtpd")), (before, after)


def test_records_of_the_wrong_length():
    import dnsd
    usual, d, s = dnsd.rdata, None, sink.Sink()
    bad = {"A": [b"", b"\x7f", b"\x7f\0\0", b"\x7f\0\0\1\1"], "MX": [b"", b"\0", b"\0\1", b"\0\1\x3fshort", b"\0\1\xc0\xff", b"\0\1\xc0\x0c" * 2],
           "CNAME": [b"", b"\xc0", b"\x40a\0"]}
    m = None
    try:
        dnsd.rdata = lambda kind, *v: v[0] if isinstance(v[0], bytes) else usual(kind, *v)
        zone = {f"{kind.lower()}{n}.test": [(kind, raw)] for kind, all_ in bad.items() for n, raw in enumerate(all_)}
        d = Dns({**zone, "good.test": [("A", "127.0.0.1")]})
        m = house.Postroad(dns=d, smtp_tcp_port=str(s.port), smtp_connect_timeout="1s", dns_timeout="1s", inet_protocols="ipv4", minimal_backoff_time="300s")
        before = m.processes()
        for domain in zone:
            m.send(rcpts=f"bob@{domain}", sender="")
        for domain in zone:
            m.wait_log(rf"to=<bob@{domain}>, .*status=")
        m.no_log("status=(bounced|sent)")        # what is not understood is temporary
        m.send(rcpts="bob@good.test")
        s.wait(1)
        after = m.processes()
        assert all(after[p] == before[p] for p in ("master", "qmgr", "resolver", "smtpd")), (before, after)
    finally:
        dnsd.rdata = usual


# -- lists --

def test_lists_without_end():
    """An :include: of itself, aliases ten thousand deep, one of a hundred thousand."""
    deep = "".join(f"d{n}: d{n + 1}\n" for n in range(10000)) + "d10000: far@example.org\n"
    wide = "wide: " + ", ".join(f"w{n}@example.org" for n in range(20000)) + "\n"
    m = test_local.Town(sink=sink.Sink(), aliases=deep + wide + "self: :include:$DIR/self\nping: :include:$DIR/ping\n",
                        lists={"self": "a@example.org\n:include:$DIR/self\n", "ping": "pong\n"})
    m.write(f"{m.dir}/self", f"a@example.org\n:include:{m.dir}/self\n")
    m.write(f"{m.dir}/aliases", open(f"{m.dir}/aliases").read() + f"pong: :include:{m.dir}/ping\n")
    before = m.processes()["master"]
    for who, end in (("d0", "bounced \\(alias database loop for d"), ("self", "sent"), ("ping", "deferred")):
        m.send(rcpts=f"{who}@mx.test", sender="")
        m.wait_log(rf"/local\[\d+\]: [0-9A-F]+: to=<{who}@mx\.test>, .*status={end}", seconds=40)
    m.send(rcpts="d9990@mx.test", sender="")
    m.wait_log(r"to=<d9990@mx\.test>, .*status=sent")
    assert m.processes()["master"] == before and "panic" not in m.log() and "killed by signal" not in m.log()
