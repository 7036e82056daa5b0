# SPDX-License-Identifier: Apache-2.0
"""What an operator sees and does: postroad queue, and the names that fingers know."""
import json, re

import house, sink
from sink import refuse


def stuck(n=3, **kw):
    """An instance with n deferred messages and the rule that keeps them."""
    s = sink.Sink(refuse("rcpt", "", "450 4.2.0 later"))
    m = house.Postroad(sink=s, **kw)
    ids = [m.send(sender=f"s{k}@client.test", rcpts=f"r{k}@example.org") for k in range(n)]
    m.wait_log("status=deferred", n)
    house.wait_until(lambda: len(m.files("deferred")) == n)
    return s, m, ids


def test_mailq_has_the_shape_that_monitors_parse():
    s, m, ids = stuck(2)
    out = m.run(name="mailq")
    lines = out.split("\n")
    assert re.fullmatch(r"-+Queue ID-+ +--Size-- -+Arrival Time-+ -+Sender/Recipient-+", lines[0]), lines[0]
    assert re.search(rf"(?m)^{ids[0]} +\d+ \w{{3}} \w{{3}} [ \d]\d \d\d:\d\d:\d\d +s0@client\.test$", out), out
    assert re.search(r"(?m)^ *\(.*450 4\.2\.0 later.*\)\n {20,}r0@example\.org$", out), out
    assert re.search(r"(?m)^-- \d+ Kbytes in 2 Requests?\.$", out), out
    assert m.run("-p", name="postqueue") == out
    m.run("queue", "delete", "all")
    assert m.run(name="mailq") == "Mail queue is empty\n"


def test_the_listing_as_json_lines():
    s, m, ids = stuck(2)
    out = m.run("-j", name="postqueue")
    rows = [json.loads(l) for l in out.splitlines()]
    assert sorted(r["queue_id"] for r in rows) == sorted(ids)
    r = [r for r in rows if r["queue_id"] == ids[0]][0]
    assert r["queue_name"] == "deferred" and r["sender"] == "s0@client.test" and r["message_size"] > 10 and r["forced_expire"] is False
    assert r["recipients"][0]["address"] == "r0@example.org" and "450 4.2.0 later" in r["recipients"][0]["delay_reason"]
    assert isinstance(r["arrival_time"], int)
    assert '"queue_name": "deferred", "queue_id": ' in out


def test_flush_tries_at_once():
    s, m, ids = stuck(3)
    s.rules.clear()
    m.run("-f", name="postqueue")
    s.wait(3)
    m.empty()


def test_flush_of_one_message_or_one_site():
    s, m, ids = stuck(3)
    s.rules.clear()
    m.run("-i", ids[1], name="postqueue")
    assert s.wait(1)[0].rcpts == ["r1@example.org"]
    m.run("queue", "flush", "--recipient", "r2@example.org")
    assert s.wait(2)[1].rcpts == ["r2@example.org"]
    m.run("queue", "flush", "--destination", f"[127.0.0.1]:{s.port}")
    s.wait(3)
    m.empty()


def test_hold_and_release():
    s, m, ids = stuck(2)
    m.run("queue", "hold", ids[0])
    house.wait_until(lambda: m.files("hold") == [ids[0]])
    assert [q["queue_name"] for q in m.queue() if q["queue_id"] == ids[0]] == ["hold"]
    assert re.search(rf"(?m)^{ids[0]}!", m.run(name="mailq"))
    s.rules.clear()
    m.run("queue", "flush")
    assert s.wait(1)[0].rcpts == ["r1@example.org"]
    m.wait_log(rf"{ids[1]}: removed")
    m.kill("qmgr")
    house.wait_until(lambda: [q for q in m.queue() if q["queue_name"] == "hold"])
    assert len(s.messages) == 1
    m.run("-H", ids[0], name="postsuper")
    s.wait(2)
    m.empty()
    m.wait_log(rf"{ids[0]}: placed on hold")
    m.wait_log(rf"{ids[0]}: released from hold")


def test_delete_by_id_by_sender_and_all():
    s, m, ids = stuck(5)
    m.run("-d", ids[0], name="postsuper")
    assert "Deleted: 1 message" in m.said, m.said
    m.run("queue", "delete", "--sender", "s1@client.test")
    house.wait_until(lambda: len(m.files()) == 3)
    out = m.run("queue", "delete", "all", "--dry-run")
    assert "3" in out and len(m.files()) == 3
    m.run("-d", "-", name="postsuper", stdin=ids[2] + "\n")
    house.wait_until(lambda: len(m.files()) == 2)
    m.run("-d", "ALL", name="postsuper")
    house.wait_until(lambda: not m.files())
    assert not m.queue()


def test_requeue_routes_anew():
    s, m, ids = stuck(1)
    other = sink.Sink()
    m.settings["relayhost"] = f"[127.0.0.1]:{other.port}"
    m.write_config()
    m.reload()
    m.run("-r", ids[0], name="postsuper")
    assert other.wait(1)[0].rcpts == ["r0@example.org"]


def test_postcat_shows_a_message():
    s, m, ids = stuck(1)
    out = m.run("-q", ids[0], name="postcat")
    for part in ("*** ENVELOPE RECORDS ", "sender: s0@client.test", "recipient: r0@example.org", "*** MESSAGE CONTENTS ", "Subject: hello",
                 "*** MESSAGE FILE END "):
        assert part in out, (part, out)
    assert m.run("-bh", "-q", ids[0], name="postcat").startswith("Received: ")
    assert "hello" in m.run("queue", "show", ids[0])


def test_the_queue_can_be_seen_while_qmgr_is_down():
    s, m, ids = stuck(2)
    m.stop()
    out = m.run(name="mailq")
    assert ids[0] in out and "r0@example.org" in out
    assert "mail system is down" in m.said.lower(), m.said
    assert sorted(q["queue_id"] for q in m.queue()) == sorted(ids)
    m.run("queue", "delete", ids[0])
    m.run("queue", "hold", ids[1])
    assert m.files() == [ids[1]] and m.files("hold") == [ids[1]]
    m.run("queue", "release", ids[1])
    s.rules.clear()
    m.start()
    m.run("queue", "flush")
    assert s.wait(1)[0].rcpts == ["r1@example.org"]


def test_unknown_ids_are_said_to_be_unknown():
    s, m, ids = stuck(1)
    m.run("queue", "delete", "0123456789ABCDEF", check=False)
    assert m.status == 1 and m.said
    m.run("queue", "frobnicate", check=False)
    assert m.status == 64 and "frobnicate" in m.said


def test_damaged_files_are_set_aside_and_the_rest_goes_out():
    s, m, ids = stuck(3)
    m.stop()
    path = [f"{d}/{f}" for d, _, fs in __import__("os").walk(f"{m.spool}/deferred") for f in fs if f == ids[1]][0]
    with open(path, "r+b") as f:
        f.seek(70); was = f.read(1); f.seek(70); f.write(bytes([was[0] ^ 255]))
    s.rules.clear()
    m.start()
    m.run("queue", "flush")
    s.wait(2)
    house.wait_until(lambda: m.files("corrupt") == [ids[1]])
    m.wait_log(ids[1] + ".*corrupt")
