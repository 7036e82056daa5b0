# SPDX-License-Identifier: Apache-2.0
"""What senders and postmasters are told: of failure, delay and success, as RFC 3461 lets them choose, each once; and no loops."""
import email, json, os, re, signal

import house, sink
from sink import refuse

AGENTS = ["discard unix - - n - 1 discard", "later unix - - n - 1 error", "error unix - - n - 1 error"]


def world(*rules, clock=None, offers=None, **settings):
    """Mail to virtual.test is delivered (discarded), to relay.test deferred by a transport that smtpd knows nothing of, all else goes to the sink, notices too."""
    s = sink.Sink(*rules, **({"offers": offers} if offers else {}))
    given = dict(virtual_mailbox_domains="virtual.test", virtual_transport="discard:gone", relay_domains="relay.test",
                 relay_transport="later:4.2.1 not today")
    given.update(settings)
    return s, house.Postroad(s, master=AGENTS, env=clock.env if clock else None, **given)


def send(m, rcpts, mail="MAIL FROM:<alice@client.test>", body=b"Subject: hello\r\n\r\nhello\r\n"):
    """rcpts: address and parameters; the queue id."""
    t = m.talk().greet()
    t.put(mail); t.expect("250")
    for r in rcpts:
        address, _, params = r.partition(" ")
        t.put(f"RCPT TO:<{address}> {params}".rstrip()); t.expect("250")
    t.put("DATA"); t.expect("354")
    t.raw(body + b".\r\n")
    qid = t.expect("250").split()[-1]
    t.quit()
    return qid


class Notice:
    """A notice taken apart: its text, fields for the message, fields for each recipient, the original."""
    def __init__(self, got):
        self.got, self.msg = got, email.message_from_bytes(got.content)
        assert self.msg.get_content_type() == "multipart/report", got.content
        assert self.msg["Auto-Submitted"] == "auto-replied" and self.msg["MIME-Version"] == "1.0"
        text, status, self.original = self.msg.get_payload()
        self.text, self.type = text.get_payload(), status.get_content_type()
        if self.type == "message/delivery-status":
            self.fields, *self.rcpts = status.get_payload()
        else:                                  # the email package knows no message/global-delivery-status
            part = got.content.decode().partition(f"Content-Type: {self.type}\r\n")[2].partition("\r\n--")[0]
            self.fields, *self.rcpts = [email.message_from_string(p) for p in part.split("\r\n\r\n")[1:]]
        assert self.msg.get_param("report-type") == self.type.partition("/")[2]

    def rcpt(self, address):
        found = [r for r in self.rcpts if r["Final-Recipient"].endswith(f"; {address}")]
        assert len(found) == 1, (address, [str(r) for r in self.rcpts])
        return found[0]

    def actions(self): return {r["Final-Recipient"].partition("; ")[2]: r["Action"] for r in self.rcpts}


def notices(s): return [Notice(g) for g in s.messages if g.sender == ""]


def test_success_is_told_to_who_asks():
    s, m = world()
    qid = send(m, ["joe@virtual.test NOTIFY=SUCCESS ORCPT=rfc822;Joe+2BHome@virtual.test", "ann@virtual.test", "kim@virtual.test NOTIFY=SUCCESS,FAILURE"],
               mail="MAIL FROM:<alice@client.test> RET=FULL ENVID=order+2042")
    s.wait(1)
    m.empty()
    n, = notices(s)
    assert n.got.rcpts == ["alice@client.test"] and n.msg["Subject"] == "Successful Mail Delivery Report"
    assert n.actions() == {"joe@virtual.test": "delivered", "kim@virtual.test": "delivered"}, n.actions()
    assert n.fields["Original-Envelope-Id"] == "order 42" and n.fields["X-Postroad-Queue-ID"] == qid
    assert n.fields["Reporting-MTA"] == "dns; mx.test" and n.fields["X-Postroad-Sender"] == "rfc822; alice@client.test"
    joe, kim = n.rcpt("joe@virtual.test"), n.rcpt("kim@virtual.test")
    assert joe["Original-Recipient"] == "rfc822;Joe+Home@virtual.test" and joe["Status"] == "2.0.0" and not kim["Original-Recipient"]
    assert n.original.get_content_type() == "text/rfc822-headers" and "hello" in n.original.get_payload() and "\nhello\n" not in n.original.get_payload()
    m.wait_log(rf"/bounce\[\d+\]: {qid}: sender delivery status notification: [0-9A-F]{{16}}$")
    assert len(s.messages) == 1


def test_nothing_is_told_that_was_not_asked_for():
    s, m = world(refuse("rcpt", "bob", "550 5.1.1 no bob"))
    send(m, ["bob1@example.org NOTIFY=NEVER", "bob2@example.org NOTIFY=SUCCESS", "bob3@example.org NOTIFY=DELAY", "joe@virtual.test NOTIFY=NEVER",
             "ann@virtual.test NOTIFY=FAILURE,DELAY", "kim@virtual.test"])
    m.empty()
    assert not s.messages, s.messages[0].content
    qid = send(m, ["bob1@example.org NOTIFY=NEVER", "bob2@example.org NOTIFY=FAILURE", "bob3@example.org"])
    s.wait(1); m.empty()
    n, = notices(s)
    assert n.actions() == {"bob2@example.org": "failed", "bob3@example.org": "failed"}
    m.wait_log(rf"{qid}: sender non-delivery notification")


def test_failure_and_success_of_one_message():
    s, m = world(refuse("rcpt", "bob", "550 5.1.1 no bob"))
    send(m, ["bob@example.org", "joe@virtual.test NOTIFY=SUCCESS"])
    s.wait(2); m.empty()
    assert sorted((n.msg["Subject"], *n.actions().items()) for n in notices(s)) == [
        ("Successful Mail Delivery Report", ("joe@virtual.test", "delivered")),
        ("Undelivered Mail Returned to Sender", ("bob@example.org", "failed"))]


def test_how_much_comes_back():
    s, m = world(refuse("rcpt", "bob", "550 5.1.1 no bob"), bounce_size_limit="20000")
    small, large = b"Subject: x\r\n\r\nthe body\r\n", b"Subject: x\r\n\r\n" + b"the body\r\n" * 3000
    for ret, body, kind in (("", small, "message/rfc822"), (" RET=FULL", small, "message/rfc822"), (" RET=HDRS", small, "text/rfc822-headers"),
                            (" RET=FULL", large, "text/rfc822-headers")):
        s.messages.clear()
        send(m, ["bob@example.org"], mail=f"MAIL FROM:<alice@client.test>{ret}", body=body)
        got = s.wait(1)[0]
        n = Notice(got)
        assert n.original.get_content_type() == kind, (ret, len(body), got.content)
        assert n.original["Content-Description"] == "Undelivered Message" + (" Headers" if "headers" in kind else "")
        assert (b"the body" in got.content) == (kind == "message/rfc822") and len(got.content) < 10000


def test_an_alias_of_several_is_told_as_expanded():
    s, m = world(virtual_alias_maps="inline:{ {list@example.org = joe@virtual.test, ann@virtual.test} {one@example.org = kim@virtual.test} }")
    send(m, ["list@example.org NOTIFY=SUCCESS ORCPT=rfc822;list@example.org", "one@example.org NOTIFY=SUCCESS"])
    s.wait(1); m.empty()
    n, = notices(s)
    assert n.actions() == {"list@example.org": "expanded", "kim@virtual.test": "delivered"}
    assert n.rcpt("kim@virtual.test")["Original-Recipient"] == "rfc822;one@example.org"
    assert "<kim@virtual.test> (expanded from <one@example.org>): gone" in n.text, n.text


def forward_until(clock, what, step=600, most=200000):
    for _ in range(most // step):
        clock.forward(step)
        try:
            return house.wait_until(what, 0.3)
        except AssertionError:
            pass
    raise AssertionError("never came")


def test_a_delay_is_told_once_also_across_a_restart():
    clock = house.Clock()
    s, m = world(clock=clock, delay_warning_time="4h", confirm_delay_cleared="yes", maximal_backoff_time="1000s", notify_classes="delay")
    qid = send(m, ["bob@relay.test", "tom@relay.test NOTIFY=FAILURE", "kim@relay.test NOTIFY=NEVER"])
    m.wait_log(rf"{qid}: to=<bob@relay\.test>, .*status=deferred")
    clock.forward(3 * 3600)
    m.wait_log(rf"{qid}: to=<bob@relay\.test>, .*status=deferred", 2)
    assert not s.messages
    forward_until(clock, lambda: len(s.messages) >= 2)
    n, = notices(s)
    assert n.msg["Subject"] == "Delayed Mail (still being retried)" and n.actions() == {"bob@relay.test": "delayed"}
    bob = n.rcpt("bob@relay.test")
    assert bob["Status"] == "4.2.1" and bob["Will-Retry-Until"] and "not today" in bob["Diagnostic-Code"]
    assert "waiting for 4 hours" in n.text and "5 days" in n.text, n.text
    assert n.original.get_content_type() == "text/rfc822-headers"
    m.wait_log(rf"/bounce\[\d+\]: {qid}: sender delay notification: [0-9A-F]{{16}}$")
    m.wait_log(rf"/bounce\[\d+\]: {qid}: postmaster delay notification: [0-9A-F]{{16}}$")
    copy, = [g for g in s.messages if g.sender]
    assert copy.sender == "double-bounce@mx.test" and copy.rcpts == ["postmaster@mx.test"]
    assert copy.header("Subject") == "Postmaster Warning: Delayed Mail"
    house.wait_until(lambda: m.files("deferred") == [qid])
    m.kill("qmgr")
    m.wait_log("queue rebuilt")
    before = len(re.findall("status=deferred", m.log()))
    clock.forward(5000)
    m.wait_log("status=deferred", before + 3)
    m.settings["relay_transport"] = "discard:at last"
    m.write_config(); m.reload()
    m.run("-r", "ALL", name="postsuper")
    s.wait(3); m.empty()
    assert len(s.messages) == 3, [g.header("Subject") for g in s.messages]
    n = Notice(s.messages[2])
    assert n.msg["Subject"] == "Successful Mail Delivery Report" and n.actions() == {"bob@relay.test": "delivered"}


test_a_delay_is_told_once_also_across_a_restart.slow = 3


def test_postmasters_get_what_they_ask_for():
    s, m = world(refuse("rcpt", "bob", "550 5.1.1 no bob"), notify_classes="bounce, 2bounce", bounce_notice_recipient="copies@example.org",
                 **{"2bounce_notice_recipient": "lost@example.org"})
    qid = send(m, ["bob@example.org"], body=b"Subject: secret\r\n\r\nsecret body\r\n")
    s.wait(2); m.empty()
    by = {g.rcpts[0]: g for g in s.messages}
    assert set(by) == {"alice@client.test", "copies@example.org"}
    copy = by["copies@example.org"]
    assert copy.sender == "double-bounce@mx.test" and copy.header("Subject") == "Postmaster Copy: Undelivered Mail"
    assert b"secret body" not in copy.content and b"secret body" in by["alice@client.test"].content
    m.wait_log(rf"/bounce\[\d+\]: {qid}: postmaster non-delivery notification: [0-9A-F]{{16}}$")
    s.messages.clear()
    send(m, ["bob@example.org"], mail="MAIL FROM:<>")
    got = s.wait(1)[0]; m.empty()
    assert got.sender == "double-bounce@mx.test" and got.rcpts == ["lost@example.org"] and len(s.messages) == 1
    assert Notice(got).actions() == {"bob@example.org": "failed"}


def test_no_loop_whatever_is_misconfigured():
    s, m = world(refuse("rcpt", "", "550 5.1.1 nobody here"), notify_classes="bounce, 2bounce, delay, policy, protocol, resource, software")
    qid = send(m, ["bob@example.org"])
    m.wait_log(rf"{qid}: sender non-delivery notification")
    m.empty()
    # Its notice came back (and told the postmaster), and so did what the postmaster was sent: three at most, and each ended.
    m.wait_log("warning: [0-9A-F]{16}: undeliverable postmaster notification discarded", 2)
    made = re.findall(r"notification: ([0-9A-F]{16})$", m.log(), re.M)
    assert len(made) == 3, made
    for kind in ("qmgr", "bounce"):
        m.kill(kind)
    m.wait_log("queue rebuilt|daemon started", 1)
    m.empty()
    assert not s.messages


def test_mail_to_the_sender_of_postmaster_notices_is_dropped():
    s, m = world(mydestination="mx.test", local_recipient_maps="", relay_transport="smtp")
    qid = send(m, ["double-bounce@mx.test"], mail="MAIL FROM:<>")
    m.wait_log(rf"qmgr\[\d+\]: {qid}: to=<double-bounce@mx\.test>, relay=none, delay=.*, dsn=2\.0\.0, status=sent \(undeliverable postmaster notification discarded\)")
    m.wait_log(rf"{qid}: removed")
    assert not s.messages


def test_texts_of_the_administrators_own():
    s, m = world(refuse("rcpt", "bob", "550 5.1.1 no bob"))
    with open(f"{m.dir}/bounce.cf", "w") as f:
        f.write("# ours\n\nfailure_template = <<END\nCharset: utf-8\nFrom: MAILER-DAEMON (Post von $myhostname)\nSubject: Zur=?utf-8?q?=C3=BC?=ck\n\n"
                "Sch\u00f6ne Gr\u00fc\u00dfe von $myhostname, nach $maximal_queue_lifetime_hours Stunden, f\u00fcr 5 $$.\nEND\n")
    m.settings["bounce_template_file"] = f"{m.dir}/bounce.cf"
    m.write_config(); m.reload()
    send(m, ["bob@example.org"])
    got = s.wait(1)[0]
    n = Notice(got)
    assert n.msg["From"] == "MAILER-DAEMON@mx.test (Post von mx.test)" and n.msg["Subject"] == "Zur=?utf-8?q?=C3=BC?=ck"
    text = n.msg.get_payload()[0]
    assert text.get_param("charset") == "utf-8" and n.msg["Content-Transfer-Encoding"] == "8bit"
    assert text.get_payload(decode=True).decode().startswith("Sch\u00f6ne Gr\u00fc\u00dfe von mx.test, nach 120 Stunden, f\u00fcr 5 $.\r\n\r\n<bob@example.org>: "), text
    with open(f"{m.dir}/bounce.cf", "a") as f:
        f.write("delay_template = <<END\nnonsense\n")
    m.reload()
    m.wait_log(r"bounce\[\d+\]: warning: .*bounce\.cf:11: not one of the fields .*: the built-in texts are used instead")
    s.messages.clear()
    send(m, ["bob@example.org"])
    assert Notice(s.wait(1)[0]).msg["Subject"] == "Undelivered Mail Returned to Sender"


def test_unicode_addresses_come_back_in_unicode():
    s, m = world(refuse("rcpt", "b\u00fcb", "550 5.1.1 no b\u00fcb"), offers=("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"))
    qid = send(m, ["b\u00fcb@\u00e4.test ORCPT=utf-8;b\\x{FC}b@\\x{E4}.test"], mail="MAIL FROM:<\u00e4lice@client.test> SMTPUTF8 RET=HDRS",
               body="Subject: gr\u00fc\u00dfe\r\n\r\nx\r\n".encode())
    got = s.wait(1)[0]
    assert got.rcpts[0].encode("utf-8", "surrogateescape").decode() == "\u00e4lice@client.test"
    n = Notice(got)
    assert n.type == "message/global-delivery-status" and n.original.get_content_type() == "message/global-headers"
    assert n.msg.get_payload()[0].get_param("charset") == "utf-8"
    rcpt, = n.rcpts
    assert rcpt["Final-Recipient"] == "utf-8; b\u00fcb@\u00e4.test" and rcpt["Original-Recipient"] == "utf-8;b\u00fcb@\u00e4.test"
    assert n.fields["X-Postroad-Sender"] == "utf-8; \u00e4lice@client.test"
    assert " with UTF8SMTP id " + qid in got.content.decode()


def test_soft_bounce_refuses_and_returns_nothing():
    s, m = world(refuse("rcpt", "bob", "550 5.1.1 no bob"), soft_bounce="yes", mynetworks="192.0.2.0/24", relay_domains="relay.test, example.org",
                 relay_transport="smtp")
    t = m.talk().greet()
    t("""
        C: MAIL FROM:<alice@client.test>
        S: 250 *
        C: RCPT TO:<eve@elsewhere.test>
        S: 454 4.7.1 <eve@elsewhere.test>: Relay access denied
        C: FOO
        S: 400 4.5.2 Error: command not recognized
        C: RSET
        S: 250 *
    """)
    qid = send(m, ["bob@example.org"])
    m.wait_log(rf"{qid}: to=<bob@example\.org>, .*dsn=4\.1\.1, status=SOFTBOUNCE \(host .* said: 550 5\.1\.1 no bob")
    house.wait_until(lambda: m.files("deferred") == [qid])
    assert not s.messages


def test_sendmail_options_arrive():
    s = sink.Sink(refuse("rcpt", "bob", "550 5.1.1 no bob"))
    m = house.Postroad(s, master=AGENTS + ["pickup unix n - n 60 1 pickup"], virtual_mailbox_domains="virtual.test", virtual_transport="discard:gone")
    m.run("-f", "alice@client.test", "-N", "success,failure", "-R", "hdrs", "-V", "a b+c", "joe@virtual.test", "bob@example.org", name="sendmail",
          stdin="Subject: x\n\nbody\n")
    s.wait(2); m.empty()
    by = {n.msg["Subject"]: n for n in notices(s)}
    assert by["Successful Mail Delivery Report"].actions() == {"joe@virtual.test": "delivered"}
    failed = by["Undelivered Mail Returned to Sender"]
    assert failed.fields["Original-Envelope-Id"] == "a b+c" and failed.original.get_content_type() == "text/rfc822-headers"
    qid = re.search(r"pickup\[\d+\]: ([0-9A-F]{16}): uid=", m.log())[1]
    logged = re.search(rf"cleanup\[\d+\]: ({qid}): message-id=(<.+>)$", m.log(), re.M)
    assert logged and logged[2].endswith(f".{logged[1]}@mx.test>"), m.log()
    assert f"Message-Id: {logged[2]}" in failed.original.get_payload(), failed.original.get_payload()
    assert not re.search("message-id=<>", m.log())
    s.messages.clear()
    m.run("-f", "alice@client.test", "-N", "never", "bob@example.org", name="sendmail", stdin="Subject: x\n\nbody\n")
    m.empty()
    assert not s.messages


def test_success_is_told_though_qmgr_and_bounce_die_at_the_worst_moment():
    """Delivered and written down, the notice asked for and not yet made: then both die."""
    s, m = world()
    m.kill("bounce", signal.SIGSTOP)
    qid = send(m, ["joe@virtual.test NOTIFY=SUCCESS"])
    m.wait_log(rf"{qid}: to=<joe@virtual\.test>, .*status=sent")
    path = house.wait_until(lambda: [os.path.join(d, qid) for d, _, names in os.walk(m.spool) if qid in names])[0]
    house.wait_until(lambda: b"\x1aJRN" in open(path, "rb").read())
    m.kill("qmgr")
    m.kill("bounce")
    s.wait(1); m.empty()
    n, = notices(s)
    assert n.actions() == {"joe@virtual.test": "delivered"}
    assert len(re.findall(rf"{qid}: to=<joe@virtual", m.log())) == 1


def test_a_notice_that_was_written_down_is_not_sent_again():
    """One recipient failed and was told of, another waits: qmgr dies, and nothing is told twice."""
    s, m = world(refuse("rcpt", "bob", "550 5.1.1 no bob"))
    qid = send(m, ["bob@example.org", "joe@virtual.test NOTIFY=SUCCESS", "tom@relay.test"])
    s.wait(2)
    house.wait_until(lambda: m.files("incoming", "deferred", "hold") == [qid])
    m.kill("qmgr")
    m.wait_log("queue rebuilt")
    m.run("-f", name="postqueue")
    m.wait_log(rf"{qid}: to=<tom@relay\.test>, .*status=deferred", 2)
    assert len(s.messages) == 2
    assert len(re.findall(rf"{qid}: sender .*notification", m.log())) == 2


def test_local_aliases_and_lists_tell_who_asked():
    """RFC 3461 section 5.2.7: an alias is expanded, a list with an owner is where the mail was delivered to."""
    from test_local import Town
    s = sink.Sink(refuse("rcpt", "bob", "550 5.1.1 no bob"))
    m = Town(sink=s, aliases="team: ann@example.org, bob@example.org\nlist: bob@example.org, ann@example.org\nowner-list: owner@example.org\n")
    send(m, ["team@mx.test NOTIFY=SUCCESS ORCPT=rfc822;team@mx.test", "list@mx.test NOTIFY=SUCCESS"])
    s.wait(4); m.empty()
    told = {g.rcpts[0]: Notice(g) for g in s.messages if g.sender == ""}
    # bob failed in both: nobody asked to be told of that for team, and for the list it is the owner's business.
    assert set(told) == {"alice@client.test", "owner@example.org"}, set(told)
    assert told["alice@client.test"].actions() == {"team@mx.test": "expanded", "list@mx.test": "delivered"}
    assert told["owner@example.org"].actions() == {"bob@example.org": "failed"}
    assert sorted(g.sender for g in s.messages if g.sender) == ["alice@client.test", "owner-list@mx.test"]


def test_a_trial_tells_what_would_be_done_and_does_nothing():
    """sendmail -bv"""
    s = sink.Sink(refuse("rcpt", "bob", "550 5.1.1 no bob"), refuse("rcpt", "tom", "450 4.2.0 later"))
    m = house.Postroad(s, master=AGENTS + ["pickup unix n - n 60 1 pickup"], virtual_mailbox_domains="virtual.test", virtual_transport="discard:gone",
                       relay_domains="relay.test", relay_transport="error:5.1.6 moved")
    said = m.run("-bv", "-f", "alice@client.test", "ann@example.org", "bob@example.org", "tom@example.org", "joe@virtual.test", "kim@relay.test", name="sendmail")
    assert said == "Mail Delivery Status Report will be mailed to <alice@client.test>.\n", said
    got = s.wait(1)[0]; m.empty()
    n = Notice(got)
    assert got.rcpts == ["alice@client.test"] and n.msg["Subject"] == "Mail Delivery Status Report"
    assert n.actions() == {"ann@example.org": "deliverable", "bob@example.org": "undeliverable", "tom@example.org": "undeliverable",
                           "joe@virtual.test": "deliverable", "kim@relay.test": "undeliverable"}, n.actions()
    assert n.rcpt("tom@example.org")["Status"] == "4.2.0" and n.rcpt("kim@relay.test")["Status"] == "5.1.6"
    m.wait_log(r"to=<ann@example\.org>, .*status=deliverable \(250 2\.1\.5 ok\)")
    m.wait_log(r"to=<bob@example\.org>, .*status=undeliverable \(host .* said: 550 5\.1\.1 no bob")
    # Nothing but the report went out, and the trial never came to DATA.
    assert len(s.messages) == 1
    first = b"".join(s.sessions[0].lines)
    assert b"ann@" in first and b"DATA" not in first.partition(b"MAIL FROM:<>")[0], first


def test_a_trial_for_users_of_this_host():
    from test_local import Town, name_of, with_names
    s = sink.Sink()
    m = Town(sink=s, aliases='team: ann@example.org, "|cat >$OUT/never"\n')
    m.services.append("pickup unix n - n 60 1 pickup")
    m.write_config(); m.reload()
    m.run("-bv", "-f", "alice@client.test", with_names("alice@mx.test"), "team@mx.test", "nobody-here@mx.test", name="sendmail")
    n = Notice(s.wait(1)[0]); m.empty()
    me = with_names("alice@mx.test")
    assert n.actions() == {me: "deliverable", "team@mx.test": "deliverable", "nobody-here@mx.test": "undeliverable"}
    assert "delivers to mailbox" in n.rcpt(me)["Diagnostic-Code"] and "forwards to ann@example.org" in re.sub(r"\s+", " ", n.rcpt("team@mx.test")["Diagnostic-Code"])
    assert not m.mailbox("alice") and not os.listdir(m.out) and len(s.messages) == 1


def test_a_report_of_the_first_attempt():
    """sendmail -v"""
    s = sink.Sink(refuse("rcpt", "bob", "550 5.1.1 no bob"), refuse("rcpt", "tom", "450 4.2.0 later"))
    m = house.Postroad(s, master=["pickup unix n - n 60 1 pickup"])
    said = m.run("-v", "-f", "alice@client.test", "ann@example.org", "bob@example.org", "tom@example.org", name="sendmail", stdin="Subject: x\n\nbody\n")
    assert "Mail Delivery Status Report will be mailed to <alice@client.test>." in said
    s.wait(3)
    house.wait_until(lambda: len(m.files("incoming", "deferred")) == 1)
    by = {n.msg["Subject"]: n for n in notices(s)}
    assert set(by) == {"Mail Delivery Status Report", "Undelivered Mail Returned to Sender"}
    assert by["Mail Delivery Status Report"].actions() == {"ann@example.org": "relayed", "bob@example.org": "failed", "tom@example.org": "delayed"}
    m.run("-f", name="postqueue")
    m.wait_log(r"to=<tom@example\.org>, .*status=deferred", 2)
    house.wait_until(lambda: len(m.files("incoming", "deferred")) == 1)
    assert len(s.messages) == 3


def test_a_warning_of_delay_that_cannot_be_made_goes_to_who_reads_those():
    clock = house.Clock()
    s, m = world(clock=clock, delay_warning_time="4h", virtual_alias_expansion_limit="2", notify_classes="2bounce",
                 delay_notice_recipient="delays@ops.test", virtual_alias_maps="inline:{ {alice@client.test = a@x.test, b@x.test, c@x.test} }",
                 **{"2bounce_notice_recipient": "lost@ops.test"})
    qid = send(m, ["bob@relay.test"], body=b"Subject: secret\r\n\r\nsecret body\r\n")
    m.wait_log(rf"{qid}: to=<bob@relay\.test>, .*status=deferred")
    forward_until(clock, lambda: s.messages)
    got, = s.messages
    assert got.rcpts == ["delays@ops.test"] and b"secret body" not in got.content
    m.wait_log(rf"/bounce\[\d+\]: {qid}: postmaster delay notification: [0-9A-F]{{16}}$")


def without_aliases(clock, tables, **settings):
    """bounce has a table that it cannot ask."""
    s, m = world(refuse("rcpt", "bob", "550 5.1.1 no bob"), clock=clock, maximal_queue_lifetime="2d", start=False, **settings)
    m.services = [l + f" -o {{virtual_alias_maps = {tables}}}" if l.startswith("bounce") else l for l in m.services]
    m.write_config()
    m.start()
    return s, m


def test_a_notice_that_cannot_be_made_for_now_has_an_end():
    """What is in its way is shown by explain; when it lasts too long the postmaster is told, and when that cannot be either, the log."""
    for classes, told in (("2bounce", ["watch@ops.test"]), ("", [])):
        clock = house.Clock()
        s, m = without_aliases(clock, "inline:{ {watch@ops.test = watch@ops.test} }, fail:broken", notify_classes=classes,
                               **{"2bounce_notice_recipient": "watch@ops.test"})
        qid = send(m, ["bob@example.org"])
        m.wait_log(rf"{qid}: no notice to <alice@client\.test> yet: .*fail:broken")
        house.wait_until(lambda: "notice" in json.loads(m.run("--json", "explain", qid)))
        text = re.sub(r"\s+", " ", m.run("explain", qid))
        assert re.search(r"could not be made, 1 time: .*fail:broken", text) and "then the postmaster is told instead" in text, text
        notice = json.loads(m.run("--json", "explain", qid))["notice"]
        assert notice["failures"] == 1 and "fail:broken" in notice["reason"] and notice["until"] > notice["next_try"], notice
        assert not s.messages
        clock.forward(3 * 86400)                     # the message is too old, and its notice is not
        m.wait_log(rf"{qid}: no notice to <alice@client\.test> yet", 2)
        clock.forward(2 * 86400)
        m.wait_log(rf"{qid}: no notice to <alice@client\.test> can be made, {'the postmaster gets it' if told else 'it is given up'}.*for too long: .*fail:broken", seconds=60)
        m.empty()
        assert [r for x in s.messages for r in x.rcpts] == told
        house.clean_up()


test_a_notice_that_cannot_be_made_for_now_has_an_end.slow = 5


def test_a_notice_that_nobody_can_be_told_ends_in_the_log():
    clock = house.Clock()
    s, m = without_aliases(clock, "fail:broken", notify_classes="2bounce")
    qid = send(m, ["bob@example.org"])
    m.wait_log(rf"{qid}: no notice to <alice@client\.test> yet")
    clock.forward(5 * 86400)
    m.wait_log(rf"error: {qid}: neither the sender nor the postmaster can be told .*given up: .*fail:broken", seconds=60)
    m.empty()
    assert not s.messages


def test_a_notice_that_cannot_be_made_is_not_tried_for_ever():
    """What the sender's address stands for is too much; the postmaster is told instead, if he wants to know."""
    for classes, reader, told in (("2bounce", "watch@ops.test", ["watch@ops.test"]), ("2bounce", "alice@client.test", []), ("", "watch@ops.test", [])):
        s = sink.Sink(refuse("rcpt", "bob", "550 5.1.1 no bob"))
        m = house.Postroad(s, virtual_alias_expansion_limit="2", notify_classes=classes, **{"2bounce_notice_recipient": reader},
                           virtual_alias_maps="inline:{ {alice@client.test = a@x.test, b@x.test, c@x.test, d@x.test} }")
        qid = send(m, ["bob@example.org"])
        m.wait_log(rf"{qid}: no notice to <alice@client\.test> can be made, ")
        m.empty()
        assert [r for x in s.messages for r in x.rcpts] == told
        house.clean_up()
