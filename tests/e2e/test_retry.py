# SPDX-License-Identifier: Apache-2.0
"""Trying again, giving up, and telling the sender."""
import email, re, time

import house, sink
from sink import refuse, for_a_while


def test_deferred_mail_is_tried_again_with_growing_delay():
    clock = house.Clock()
    tries = []
    s = sink.Sink(lambda ses, at, text: tries.append(clock.offset) or "450 4.2.0 later" if at == "rcpt" else None)
    m = house.Postroad(sink=s, env=clock.env)
    qid = m.send()
    m.wait_log(rf"{qid}: .*status=deferred", 1)
    for n in range(2, 7):
        while True:
            clock.forward(100)
            time.sleep(0.45)
            if len(tries) >= n:
                break
            assert clock.offset < 100000
        m.wait_log(rf"{qid}: .*status=deferred", n)
    gaps = [b - a for a, b in zip(tries, tries[1:])]
    assert 200 <= gaps[0] <= 600, gaps         # minimal_backoff_time 300 s, some jitter, steps of 100
    assert gaps[-1] > gaps[0], gaps
    s.rules.clear()
    clock.forward(5000)
    s.wait(1)
    m.empty()


test_deferred_mail_is_tried_again_with_growing_delay.slow = 3


def test_mail_too_old_goes_back():
    clock = house.Clock()
    s = sink.Sink(refuse("rcpt", "bob@", "450 4.2.0 later"))
    m = house.Postroad(sink=s, env=clock.env)
    qid = m.send()
    m.wait_log(rf"{qid}: .*status=deferred")
    clock.forward(5 * 86400 + 10000)
    m.wait_log(rf"/qmgr\[\d+\]: {qid}: from=<alice@client\.test>, status=expired, returned to sender")
    notice = s.wait(1)[0]
    assert notice.sender == "" and notice.rcpts == ["alice@client.test"]
    assert b"450 4.2.0 later" in notice.content
    m.empty()


def test_the_notice_is_a_delivery_status_report():
    s = sink.Sink(refuse("rcpt", "bob@", "550 5.1.1 <bob@example.org> is not here"))
    m = house.Postroad(sink=s)
    body = b"From: alice@client.test\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@client.test>\r\n\r\n.dots\r\nline\r\n"
    qid = m.send(body=body)
    got = s.wait(1)[0]
    assert got.sender == "" and got.rcpts == ["alice@client.test"]
    msg = email.message_from_bytes(got.content)
    assert msg["From"] == "Mail Delivery System <MAILER-DAEMON@mx.test>" or msg["From"] == "MAILER-DAEMON@mx.test (Mail Delivery System)", msg["From"]
    assert msg["To"] == "alice@client.test" and msg["Subject"] == "Undelivered Mail Returned to Sender"
    assert msg["Auto-Submitted"] == "auto-replied" and msg["Message-Id"] and msg["Date"] and msg["MIME-Version"] == "1.0"
    assert msg.get_content_type() == "multipart/report" and msg.get_param("report-type") == "delivery-status"
    text, status, original = msg.get_payload()
    assert text.get_content_type() == "text/plain" and "<bob@example.org>" in text.get_payload()
    per_message, per_rcpt = status.get_payload()
    assert per_message["Reporting-MTA"] == "dns; mx.test" and per_message["Arrival-Date"]
    assert per_message["X-Postroad-Queue-ID"] == qid and per_message["X-Postroad-Sender"] == "rfc822; alice@client.test"
    assert per_rcpt["Final-Recipient"] == "rfc822; bob@example.org" and per_rcpt["Action"] == "failed" and per_rcpt["Status"] == "5.1.1"
    assert per_rcpt["Remote-MTA"] == "dns; 127.0.0.1" and "550 5.1.1 <bob@example.org> is not here" in re.sub(r"\s+", " ", per_rcpt["Diagnostic-Code"])
    assert per_rcpt["Diagnostic-Code"].startswith("smtp;")
    assert original.get_content_type() == "message/rfc822"
    returned = original.as_bytes()
    assert b"Return-Path: <alice@client.test>" in returned and b".dots" in returned and b"Message-ID: <1@client.test>" in returned
    m.wait_log(rf"/bounce\[\d+\]: {qid}: sender non-delivery notification: {re.search(r'id ([0-9A-F]+);', msg['Received'])[1]}$")
    m.wait_log(rf"{qid}: removed")


def test_a_large_message_comes_back_as_its_header():
    s = sink.Sink(refuse("rcpt", "bob@", "550 5.1.1 no"))
    m = house.Postroad(sink=s)
    m.send(body=b"Subject: large\r\nX-Mark: here\r\n\r\n" + b"0123456789" * 6 + b"\r\n" + (b"x" * 70 + b"\r\n") * 1500)
    got = s.wait(1)[0]
    msg = email.message_from_bytes(got.content)
    assert msg.get_payload()[2].get_content_type() == "text/rfc822-headers"
    assert b"X-Mark: here" in got.content and len(got.content) < 20000


def test_no_notice_about_a_notice():
    s = sink.Sink(refuse("rcpt", "", "550 5.1.1 nobody here"))
    m = house.Postroad(sink=s)
    qid = m.send(sender="")
    m.wait_log(rf"{qid}: .*status=bounced")
    m.wait_log(rf"{qid}: removed")
    qid = m.send()                             # its notice cannot be delivered either, and that is the end
    m.wait_log(rf"{qid}: sender non-delivery notification")
    m.empty()
    assert not s.messages


def test_one_notice_for_all_that_failed_at_once():
    s = sink.Sink(refuse("rcpt", "no", "550 5.1.1 no"))
    m = house.Postroad(sink=s)
    m.send(rcpts=["no1@example.org", "no2@example.org", "yes@example.org"])
    house.wait_until(lambda: len(s.messages) >= 2)
    m.empty()
    notices = [g for g in s.messages if g.sender == ""]
    assert len(notices) == 1 and b"no1@example.org" in notices[0].content and b"no2@example.org" in notices[0].content


def test_the_notice_is_durable_before_the_original_goes():
    """Kill bounce and qmgr again and again while messages fail: the sender hears of each, at least once."""
    s = sink.Sink(refuse("rcpt", "no", "550 5.1.1 no"))
    m = house.Postroad(sink=s, minimal_backoff_time="1s")
    for n in range(30):
        m.send(rcpts=f"no{n}@example.org")
        if n % 10 == 5:
            m.kill("bounce")
        if n % 10 == 8:
            m.kill("qmgr")
    def all_told():
        text = b"".join(g.content for g in s.messages)
        return all(b"<no%d@example.org>" % n in text for n in range(30))
    house.wait_until(all_told, 60)
    house.wait_until(lambda: not m.queue(), 60)
    # A bounce that was killed may leave half a notice, which nobody was told of; no sweep comes by this soon.
    house.wait_until(lambda: len(m.files("incoming", "deferred", "hold")) <= 3)
