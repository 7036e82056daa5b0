# SPDX-License-Identifier: Apache-2.0
"""LMTP (RFC 2033): smtp by its other name, to servers of this host and others."""
import os, re

import house, sink
from sink import DROP, refuse, for_a_while

LMTP = ["lmtp unix - - n - 1 lmtp"]


def world(*rules, unix=False, start=True, offers=("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"), **settings):
    """A server of LMTP and a Postroad that hands it all its mail."""
    m = house.Postroad(master=LMTP, start=False)
    path = f"{m.dir}/spool/private/dovecot-lmtp" if unix else None
    if unix:
        os.makedirs(os.path.dirname(path))
    s = sink.Sink(*rules, lmtp=True, path=path, name="mx.test", offers=offers)
    m.settings.update({"default_transport": "lmtp:unix:private/dovecot-lmtp" if unix else f"lmtp:inet:127.0.0.1:{s.port}", **settings})
    m.write_config()
    if start:
        m.start()
    return s, m


def test_over_a_unix_socket():
    s, m = world(unix=True)
    qid = m.send(body="Subject: x\r\n\r\n.dot\r\n")
    got = s.wait(1)[0]
    assert (got.sender, got.rcpts, got.body) == ("alice@client.test", ["bob@example.org"], b".dot\r\n")
    assert s.sessions[0].lines[0] == b"LHLO mx.test\r\n", s.sessions[0].lines
    m.wait_log(rf"postroad/lmtp\[\d+\]: {qid}: to=<bob@example\.org>, relay=mx\.test\[private/dovecot-lmtp\], delay=[\d.]+, "
               r"delays=[\d./]+, dsn=2\.0\.0, status=sent \(250 2\.0\.0 ok 0\)$")
    m.empty()


def test_over_tcp_and_names():
    s, m = world()
    qid = m.send()
    s.wait(1)
    m.wait_log(rf"/lmtp\[\d+\]: {qid}: to=<bob@example\.org>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:{s.port}, .*status=sent")
    m.empty()
    m.settings["default_transport"] = f"lmtp:localhost:{s.port}"
    m.write_config(); m.reload()
    qid = m.send()
    s.wait(2)
    m.wait_log(rf"{qid}: to=<bob@example\.org>, relay=localhost\[127\.0\.0\.1\]:{s.port}, .*status=sent")


def test_each_recipient_has_his_own_fate():
    s, m = world(refuse("rcpt", "nobody@", "550 5.1.1 no such user"), refuse("content", "full@", "552 5.2.2 over quota"),
                 refuse("content", "busy@", "451 4.2.0 locked"))
    qid = m.send(rcpts=["good@example.org", "nobody@example.org", "full@example.org", "busy@example.org", "fine@example.org"])
    for to, dsn, status in (("good", "2.0.0", r"sent \(250 2\.0\.0 ok \d+\)"),
                            ("nobody", "5.1.1", r"bounced \(host .* said: 550 5\.1\.1 no such user \(in reply to RCPT TO command\)\)"),
                            ("full", "5.2.2", r"bounced \(host .* said: 552 5\.2\.2 over quota \(in reply to end of DATA command\)\)"),
                            ("busy", "4.2.0", r"deferred \(host .* said: 451 4\.2\.0 locked \(in reply to end of DATA command\)\)"),
                            ("fine", "2.0.0", r"sent \(250 2\.0\.0 ok \d+\)")):
        m.wait_log(rf"/lmtp\[\d+\]: {qid}: to=<{to}@example\.org>, .*dsn={re.escape(dsn)}, status={status}$")
    assert s.wait(1)[0].rcpts == ["good@example.org", "fine@example.org"]
    left = house.wait_until(lambda: [q for q in m.queue() if q["queue_id"] == qid and len(q["recipients"]) == 1])
    assert left[0]["recipients"][0]["address"] == "busy@example.org"
    del s.rules[:]
    m.run("queue", "flush")
    house.wait_until(lambda: [g for g in s.messages if g.rcpts == ["busy@example.org"]])
    m.empty()
    assert sum("good@example.org" in g.rcpts for g in s.messages) == 1


def test_a_server_that_dies_in_the_middle_of_its_answers():
    s, m = world(for_a_while(lambda ses, at, text: DROP if at == "content" and text.startswith("two@") else None, 1), minimal_backoff_time="1s")
    qid = m.send(rcpts=["one@example.org", "two@example.org"])
    m.wait_log(rf"{qid}: to=<one@example\.org>, .*status=sent")
    m.wait_log(rf"{qid}: to=<two@example\.org>, .*dsn=4\.4\.2, status=deferred \(lost connection with .* while sending end of data -- "
               r"message may be sent more than once\)")
    m.empty()
    house.wait_until(lambda: sorted(r for g in s.messages for r in g.rcpts) == ["one@example.org", "two@example.org"])


def test_a_server_that_is_not_there_is_waited_for():
    s, m = world(unix=True)
    s.close(); house.ALIVE.remove(s)
    os.unlink(s.port)
    qid = m.send()
    m.wait_log(rf"{qid}: to=<bob@example\.org>, relay=none, .*dsn=4\.4\.1, status=deferred \(connect to mx\.test\[private/dovecot-lmtp\]: "
               r"No such file or directory\)")
    s = sink.Sink(lmtp=True, path=s.port)
    m.run("queue", "flush")
    s.wait(1)
    m.empty()


def test_connections_are_kept():
    s, m = world(unix=True, lmtp_connection_cache_time_limit="20s", lmtp_destination_concurrency_limit="1")
    for n in range(1, 8):
        m.send(); s.wait(n)
    assert len(s.sessions) <= 2, len(s.sessions)
    m.wait_log(r"/lmtp\[\d+\]: .*relay=mx\.test\[private/dovecot-lmtp\], conn_use=4, ")


def test_settings_of_its_own():
    s, m = world(lambda ses, at, text: sink.HANG if at == "mail" else None, lmtp_lhlo_name="me.test", lmtp_mail_timeout="1s", smtp_mail_timeout="300s")
    qid = m.send()
    m.wait_log(rf"{qid}: .*status=deferred \(conversation with .* timed out while sending MAIL FROM\)")
    assert s.sessions[0].lines[0] == b"LHLO me.test\r\n"
    assert m.run("lmtp_tcp_port", "lmtp_lhlo_timeout", "smtp_tcp_port", name="postconf") == "lmtp_tcp_port = 24\nlmtp_lhlo_timeout = 300s\nsmtp_tcp_port = 25\n"


def test_mail_for_users_of_this_host():
    local = ["local unix - n n - - local", "virtual unix - n n - - virtual"]
    m = house.Postroad(master=LMTP + local, start=False)
    os.makedirs(f"{m.spool}/private")
    s = sink.Sink(lmtp=True, path=f"{m.spool}/private/dovecot-lmtp")
    m.settings.update(mydestination="mx.test", mailbox_transport="lmtp:unix:private/dovecot-lmtp", virtual_mailbox_domains="virtual.test",
                      virtual_transport="lmtp:unix:private/dovecot-lmtp", local_recipient_maps="", alias_maps="inline:{ {list=one@mx.test, two@mx.test} }")
    m.write_config(); m.start()
    m.send(rcpts=["joe@mx.test"])
    m.send(rcpts=["ann@virtual.test"])
    m.send(rcpts=["list@mx.test"])
    house.wait_until(lambda: sorted(r for g in s.messages for r in g.rcpts) == ["ann@virtual.test", "joe@mx.test", "one@mx.test", "two@mx.test"])
    m.empty()
