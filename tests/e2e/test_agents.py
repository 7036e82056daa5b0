# SPDX-License-Identifier: Apache-2.0
"""The small delivery agents: virtual, error, retry, discard."""
import os, pwd, socket, subprocess

import house, sink

AGENTS = ["pickup unix n - n 60 1 pickup", "virtual unix - n n - - virtual", "error unix - - n - 1 error", "retry unix - - n - 1 error", "discard unix - - n - 1 discard"]


def owner():
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def world(**settings):
    s = sink.Sink()
    m = house.Postroad(s, master=AGENTS, start=False, **settings)
    os.chmod(m.dir, 0o755)
    os.mkdir(f"{m.dir}/mail")
    os.chown(f"{m.dir}/mail", owner().pw_uid, owner().pw_gid)
    m.settings.update(virtual_mailbox_base=f"{m.dir}/mail", virtual_mailbox_domains="virtual.test",
                      virtual_uid_maps=f"static:{owner().pw_uid}", virtual_gid_maps=f"static:{owner().pw_gid}", virtual_minimum_uid="1",
                      virtual_mailbox_maps="inline:{ {joe@virtual.test = joe} {ann@virtual.test = virtual.test/ann/} {evil@virtual.test = ../x} {many@virtual.test = no/such/dir/x} }")
    m.write_config(); m.start()
    return s, m


def test_virtual_mailboxes():
    s, m = world()
    os.mkdir(f"{m.dir}/mail/virtual.test"); os.chown(f"{m.dir}/mail/virtual.test", owner().pw_uid, owner().pw_gid)
    qid = m.send(rcpts=["joe@virtual.test", "ann@virtual.test"], body="Subject: x\r\n\r\nFrom here\r\n")
    m.wait_log(rf"virtual\[\d+\]: {qid}: to=<joe@virtual\.test>, relay=virtual, .*dsn=2\.0\.0, status=sent \(delivered to mailbox\)")
    m.wait_log(rf"virtual\[\d+\]: {qid}: to=<ann@virtual\.test>, relay=virtual, .*status=sent \(delivered to maildir\)")
    text = open(f"{m.dir}/mail/joe").read()
    assert text.startswith("From alice@client.test ") and text.endswith("\n\n>From here\n\n"), text
    assert "Return-Path: <alice@client.test>\nX-Original-To: joe@virtual.test\nDelivered-To: joe@virtual.test\nReceived: " in text, text
    new, = os.listdir(f"{m.dir}/mail/virtual.test/ann/new")
    assert open(f"{m.dir}/mail/virtual.test/ann/new/{new}").read().startswith("Return-Path: <alice@client.test>\n")
    assert os.stat(f"{m.dir}/mail/joe").st_uid == owner().pw_uid
    m.empty()


def test_who_died_over_a_mailbox_does_not_keep_it():
    """A deliver that was killed leaves its lock; within the sandbox, too, it is told to be dead."""
    s, m = world()
    dead = subprocess.Popen(["true"])
    dead.wait()
    with open(f"{m.dir}/mail/joe.lock", "w") as f:
        f.write(f"{dead.pid}:{socket.gethostname()}")
    os.chmod(f"{m.dir}/mail/joe.lock", 0o644)
    qid = m.send(rcpts=["joe@virtual.test"])
    m.wait_log(rf"{qid}: to=<joe@virtual\.test>, .*status=sent \(delivered to mailbox\)", seconds=5)
    assert os.listdir(f"{m.dir}/mail") == ["joe"]


def test_virtual_mailboxes_that_cannot_be():
    s, m = world()
    t = m.talk().greet()
    t("""\
        C: MAIL FROM:<a@client.test>
        S: 250 *
        C: RCPT TO:<nobody@virtual.test>
        S: 550 5.1.1 <nobody@virtual.test>: Recipient address rejected: User unknown in virtual mailbox table""")
    qid = m.send(rcpts=["evil@virtual.test", "many@virtual.test"])
    m.wait_log(rf"{qid}: to=<evil@virtual\.test>, .*dsn=4\.3\.5, status=deferred \(recipient <evil@virtual\.test>: bad path")
    m.wait_log(rf"{qid}: to=<many@virtual\.test>, .*status=deferred")
    assert not os.path.exists(f"{m.dir}/x")


def test_error_retry_and_discard():
    for transport, status in (("error:5.1.6 user has moved", r"dsn=5\.1\.6, status=bounced \(user has moved\)"),
                              ("error:go away", r"dsn=5\.0\.0, status=bounced \(go away\)"),
                              ("retry:4.2.1 not today", r"dsn=4\.2\.1, status=deferred \(not today\)"),
                              ("retry:later", r"dsn=4\.0\.0, status=deferred \(later\)"),
                              ("discard:silently", r"dsn=2\.0\.0, status=sent \(silently\)")):
        s, m = world(default_transport=transport, relayhost="", relay_domains="client.test", relay_transport="discard:x")
        # By SMTP what is known to fail would not be taken.
        m.run("-f", "alice@client.test", "bob@example.org", name="sendmail", stdin="Subject: x\n\nx\n")
        m.wait_log(rf": to=<bob@example\.org>, relay=none, .*{status}")
        assert not s.messages
