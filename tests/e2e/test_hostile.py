# SPDX-License-Identifier: Apache-2.0
"""What strangers send who mean harm.  After each: no process has died, the next client is greeted at once, memory has not grown,
nothing of it has become mail that nobody ended."""
import os, random, re, socket, time

import house, sink

GROWTH = 1 << 20                                 # bytes that a process may be larger afterwards


class World:
    """One smtpd, so that it is known whom it concerns."""

    def __init__(self, **settings):
        self.s = sink.Sink()
        self.m = house.Postroad(sink=self.s, workers=1, smtpd_error_sleep_time="0", **settings)
        for _ in range(3):                       # caches and pools are filled
            self.m.send()
        self.s.wait(3)
        self.m.empty()
        self.before = self.m.processes()
        self.rss = self.memory()
        self.sent = 3

    def memory(self):
        with open(f"/proc/{self.before['smtpd'][0]}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def all_is_well(self, mails=0, growth=GROWTH):
        began = time.time()
        self.m.talk(timeout=5).greet().quit()
        assert time.time() - began < 2, "the next client had to wait"
        assert self.m.processes() == self.before, (self.before, self.m.processes())
        if "/asan/" not in house.BIN:
            assert self.memory() - self.rss < growth, f"{self.memory() - self.rss} bytes larger"
        self.sent += mails
        self.m.empty()
        assert len(self.s.messages) == self.sent, [(x.sender, x.rcpts) for x in self.s.messages]


def answers(m, data, hello=True, wait=5.0, end=b"\r\nQUIT\r\n"):
    """Send bytes, then QUIT; everything that was said, and whether the connection was closed."""
    t = m.talk(timeout=wait)
    if hello:
        t.greet()
    else:
        t.expect("220")
    got = b""
    t.sock.setblocking(False)
    data, until = memoryview(data + end), time.time() + wait
    while time.time() < until:
        try:
            if data:
                data = data[t.sock.send(data[:65536]):]
        except BlockingIOError:
            pass
        except OSError:
            data = b""
        try:
            piece = t.sock.recv(65536)
            if not piece:
                break
            got += piece
        except BlockingIOError:
            time.sleep(0.001)
        except OSError:
            break
    else:
        t.close()
        return got.decode(errors="replace"), False
    t.close()
    return got.decode(errors="replace"), True


def codes(text): return re.findall(r"(?m)^(\d\d\d) ", text)


def test_addresses_are_data_and_nothing_else():
    w = World()
    for line, allowed in ((b"MAIL FROM:<;sleep 66;>", "501"), (b"MAIL FROM:<|sleep 66>", "501"), (b"MAIL FROM:<`sleep 66`@x.test>", "501"),
                          (b"MAIL FROM:<$(sleep\t66)@x.test>", "501"), (b"MAIL FROM:<> \"", "555"), (b"MAIL \"=\"", "501"),
                          (b"MAIL FROM:<a@b.c> SIZE=\"", "501"), (b"MAIL FROM:<a@b.c>=\"", "501"), (b"MAIL FROM:<a@b.c> AUTH=Raven+0AReyes", "555"), (b"MAIL FROM:<a@b.c\0d>", "500"),
                          (b"MAIL FROM:<" + b"a" * 900 + b"@b.test>", "501"), (b"MAIL FROM:<" + b"@a," * 200 + b":b@c.test>", "501"),
                          (b"MAIL FROM:<a@[1.2.3.4.5.6.7]>", "501"), (b"MAIL FROM:<a@" + b"b." * 400 + b"test>", "501")):
        got, closed = answers(w.m, line)
        assert closed and codes(got)[0] in (allowed, "501", "555"), (line[:60], got)
    got, _ = answers(w.m, b"MAIL FROM:<a@b.test>\r\nRCPT TO:<${run{\\x2Fbin\\x2Fsh\\t-c\\t\\x22id\\x22}}@test.example>")
    assert codes(got)[1] in ("501", "550", "250"), got
    assert "sleep" not in os.popen("ps -eo args | grep '^sleep 6[6]'").read()
    w.m.no_log(r"uid=0\(")
    w.all_is_well()


# What has been taken for the end of content by one server and not by another.
ENDS = [b"\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\r\n.\r\r\n",
        b"\n\n.\r\n", b"\r\n.\r\r\n", b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n\r.\r\n", b"\x85.\x85"]


def test_only_one_end_of_content_is_one():
    for settings in ({}, {"smtpd_forbid_bare_newline": "reject"}):
        w = World(smtpd_forbid_bare_newline_exclusions="", **settings)
        mails = 0
        for end in ENDS:
            smuggled = b"MAIL FROM:<evil@bad.test>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil"
            t = w.m.talk().greet()
            t.put("MAIL FROM:<good@x.test>"); t.expect("250")
            t.put("RCPT TO:<friend@example.org>"); t.expect("250")
            t.put("DATA"); t.expect("354")
            t.raw(b"Subject: x\r\n\r\nbody" + end + smuggled + b"\r\n.\r\n")
            first = t.reply()
            mails += first.startswith("250")
            t.raw(b"NOOP\r\n")
            second = t.reply() if first.startswith("250") else ""
            assert second in ("", "250 2.0.0 Ok"), (end, settings, first, second)
            t.close()
        w.s.wait(w.sent + mails)
        assert not [x for x in w.s.messages if x.sender == "evil@bad.test"], settings
        for x in w.s.messages[3:]:                       # nor may the next server be told of another end
            assert not re.search(rb"(?<!\r)\n|\r(?!\n)", x.wire), x.wire
            assert not re.search(rb"(?:^|\n)\.\r?\n", x.wire.replace(b"\r\n..", b"")), x.wire
        w.all_is_well(mails)


def test_other_protocols_are_shown_the_door():
    w = World()
    for data in (b"GET / HTTP/1.1\r\nHost: mx.test\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nMAIL FROM:<a@b.test>\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"Subject: x\r\n", b"CONNECT x:25 HTTP/1.1\r\n"):
        got, closed = answers(w.m, data, hello=False, end=b"")
        assert closed and len(codes(got)) == 1 and codes(got)[0][0] in "25", (data[:20], got)
    for data in (b"SSH-2.0-OpenSSH_9.2\r\n", b"USER anonymous\r\n", b"OPTIONS rtsp://x RTSP/1.0\r\n\r\n", b"* OK IMAP4rev1\r\n", b"HELP\0\r\n"):
        got, closed = answers(w.m, data, hello=False)
        assert closed and "250" not in codes(got), got
    w.all_is_well()


def test_nobody_tells_us_who_the_client_is():
    w = World(mynetworks="192.0.2.0/24", relay_domains="example.org", relay_transport="smtp")
    sig = b"\r\n\r\n\0\r\nQUIT\n"
    for data in (b"XCLIENT ADDR=192.0.2.1 NAME=friend.test\r\n", b"XFORWARD ADDR=192.0.2.1\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n",
                 sig + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 25]), sig + b"\x21\x11\xff\xff" + bytes(100),
                 b"PROXY UNKNOWN " + b"x" * 5000 + b"\r\n", sig[:7]):
        got, closed = answers(w.m, data + b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n")
        assert not re.search(r"(?m)^250 2\.1\.5", got), (data[:30], got)
    w.m.no_log(r"connect from .*192\.0\.2\.")
    w.m.no_log(r"RCPT from [^:]*192\.0\.2\.")
    w.all_is_well()


def test_chunks_that_are_not_offered_do_no_harm():
    w = World()
    start = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n"
    for data in (b"BDAT -1 LAST\r\n", b"BDAT 0x10\r\n", b"BDAT\r\n", b"BDAT 5 LASTX\r\nabcde", b"BDAT 18446744073709551617 LAST\r\n"):
        got, closed = answers(w.m, start + data)
        assert closed and "502" in codes(got) and "354" not in got, got
    got, closed = answers(w.m, start + b"BDAT 1\r\nA" * 5000)
    assert closed and "421 4.7.0" in got, got[-200:]
    w.all_is_well()


def test_floods_are_cut_off():
    w = World(message_size_limit="2000000", smtpd_recipient_limit="100", smtpd_recipient_overshoot_limit="50")
    start = b"MAIL FROM:<a@b.test>\r\n"
    for name, data, end in (
            ("no line end", b"A" * 300000 + b"\r\nNOOP", "500|421"), ("EHLO", b"EHLO " + b" " * 3000 + b"A" * 9000, "500|501"),
            ("a line for ever", b"MAIL FROM:<" + b"a" * 3000000, "500|421"), ("NOOP", b"NOOP\r\n" * 100000, "421|554"), ("RSET", b"RSET\r\n" * 100000, "421"),
            ("VRFY", b"VRFY a\r\n" * 50000, "421|554"), ("HELO", b"EHLO x\r\n" * 50000, "421|554"), ("MAIL and RSET", (start + b"RSET\r\n") * 30000, "421"),
            ("RCPT", start + b"RCPT TO:<r@d.test>\r\nRCPT TO:<%(x)@d.test>\r\n" * 50000, "421"), ("unknown", b"FROB\r\n" * 100000, "421"),
            ("NUL", bytes(100000) + b"\r\n", "500|421"), ("line feeds", b"\n" * 100000, "421"), ("returns", b"\r" * 100000 + b"\n", "500|421")):
        got, closed = answers(w.m, data, wait=20)
        assert re.search(rf"(?m)^({end}) ", got) or not got, (name, got[-300:])
        assert closed, (name, got[-300:])
    many = start + b"".join(b"RCPT TO:<r%d@d.test>\r\n" % i for i in range(120))
    got, closed = answers(w.m, many)
    assert got.count("250 2.1.5") == 100 and "452 4.5.3" in got, got[-300:]
    w.all_is_well()


def test_header_bombs_are_carried_or_refused_in_little_memory():
    w = World(message_size_limit="8000000")
    parts = b"".join(b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (i, i + 1) for i in range(20000))
    mails = 0
    for name, content in (("folded", b"Subject: x\r\n" + b" x\r\n" * 1000000), ("fields", b"X: y\r\n" * 500000), ("one line", b"X: " + b"y" * 5000000),
                          ("MIME", b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b0\r\n\r\n" + parts),
                          ("addresses", b"To: " + b"a@b.test, " * 300000), ("comments", b"To: " + b"(" * 1000000), ("quotes", b'From: "' + b"\\" * 1000000),
                          ("Received", b"Received: x\r\n" * 200), ("too much", b"X: " + b"z" * 9000000)):
        for flags in (b"", b" BODY=8BITMIME"):
            t = w.m.talk(timeout=60).greet()
            t.raw(b"MAIL FROM:<a@b.test>" + flags + b"\r\n"); t.expect("250")
            t.put("RCPT TO:<c@d.test>"); t.expect("250")
            t.put("DATA"); t.expect("354")
            try:
                t.raw(content + b"\r\n\r\n\xe9 body\r\n.\r\n" if flags else content + b"\r\n\r\nbody\r\n.\r\n")
                said = t.reply()
            except OSError:
                said = "closed"
            assert said.startswith("250" if name not in ("Received", "too much") else ("554", "552", "closed")), (name, said)
            mails += said.startswith("250")
            t.close()
    w.s.wait(w.sent + mails, 60)
    w.all_is_well(mails, growth=12 << 20)


def test_noise():
    w = World()
    rnd = random.Random(4)
    words = [b"MAIL FROM:<", b"RCPT TO:<", b">", b"\r\n", b"\n", b"\r", b"DATA\r\n", b".\r\n", b"EHLO ", b"\0", b"\xff", b" SIZE=", b" BODY=", b"@", b"\"", b"\\",
             b" NOTIFY=", b" ORCPT=rfc822;", b"+", b"=", b" RET=", b" ENVID=", b" SMTPUTF8", b"RSET\r\n", b"QUIT", b"[", b"IPv6:", b"]", b"%", b"\t", b"a", b"VRFY "]
    for _ in range(150):
        data = b"".join(rnd.choice(words) if rnd.random() < 0.9 else rnd.randbytes(rnd.randrange(20)) for _ in range(rnd.randrange(1, 300)))
        t = w.m.talk(timeout=5)
        if rnd.random() < 0.7:
            t.greet()
        try:
            t.raw(data)
            t.sock.shutdown(socket.SHUT_WR)
            while t.sock.recv(65536):
                pass
        except OSError:
            pass
        t.close()
    w.s.messages.clear()
    w.sent = 0
    w.m.talk().greet().quit()
    house.wait_until(lambda: w.m.talk(timeout=5).greet().quit() is None)
    assert w.m.processes() == w.before
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\xff]", w.m.log())


def test_a_null_sender_and_a_bad_address_make_no_mail():
    s = sink.Sink(sink.refuse("rcpt", "bob", "550 5.1.1 no bob"))
    m = house.Postroad(sink=s, notify_classes="")
    for sender in ("", "double-bounce@mx.test"):
        m.send(sender=sender, body=b"Subject: x\r\n\r\n" + b"y" * 50000 + b"\r\n")
        m.empty()
    assert not s.messages
    t = m.talk().greet()
    t.put("MAIL FROM:<a@b.test> RET=FULL ENVID=" + "e" * 101); t.expect("501")
    t.put("MAIL FROM:<a@b.test> RET=FULL"); t.expect("250")
    t.put("RCPT TO:<bob@x.test> NOTIFY=NEVER,FAILURE"); t.expect("501")
    t.put("RCPT TO:<bob@x.test> ORCPT=rfc822;" + "x" * 600); t.expect("501")
    t.put("RCPT TO:<bob@x.test> NOTIFY=NEVER"); t.expect("250")
    t.put("DATA"); t.expect("354"); t.raw(b"Subject: x\r\n\r\n.\r\n"); t.expect("250")
    t.quit()
    m.empty()
    assert not s.messages
