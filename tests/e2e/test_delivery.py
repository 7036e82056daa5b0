# SPDX-License-Identifier: Apache-2.0
"""The client's side of a delivery: every step can go wrong, and each is logged in Postfix's words."""
import re, time

import house, sink
from sink import DROP, HANG, refuse, for_a_while

LINE = (r"/smtp\[\d+\]: {qid}: to=<{to}>, relay={relay}, (conn_use=\d+, )?delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, "
        r"dsn={dsn}, status={status} \({text}\)$")


def line(qid, status, dsn, text, to=r"bob@example\.org", relay=r"127\.0\.0\.1\[127\.0\.0\.1\]:\d+"):
    return LINE.format(qid=qid, to=to, relay=relay, dsn=re.escape(dsn), status=status, text=text)


def test_sent_is_logged_and_the_message_is_gone():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    qid = m.send()
    m.wait_log(line(qid, "sent", "2.0.0", r"250 2\.0\.0 ok 0"))
    m.wait_log(rf"/smtpd\[\d+\]: {qid}: client=localhost\[127\.0\.0\.1\]$")
    m.wait_log(rf"{qid}: message-id=<>$")
    m.wait_log(rf"/qmgr\[\d+\]: {qid}: from=<alice@client\.test>, size=\d+, nrcpt=1 \(queue active\)$")
    m.wait_log(rf"/qmgr\[\d+\]: {qid}: removed$")
    m.empty()


def test_a_5xx_at_each_step_bounces():
    said = r"host 127\.0\.0\.1\[127\.0\.0\.1\] said: {} \(in reply to {} command\)"
    for step, reply, dsn, command in (("mail", "550 5.7.9 go away", "5.7.9", "MAIL FROM"), ("rcpt", "553 what", "5.0.0", "RCPT TO"),
                                      ("data", "554 5.6.0 no", "5.6.0", "DATA"), ("content", "552 5.2.2 full", "5.2.2", "end of DATA")):
        s = sink.Sink(lambda ses, at, text, step=step, reply=reply: reply if at == step and ses.sender != "" else None)
        m = house.Postroad(sink=s)
        qid = m.send()
        m.wait_log(line(qid, "bounced", dsn, said.format(re.escape(reply), command)))
        m.wait_log(rf"/bounce\[\d+\]: {qid}: sender non-delivery notification: [0-9A-F]{{16}}$")
        m.empty()


def test_a_4xx_at_each_step_defers():
    for step, reply, dsn in (("mail", "451 4.7.9 slow down", "4.7.9"), ("rcpt", "450 later", "4.0.0"), ("data", "421 4.3.2 closing", "4.3.2"),
                             ("content", "452 4.3.1 no room", "4.3.1"), ("connect", "421 4.3.2 busy", "4.3.2")):
        s = sink.Sink(refuse(step, "", reply))
        m = house.Postroad(sink=s)
        qid = m.send()
        m.wait_log(rf"{qid}: to=<bob@example\.org>, .*dsn={re.escape(dsn)}, status=deferred \(.*{re.escape(reply)}")
        assert m.queue()[0]["queue_id"] == qid
        assert reply in m.queue()[0]["recipients"][0]["delay_reason"]


def test_each_recipient_has_its_own_fate():
    s = sink.Sink(refuse("rcpt", "no@", "550 5.1.1 no such user"), refuse("rcpt", "later@", "450 4.2.1 busy"))
    m = house.Postroad(sink=s)
    qid = m.send(rcpts=["yes@example.org", "no@example.org", "later@example.org"])
    m.wait_log(line(qid, "sent", "2.0.0", ".*", to=r"yes@example\.org"))
    m.wait_log(line(qid, "bounced", "5.1.1", ".*", to=r"no@example\.org"))
    m.wait_log(rf"{qid}: to=<later@example\.org>, .*status=deferred")
    house.wait_until(lambda: [g for g in s.messages if g.sender == "" and g.rcpts == ["alice@client.test"]])
    rest = house.wait_until(lambda: [q for q in m.queue() if q["queue_id"] == qid])
    assert [r["address"] for r in rest[0]["recipients"]] == ["later@example.org"]
    m.kill("qmgr")                             # what was delivered stays delivered
    s.rules.pop()
    m.run("queue", "flush")
    house.wait_until(lambda: [g for g in s.messages if g.rcpts == ["later@example.org"]])
    m.empty()
    assert sum("yes@example.org" in g.rcpts for g in s.messages) == 1


def test_lost_after_the_final_dot_is_unknown_and_tried_again():
    s = sink.Sink(for_a_while(lambda ses, at, text: DROP if at == "content" else None, 1))
    m = house.Postroad(sink=s, minimal_backoff_time="1s")
    qid = m.send()
    m.wait_log(rf"{qid}: .*dsn=4\.4\.2, status=deferred \(lost connection with 127\.0\.0\.1\[127\.0\.0\.1\] while sending end of data -- message may be sent more than once\)")
    s.wait(1)
    m.empty()


def test_servers_without_ehlo_get_helo():
    s = sink.Sink(refuse("ehlo", "", "500 what?"))
    m = house.Postroad(sink=s)
    m.send(rcpts=["a@example.org", "b@example.org"])
    assert sorted(s.wait(1)[0].rcpts) == ["a@example.org", "b@example.org"]


def test_servers_without_pipelining_are_asked_one_by_one():
    s = sink.Sink(offers=["SIZE 1000000"])
    m = house.Postroad(sink=s)
    m.send(rcpts=["a@example.org", "b@example.org"], body="Subject: x\r\n\r\n.dot\r\n")
    assert s.wait(1)[0].body == b".dot\r\n"


def test_connections_are_kept_for_the_next_message():
    s = sink.Sink()
    m = house.Postroad(sink=s, smtp_destination_concurrency_limit="1", smtp_connection_cache_time_limit="10s", workers=1)
    for n in range(1, 11):
        m.send()
        s.wait(n)
    assert len(s.sessions) <= 2, len(s.sessions)
    m.wait_log(r"conn_use=5, ")


def test_a_kept_connection_that_died_costs_nothing():
    s = sink.Sink(lambda ses, at, text: DROP if at == "mail" and ses.transactions else None)
    m = house.Postroad(sink=s, smtp_connection_cache_time_limit="10s", workers=1)
    for n in range(1, 6):
        m.send()
        s.wait(n)
    m.no_log("status=deferred")


def test_a_message_too_big_for_the_server_is_not_sent():
    s = sink.Sink(offers=["PIPELINING", "SIZE 1000", "8BITMIME"])
    m = house.Postroad(sink=s)
    qid = m.send(body="Subject: x\r\n\r\n" + "y" * 70 + "\r\n" + ("z" * 70 + "\r\n") * 50)
    m.wait_log(rf"{qid}: .*dsn=5\.3\.4, status=bounced \(message size \d+ exceeds size limit 1000 of server 127\.0\.0\.1\[127\.0\.0\.1\]\)")


def test_hostile_replies_are_bounded_and_cleaned():
    evil = ["250" + "x" * 1000000, "\r\n".join(f"250-{n}" for n in range(100000)) + "\r\n250 end", "999 what", "2\0 0", "550-\r\n553\n\ntype: mda\x07\x1b[0m\r\n550 end",
            "garbage"]
    for reply in evil:
        s = sink.Sink(lambda ses, at, text, reply=reply: reply if at == "mail" and ses.sender else None)
        m = house.Postroad(sink=s)
        qid = m.send()
        m.wait_log(rf"{qid}: to=<bob@example\.org>, .*status=(deferred|bounced|sent)")
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", m.log()), reply[:50]
        assert max(len(l) for l in m.log().split("\n")) < 2200
        t0 = time.time()
        m.talk().greet().quit()
        assert time.time() - t0 < 2
        m.close(); house.ALIVE.remove(m)


def test_mail_to_ourselves_is_not_a_loop_for_ever():
    m = house.Postroad(start=False)
    m.settings["relayhost"] = f"[127.0.0.1]:{m.port}"
    m.write_config()
    m.start()
    qid = m.send()
    m.wait_log(rf"{qid}: to=<bob@example\.org>, .*dsn=5\.4\.6, status=bounced \(.*loops back to myself\)")
    m.empty()


def test_ipv6_and_a_named_port():
    s = sink.Sink(host="::1")
    m = house.Postroad(relayhost=f"[::1]:{s.port}")
    qid = m.send()
    s.wait(1)
    m.wait_log(rf"{qid}: to=<bob@example\.org>, relay=::1\[::1\]:{s.port}, .*status=sent")


def test_a_slow_server_is_timed_out():
    s = sink.Sink(lambda ses, at, text: HANG if at == "mail" else None)
    m = house.Postroad(sink=s, smtp_mail_timeout="1s")
    qid = m.send()
    m.wait_log(rf"{qid}: .*dsn=4\.4\.2, status=deferred \(conversation with 127\.0\.0\.1\[127\.0\.0\.1\] timed out while sending MAIL FROM\)")
