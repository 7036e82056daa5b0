# SPDX-License-Identifier: Apache-2.0
"""Mail handed in on the host itself: sendmail, postdrop, maildrop, pickup."""
import os, resource, struct, subprocess

import house, sink

PICKUP = "pickup unix n - n 60 1 pickup"
TEXT = "Subject: hello\nTo: Bob <bob@example.org>, carol@example.org\n\nhello\n"


def world(**settings):
    s = sink.Sink()
    return s, house.Postroad(s, master=[PICKUP], **settings)


def sendmail(m, *args, text=TEXT, check=True):
    return m.run(*args, name="sendmail", stdin=text, check=check)


def test_a_message_goes_out_completed():
    s, m = world(myorigin="origin.test")
    sendmail(m, "-f", "alice", "-F", "Alice Smith", "bob@example.org")
    got = s.wait(1)[0]
    assert got.sender == "alice@origin.test" and got.rcpts == ["bob@example.org"], (got.sender, got.rcpts)
    assert got.header("From") == "Alice Smith <alice@origin.test>", got.content
    assert got.header("Date") and got.header("Message-Id").endswith("@mx.test>")
    assert got.header("To") == "Bob <bob@example.org>, carol@example.org" and got.body == b"hello\r\n"
    assert f"(Postroad, from userid {os.getuid()})" in got.header("Received"), got.header("Received")
    m.wait_log(rf"postroad/pickup\[\d+\]: [0-9A-F]{{16}}: uid={os.getuid()} from=<alice>")
    house.wait_until(lambda: not m.files("maildrop"))


def test_recipients_come_from_the_header():
    s, m = world()
    sendmail(m, "-t", "-oi", "dave@example.org", text="To: Bob <bob@example.org>,\n\tcarol@example.org (C)\nCc: Group: erin@example.org;\n"
             "Bcc: secret@example.org\nSubject: x\n\n.\nbody\n")
    got = s.wait(1)[0]
    assert sorted(got.rcpts) == [f"{n}@example.org" for n in ("bob", "carol", "dave", "erin", "secret")], got.rcpts
    assert b"secret" not in got.content and got.body == b".\r\nbody\r\n", got.content


def test_a_message_sent_again_goes_to_those_it_is_sent_to_now():
    s, m = world()
    sendmail(m, "-t", text="Resent-To: new@example.org\nResent-From: x@example.org\nTo: old@example.org\n\nx\n")
    assert s.wait(1)[0].rcpts == ["new@example.org"]


def test_lines_of_other_systems_and_of_mailboxes():
    s, m = world()
    sendmail(m, "-i", "bob@example.org", text="From alice Tue Nov 24\n>From x\nSubject: x\r\n\r\n.dot\r\nbare\rcr\nno end")
    got = s.wait(1)[0]
    assert got.header("Subject") == "x" and got.body == b".dot\r\nbare cr\r\nno end\r\n", got.content
    sendmail(m, "bob@example.org", text="Subject: y\n\none\n.\ntwo\n")
    assert s.wait(2)[1].body == b"one\r\n"
    sendmail(m, "bob@example.org", text="no header at all\n")
    got = s.wait(3)[2]
    assert got.body == b"no header at all\r\n" and got.header("From"), got.content


def test_a_header_that_is_no_list_of_addresses_goes_out_as_it_is():
    """What cannot be completed is not; a backslash before a line end once put a bare CR into the address that was completed."""
    s, m = world(myorigin="origin.test")
    sendmail(m, "bob@example.org", text='To: a\\\nCc: "never closed\nReply-To: x@[1.2.3.4\nErrors-To: joe\nSubject: x\n\nhello\n')
    got = s.wait(1)[0]
    for line in (b"To: a\\\r\n", b'Cc: "never closed\r\n', b"Reply-To: x@[1.2.3.4\r\n", b"Errors-To: joe@origin.test\r\n"):
        assert b"\n" + line in got.wire, (line, got.wire)
    assert b"\r" not in got.wire.replace(b"\r\n", b"")


def test_it_works_while_the_system_is_down():
    s, m = world(start=False)
    m.start(); m.stop()
    sendmail(m, "bob@example.org")
    assert len(m.files("maildrop")) == 1 and not s.messages
    m.start()
    s.wait(1)
    house.wait_until(lambda: not m.files("maildrop"))


def test_what_cannot_be_is_refused_at_once_with_the_reason():
    s, m = world(message_size_limit="20000")
    for args, text, status, words in (
            ([], TEXT, 64, "Recipient addresses must be specified"),
            (["-t"], "Subject: x\n\nx\n", 65, "No recipient addresses found in message header"),
            (["a b@example.org"], TEXT, 64, "bad recipient address"),
            (["bob@example.org\x01"], TEXT, 64, "bad recipient address"),
            (["-f", "a\nb", "bob@example.org"], TEXT, 64, ""),
            (["-N", "sometimes", "bob@example.org"], TEXT, 64, "unsupported: -N sometimes"),
            (["-bX", "bob@example.org"], TEXT, 64, "unsupported"),
            (["bob@example.org"], TEXT + 30000 * "x", 65, "message_size_limit")):
        m.said = ""
        sendmail(m, *args, text=text, check=False)
        assert m.status == status and words in m.said, (args, m.status, m.said)
    assert not m.files("maildrop") and not s.messages


def test_options_of_programs_are_taken():
    s, m = world()
    sendmail(m, "-oem", "-oi", "-odb", "-om", "-G", "-n", "-B8BITMIME", "-h5", "-L", "tag", "-Ac", "-fsender@example.org", "--", "bob@example.org",
             text="Subject: x\nFrom: y@example.org\n\n\u00fc\n")
    got = s.wait(1)[0]
    assert got.sender == "sender@example.org" and got.body == "\u00fc\r\n".encode()
    sendmail(m, "-f", "<>", "bob@example.org")
    assert s.wait(2)[1].sender == ""


def test_smtp_on_standard_input():
    s, m = world()
    said = sendmail(m, "-bs", text="EHLO me\r\nRCPT TO:<x@example.org>\r\nMAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\nNOOP\r\n"
                    "DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nFOO\r\nQUIT\r\n")
    codes = [l[:3] for l in said.splitlines() if l[3:4] != "-"]
    assert codes == ["220", "250", "503", "250", "250", "250", "354", "250", "502", "221"], said
    got = s.wait(1)[0]
    assert got.sender == "alice@example.org" and got.body == b".dot\r\n"


def test_half_a_message_is_none():
    s, m = world()
    p = subprocess.Popen([f"{house.BIN}/postdrop", "-c", m.dir], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    text = lambda t: struct.pack("<I", len(t)) + t
    head = struct.pack("<I", 1) + text(b"a@b") + b"\0" + text(b"") + struct.pack("<I", 0)
    rcpts = text(b"bob@example.org") + text(b"") + b"\0" + text(b"")
    _, err = p.communicate(text(head + text(rcpts)) + text(b"Subject: x\n\nhalf"))
    assert p.returncode == 70 and b"the end of the message is missing" in err, err
    assert not m.files("maildrop")
    for junk in (b"", b"\xff\xff\xff\xff", text(b"junk"), text(head), text(head + text(text(b"a\nb") + text(b"") + b"\0" + text(b"")))):
        p = subprocess.run([f"{house.BIN}/postdrop", "-c", m.dir], input=junk, capture_output=True)
        assert p.returncode == 65, (junk, p)
    assert not m.files("maildrop")


def test_a_message_that_cannot_be_read_to_its_end_is_none():
    """A line that there is no memory for; an input that fails."""
    s, m = world()
    sendmail(m, "bob@example.org")                         # makes the link, too
    s.wait(1)
    run = lambda **kw: subprocess.run([f"{m.dir}/sendmail", "-c", m.dir, "-i", "bob@example.org"], capture_output=True, env=m.env, **kw)
    if "/asan/" not in house.BIN:                          # a sanitizer's memory has no bounds
        little = lambda: resource.setrlimit(resource.RLIMIT_AS, (64 << 20, 64 << 20))
        for text in (b"x" * (100 << 20), b"Subject: x\n\nbody\n" + b"x" * (100 << 20)):
            p = run(input=text, preexec_fn=little)
            assert p.returncode == 74 and b"cannot read the message: Cannot allocate memory" in p.stderr, p
    d = os.open("/", os.O_RDONLY)
    p = run(stdin=d)
    os.close(d)
    assert p.returncode == 74 and b"cannot read the message" in p.stderr, p
    m.empty()
    assert not m.files("maildrop") and len(s.messages) == 1


def test_what_is_no_message_is_set_aside():
    s, m = world()
    with open(f"{m.spool}/maildrop/0123456789ABCDEF", "wb") as f:
        f.write(1000 * b"junk")
    os.mkfifo(f"{m.spool}/maildrop/0123456789ABCDE0")
    m.wait_log(r"maildrop/0123456789ABCDEF: damaged, set aside in corrupt")
    sendmail(m, "bob@example.org")
    s.wait(1)
    m.wait_log(r"maildrop/0123456789ABCDE0: damaged, set aside in corrupt")
    assert sorted(m.files("corrupt")) == ["0123456789ABCDE0", "0123456789ABCDEF"]


def test_a_loop_ends_with_a_notice():
    s, m = world(hopcount_limit="5")
    sendmail(m, "-f", "alice@example.org", "bob@example.org", text="Received: by x\n" * 6 + ".odd: \u00fc\n" + TEXT)
    got = s.wait(1)[0]
    assert got.sender == "" and got.rcpts == ["alice@example.org"] and b"too many hops" in got.content, got.content
    # A field of the message that begins with a dot, and bytes that want BODY=8BITMIME, come back as they were.
    assert "\r\n.odd: \u00fc\r\n".encode() in got.content and "BODY=8BITMIME" in " ".join(got.params).upper(), (got.content, got.params)
    house.wait_until(lambda: not m.files("maildrop"))


def test_kill_pickup_and_nothing_is_lost():
    s, m = world()
    for i in range(4):
        for j in range(10):
            sendmail(m, f"u{i}-{j}@example.org", text="Subject: x\n\nx\n")
        m.kill("pickup")
    want = {f"u{i}-{j}@example.org" for i in range(4) for j in range(10)}
    house.wait_until(lambda: {r for g in s.messages for r in g.rcpts} == want, 60)
    house.wait_until(lambda: not m.files("maildrop"))


def test_what_could_not_be_taken_in_is_tried_again_soon():
    s, m = world(env={"POSTROAD_FAULT": "pickup:fsync:1:EIO"})
    sendmail(m, "bob@example.org")
    s.wait(1, seconds=15)
    m.wait_log("waits in maildrop")
    house.wait_until(lambda: not m.files("maildrop"))
