# SPDX-License-Identifier: Apache-2.0
"""What comes in goes out: byte for byte, and only where the sender ended it."""
import email, os, random

import house, sink


def through(m, s, body, n):
    m.send(body=body)
    return s.wait(n)[n - 1]


def test_lines_of_dots_are_byte_exact():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    bodies = [b".\r\n..\r\n...\r\nx.\r\n.x\r\n\r\n.\r\n", b"", b"\r\n", b"no line end but ours\r\n", b".\r\n" * 5000]
    for n, body in enumerate(bodies, 1):
        got = through(m, s, b"Subject: dots\r\n\r\n" + body, n)
        assert got.body == body, (n, got.body[:100])


def test_eight_bits_and_long_lines_pass():
    s = sink.Sink()
    m = house.Postroad(sink=s, smtp_line_length_limit="0")
    body = bytes(b for b in range(256) if b not in (0, 10, 13)) * 20 + b"\r\n" + b"y" * 60000 + b"\r\n"
    t = m.talk().greet()
    t.put("MAIL FROM:<a@b.test> BODY=8BITMIME"); t.expect("250")
    t.put("RCPT TO:<c@d.test>"); t.expect("250")
    t.put("DATA"); t.expect("354"); t.raw(b"Subject: 8\r\n\r\n" + body + b".\r\n"); t.expect("250")
    got = s.wait(1)[0]
    assert got.body == body
    assert "BODY=8BITMIME" in got.params


def test_long_lines_are_broken_for_the_next_hop():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    got = through(m, s, b"Subject: long\r\n\r\n" + b"z" * 5000 + b"\r\nend\r\n", 1)
    assert max(len(l) for l in got.body.split(b"\r\n")) <= 998
    assert got.body.replace(b"\r\n ", b"") == b"z" * 5000 + b"\r\nend\r\n"


def test_a_hundred_thousand_lines():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    body = b"".join(b"%d line %s\r\n" % (n, b"." * (n % 7)) for n in range(100000))
    assert through(m, s, b"Subject: many\r\n\r\n" + body, 1).body == body


def test_fifty_megabytes():
    s = sink.Sink()
    m = house.Postroad(sink=s, message_size_limit="100000000")
    block = random.Random(1).randbytes(4096).hex().encode()
    body = b"\r\n".join(block[i:i + 76] for i in range(0, len(block), 76)) + b"\r\n"
    body *= 50_000_000 // len(body)
    got = through(m, s, b"Subject: big\r\n\r\n" + body, 1)
    assert len(got.body) == len(body) and got.body == body


test_fifty_megabytes.slow = 2


def test_too_big_is_refused_at_the_end_too():
    s = sink.Sink()
    m = house.Postroad(sink=s, message_size_limit="20000")
    t = m.talk().greet()
    t.put("MAIL FROM:<a@b.test>"); t.expect("250")
    t.put("RCPT TO:<c@d.test>"); t.expect("250")
    t.put("DATA"); t.expect("354"); t.raw(b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 100000 + b".\r\n")
    t.expect("552 5.3.4 Error: message file too big")
    assert m.send(talk=t, body=b"small\r\n")
    assert len(s.wait(1)) == 1 and not m.files("corrupt")


ENDS = [b"\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\r\n.\r\r\n"]


def smuggle(m, s, end):
    """A message whose content holds a false end and a second message; how many messages came out."""
    before = len(s.messages)
    t = m.talk().greet()
    t.put("MAIL FROM:<a@b.test>"); t.expect("250")
    t.put("RCPT TO:<c@d.test>"); t.expect("250")
    t.put("DATA"); t.expect("354")
    t.raw(b"Subject: one\r\n\r\nhello" + end + b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<victim@d.test>\r\nDATA\r\nSubject: two\r\n\r\nsmuggled\r\n.\r\n")
    reply = t.reply()
    t.put("NOOP")
    try:
        rest = t.reply()
    except (AssertionError, OSError):
        rest = ""
    t.close()
    return before, reply, rest


def test_only_crlf_dot_crlf_ends_a_message():
    s = sink.Sink()
    m = house.Postroad(sink=s, smtpd_forbid_bare_newline_exclusions="")
    for n, end in enumerate(ENDS, 1):
        _, reply, rest = smuggle(m, s, end)
        assert reply.startswith("250 2.0.0") and rest.startswith("250 2.0.0 Ok"), (end, reply, rest)
        s.wait(n)
    assert len(s.messages) == len(ENDS) and all(g.sender == "a@b.test" for g in s.messages)
    for g in s.messages:                       # and nothing smuggles out: no bare CR or LF, no false end
        assert b"\n" not in g.wire.replace(b"\r\n", b"") and b"\r" not in g.wire.replace(b"\r\n", b""), g.wire


def test_bare_newlines_can_be_refused():
    s = sink.Sink()
    m = house.Postroad(sink=s, smtpd_forbid_bare_newline="reject", smtpd_forbid_bare_newline_exclusions="")
    _, reply, _ = smuggle(m, s, b"\n.\n")
    assert reply.startswith("550 5.5.2 mx.test Error: bare <LF> received"), reply
    assert not s.messages


def test_message_of_many_recipients_goes_in_few_transactions():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    rcpts = [f"r{n}@example.org" for n in range(500)]
    m.send(rcpts=rcpts, body=b"Subject: all\r\n\r\nhi\r\n")
    house.wait_until(lambda: sum(len(g.rcpts) for g in s.messages) >= 500)
    assert sorted(r for g in s.messages for r in g.rcpts) == sorted(rcpts)
    assert len(s.messages) == 10
    m.empty()


def test_pipelined_commands_are_answered_in_one_go():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    t = m.talk().greet()
    for n in range(20):
        t.raw(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<e@d.test>\r\nDATA\r\n")
        for want in ("250", "250", "250", "354"):
            t.expect(want)
        t.raw(b"Subject: %d\r\n\r\nbody\r\n.\r\n" % n)
        t.expect("250")
    t.quit()
    s.wait(20)


def test_random_chunks_change_nothing():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    rnd = random.Random(7)
    body = b"".join(rnd.choice([b".", b"..", b"a", b"\r\n", b"b" * 50, b"\r\n.x\r\n"]) for _ in range(3000)) + b"\r\n"
    body = body.replace(b"\r\n.\r\n", b"\r\n.x\r\n").replace(b"\r\n.\r\n", b"\r\n.x\r\n")
    wire = b"\r\n".join(b"." + l if l.startswith(b".") else l for l in body.split(b"\r\n"))
    for n in range(1, 4):
        t = m.talk().greet()
        t.put("MAIL FROM:<a@b.test>"); t.expect("250")
        t.put("RCPT TO:<c@d.test>"); t.expect("250")
        t.put("DATA"); t.expect("354")
        data = b"S: x\r\n\r\n" + wire + b".\r\n"
        while data:
            k = rnd.randint(1, 700)
            t.raw(data[:k]); data = data[k:]
        t.expect("250")
        assert s.wait(n)[n - 1].body == body


EIGHT = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--b\r\n" \
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n.caf\u00e9 = 1\r\n.\r\n\r\n--b\r\n" \
        "Content-Type: application/octet-stream\r\n\r\n\u00e9\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\n\u00fc\r\n--b--\r\n"
SEVEN = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--b\r\n" \
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n.caf=C3=A9 =3D 1\r\n.\r\n\r\n--b\r\n" \
        "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nw6k=\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" \
        "Subject: in\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC\r\n--b--\r\n"


def test_servers_without_8bitmime_get_7_bits():
    s = sink.Sink(offers=["PIPELINING"])
    m = house.Postroad(sink=s)
    got = through(m, s, EIGHT.encode(), 1)
    assert got.content.endswith(b"\r\n" + SEVEN.encode()), got.content.decode()
    assert "BODY=8BITMIME" not in got.params
    # A large one, read from the file in pieces; a mail program takes it apart again.
    lines = "".join(f"{n} \u00fcber\r\n" for n in range(200000))
    got = through(m, s, ("Subject: big\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + lines).encode(), 2)
    assert got.content.isascii() and max(len(l) for l in got.content.split(b"\r\n")) <= 998
    assert email.message_from_bytes(got.content).get_payload(decode=True).decode() == lines
    s.offers = ["8BITMIME"]
    got = through(house.Postroad(sink=s), s, EIGHT.encode(), 3)
    assert got.content.endswith(EIGHT.encode()) and got.params == ["BODY=8BITMIME"]


def test_turning_8_bits_into_7_can_be_switched_off():
    s = sink.Sink(offers=["PIPELINING"])
    m = house.Postroad(sink=s, disable_mime_output_conversion="yes")
    assert through(m, s, EIGHT.encode(), 1).content.endswith(EIGHT.encode())


def test_mail_in_utf8_is_for_servers_that_take_it():
    s = sink.Sink(offers=["PIPELINING", "8BITMIME", "SMTPUTF8"])
    m = house.Postroad(sink=s)

    def hand_in(sender, rcpts, subject):
        t = m.talk().greet()
        t.put(f"MAIL FROM:<{sender}> BODY=8BITMIME SMTPUTF8"); t.expect("250")
        for r in rcpts:
            t.put(f"RCPT TO:<{r}>"); t.expect("250")
        t.put("DATA"); t.expect("354"); t.raw(f"Subject: {subject}\r\n\r\n\u00fc\r\n.\r\n".encode())
        return t.expect("250").split()[-1]

    hand_in("j\u00f6rg@client.test", ["b\u00f6b@example.org", "ann@example.org"], "x")
    got = s.wait(1)[0]
    assert got.sender == "j\u00f6rg@client.test" and got.rcpts == ["b\u00f6b@example.org", "ann@example.org"] and "SMTPUTF8" in got.params, vars(got)
    hand_in("alice@client.test", ["ann@example.org"], "\u00fcber")
    assert "SMTPUTF8" in s.wait(2)[1].params
    hand_in("alice@client.test", ["ann@example.org"], "not needed")
    assert s.wait(3)[2].params == ["BODY=8BITMIME"]
    s.offers = ["PIPELINING", "8BITMIME"]
    m = house.Postroad(sink=s)
    qid = hand_in("alice@client.test", ["b\u00f6b@example.org", "ann@example.org"], "x")
    m.wait_log(rf"{qid}: to=<b.*b@example\.org>, .*dsn=5\.6\.7, status=bounced \(SMTPUTF8 is required, but was not offered by host ")
    m.wait_log(rf"{qid}: to=<ann@example\.org>, .*status=sent")
    qid = hand_in("alice@client.test", ["ann@example.org"], "\u00fcber")
    m.wait_log(rf"{qid}: to=<ann@example\.org>, .*dsn=5\.6\.7, status=bounced")
