# SPDX-License-Identifier: Apache-2.0
"""`postroad queue` picks messages by what is known of them, whether the mail system runs or not."""
import json, re

import house, sink
from sink import refuse


def mixed(**kw):
    """Five deferred messages of different senders, recipients and reasons."""
    s = sink.Sink(refuse("rcpt", "busy", "450 4.3.2 Too busy now"), refuse("rcpt", "", "451 4.7.1 Greylisted"))
    m = house.Postroad(sink=s, **kw)
    mails = [("a@one.test", "busy@x.example"), ("b@one.test", "bob@x.example"), ("a@two.test", "bob@y.example"), ("", "eve@y.example"),
             ("c@two.test", "busy@z.example")]
    ids = [m.send(sender=a, rcpts=b) for a, b in mails]
    m.wait_log("status=deferred", 5)
    house.wait_until(lambda: len(m.files("deferred")) == 5)
    return s, m, ids


CASES = [
    (["--sender", "a@one.test"], [0]), (["--sender", "a@ONE.test"], [0]), (["--sender", "@one.test"], [0, 1]),
    (["--sender", "*@two.test"], [2, 4]), (["--sender", "<>"], [3]), (["--sender", "a@one.test", "--sender", "a@two.test"], [0, 2]),
    (["--recipient", "bob@x.example"], [1]), (["--recipient=@y.example"], [2, 3]), (["--recipient", "b*"], [0, 1, 2, 4]),
    (["--destination", "z.example"], [4]), (["--destination", "smtp:*"], [0, 1, 2, 3, 4]),
    (["--reason", "greylisted"], [1, 2, 3]), (["--reason", "450*busy"], [0, 4]), (["--reason", "550"], []),
    (["--state", "deferred"], [0, 1, 2, 3, 4]), (["--state", "hold"], []), (["--newer", "1h"], [0, 1, 2, 3, 4]), (["--older", "1h"], []),
    (["--sender", "@one.test", "--reason", "greylisted"], [1]), (["--sender", "@one.test", "--recipient", "@y.example"], []),
    (["ALL"], [0, 1, 2, 3, 4]),
]


def check_cases(m, ids):
    for args, want in CASES:
        rows = [json.loads(l) for l in m.run("queue", "list", "--json", *args).splitlines()]
        assert sorted(r["queue_id"] for r in rows) == sorted(ids[i] for i in want), (args, rows)
        out = json.loads(m.run("queue", "hold", "--dry-run", "--json", *args))
        assert out == {"held": len(want), "missing": 0, "dry_run": True}, (args, out)
    m.run("queue", "list", ids[0], "0123456789ABCDEF", check=False)
    assert m.status == 1


def test_selection_is_the_same_up_and_down():
    s, m, ids = mixed()
    check_cases(m, ids)
    m.stop()
    check_cases(m, ids)


def test_tables_by_something():
    s, m, ids = mixed()
    for again in (1, 2):
        rows = [json.loads(l) for l in m.run("queue", "--by", "reason", "--json").splitlines()]
        assert [(r["messages"], r["recipients"]) for r in rows] == [(3, 3), (2, 2)] and "Greylisted" in rows[0]["reason"], rows
        rows = {r["domain"]: r["messages"] for r in map(json.loads, m.run("--json", "queue", "list", "--by=domain").splitlines())}
        assert rows == {"x.example": 2, "y.example": 2, "z.example": 1}, rows
        rows = {r["sender"]: r["messages"] for r in map(json.loads, m.run("--json", "queue", "--by", "sender").splitlines())}
        assert rows["MAILER-DAEMON"] == 1 and len(rows) == 5, rows
        out = m.run("queue", "--by", "destination")
        assert re.fullmatch(r" messages recipients    size   oldest  destination\n +5 +5 +\S+ +\S+  smtp:\[127\.0\.0\.1\]:\d+\n", out), out
        assert re.search(r"(?m)^ +5 +5 +\S+ +\S+  under 5m$", m.run("queue", "--by", "age"))
        if again == 1:
            m.stop()
    m.run("queue", "--by", "colour", check=False)
    assert m.status == 64
    m.run("queue", "delete", "--by", "age", "ALL", check=False)
    assert m.status == 64


def test_a_change_wants_to_be_told_what():
    s, m, ids = mixed()
    for verb in ("delete", "hold", "release", "requeue", "expire"):
        m.run("queue", verb, check=False)
        assert m.status == 64 and "ALL" in m.said, verb
    m.run("queue", "delete", "-", check=False, stdin="\n")
    assert m.status == 64
    m.run("queue", "delete", "--state", "limbo", check=False)
    assert m.status == 64
    m.run("queue", "delete", "--older", "soon", check=False)
    assert m.status == 64
    assert len(m.files("deferred")) == 5


def test_changes_by_criterion_while_up_and_down():
    s, m, ids = mixed()
    out = m.run("queue", "hold", "--verbose", "--sender", "@one.test")
    assert "2 messages held" in out and f"{ids[0]}: held" in out and f"{ids[1]}: held" in out, out
    house.wait_until(lambda: sorted(m.files("hold")) == sorted(ids[:2]))
    assert m.run("queue", "hold", "--sender", "@one.test").startswith("0 messages")
    m.run("queue", "hold", ids[0], check=False)
    assert m.status == 1
    assert "1 message released" in m.run("queue", "release", ids[1])
    assert "1 message deleted" in m.run("queue", "delete", "--reason", "busy", "--state", "deferred")
    house.wait_until(lambda: sorted(m.files("deferred")) == sorted(ids[1:4]))
    m.run("queue", "delete", ids[4], check=False)
    assert m.status == 1 and f"{ids[4]}: no such message" in m.said
    m.stop()
    assert "1 message released" in m.run("queue", "release", "--state", "hold", "--recipient", "busy@x.example")
    assert "1 message deleted" in m.run("queue", "delete", "--sender", "<>")
    assert "3 messages requeued" in m.run("queue", "requeue", "ALL")
    m.run("queue", "flush", "ALL", check=False)
    assert m.status == 69
    s.rules.clear()
    m.start()
    s.wait(3)
    m.empty()


def test_requeue_of_everything_ends():
    s, m, ids = mixed()
    assert "5 messages requeued" in m.run("queue", "requeue", "ALL")
    assert m.run("queue", "--help").startswith("usage: postroad queue")
