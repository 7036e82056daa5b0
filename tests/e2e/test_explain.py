# SPDX-License-Identifier: Apache-2.0
"""`postroad explain`: what an operator is told about a message, an address, a domain."""
import json, re

import house, sink
from sink import refuse, DROP
from test_queue import stuck


def narrow(text):
    long = [l for l in text.splitlines() if len(l) > 80 and " " in l.strip()]
    assert not long, long


def test_a_deferred_message_and_every_attempt():
    s, m, ids = stuck(1)
    m.run("queue", "flush", ids[0])
    m.wait_log(rf"{ids[0]}: to=.*status=deferred", 2)
    house.wait_until(lambda: m.queue()[0]["recipients"][0]["attempts"] == 2)
    house.wait_until(lambda: "attempt 2 deferred" in re.sub(r"\s+", " ", m.run("explain", ids[0])))
    out = m.run("explain", ids[0])
    narrow(out)
    assert out.startswith(f"{ids[0]} is in the queue: deferred\n  from        s0@client.test\n"), out
    flat = re.sub(r"\s+", " ", out)
    assert re.search(r"to r0@example\.org goes by smtp to \[127\.0\.0\.1\]:\d+ \d\d:\d\d:\d\d attempt 1 deferred, 4\.2\.0: host "
                     r"127\.0\.0\.1\[127\.0\.0\.1\] said: 450 4\.2\.0 later \(in reply to RCPT TO command\) \d\d:\d\d:\d\d attempt 2 deferred", flat), flat
    assert "it waits because the last attempt was put off, and it is not yet time for the next" in flat, flat
    assert re.search(r"next an attempt at \d\d:\d\d:\d\d, in [45]m\d\ds", flat), flat
    assert "returned if not delivered by" in flat and re.search(r"destination 0 of \d+ deliveries at once under way", flat), flat
    row = json.loads(m.run("explain", "--json", ids[0]))
    r = row["recipients"][0]
    assert [h["event"] for h in r["history"]] == ["deferred", "deferred"] and r["history"][1]["attempt"] == 2, row
    assert r["history"][0]["reply"] == "450 4.2.0 later" and r["waits"] == "deferred, to be tried again", row
    assert r["destination"]["dead"] is False and row["expires"] - row["arrival_time"] == 432000


def test_a_dead_destination_and_its_next_probe():
    s = sink.Sink(lambda session, step, text: DROP if step == "connect" else None)
    m = house.Postroad(sink=s)
    qid = m.send(rcpts="bob@example.org")
    m.wait_log("status=deferred")
    for _ in range(6):
        m.run("queue", "flush", qid)
    house.wait_until(lambda: json.loads(m.run("explain", "--json", qid))["recipients"][0]["destination"]["dead"])
    house.wait_until(lambda: json.loads(m.run("explain", "--json", qid))["recipients"][0]["waits"] == "delivery temporarily suspended")
    out = m.run("explain", qid)
    narrow(out)
    flat = re.sub(r"\s+", " ", out)
    assert "because the destination did not answer lately" in flat and re.search(r"next a probe of the destination at .* in \d+m", flat), flat
    assert re.search(r"destination found dead at \d\d:\d\d:\d\d, (\d+s ago|just now); next probe", flat) and "last trouble: " in flat, flat
    site = f"[127.0.0.1]:{s.port}"
    out = m.run("explain", site)
    assert out.startswith(f"{site} by transport smtp: does not answer\n"), out
    assert "1 message in the queue for it" in out and "postroad queue flush --destination" in out, out
    assert m.run("explain", "example.org").splitlines()[0] == out.splitlines()[0]
    row = json.loads(m.run("explain", "--json", site))
    assert row["dead"] and row["waiting"] == 1 and row["next_probe"] > row["dead_since"], row


def test_held_mail_and_mail_while_the_system_is_down():
    s, m, ids = stuck(2)
    m.run("queue", "hold", ids[0])
    out = re.sub(r"\s+", " ", m.run("explain", ids[0]))
    assert "because an operator put it on hold" in out and f"postroad queue release {ids[0]}" in out and "never while it is on hold" in out, out
    m.stop()
    out = re.sub(r"\s+", " ", m.run("explain", ids[1]))
    assert "because the mail system is down" in out and "attempt 1 deferred, 4.2.0" in out and "after: postroad start" in out, out
    assert m.said.count("Mail system is down") == 1, m.said
    assert "mail system is down" in m.run("explain", "--json", ids[1])


def test_mail_that_is_gone_and_what_the_log_says_of_it():
    s, m, ids = stuck(1)
    s.rules.clear()
    m.run("queue", "flush")
    m.empty()
    m.wait_log(f"{ids[0]}: removed")
    out = m.run("explain", ids[0], check=False)
    assert m.status == 1 and out.startswith(f"{ids[0]} is not in the queue: delivered, returned, deleted, or never here.\n"), out
    assert re.search(rf"{ids[0]}: to=<r0@example\.org>.*status=sent", out) and f"{ids[0]}: removed" in out, out
    assert json.loads(m.run("explain", "--json", ids[0], check=False)) == {"queue_id": ids[0], "found": False}
    out = m.run("explain", "nobody@nowhere.example", check=False)
    assert m.status == 1 and "no mail to it or from it is in the queue" in out


def test_an_address_shows_its_mail_to_and_from():
    s, m, ids = stuck(3)
    assert m.run("explain", "r1@example.org").startswith(f"{ids[1]} is in the queue")
    assert m.run("explain", "s2@client.test").startswith(f"{ids[2]} is in the queue")
    assert m.run("explain", "@example.org").count("is in the queue") == 3
    assert len(m.run("--json", "explain", "@example.org").splitlines()) == 3
    m.run("explain", check=False)
    assert m.status == 64
    assert m.run("explain", "--help").startswith("usage: postroad explain")


def test_a_transport_that_is_not_there():
    m = house.Postroad(relay_domains="example.org", relay_transport="nosuch:[127.0.0.1]:9", mynetworks="127.0.0.0/8")
    qid = m.send(rcpts="bob@example.org")
    house.wait_until(lambda: "transport" in json.loads(m.run("explain", "--json", qid))["recipients"][0]["waits"])
    out = re.sub(r"\s+", " ", m.run("explain", qid))
    assert "because there is no process of its transport: is it in master.cf, and does it start?" in out, out
    assert "no process of transport nosuch since" in out, out
