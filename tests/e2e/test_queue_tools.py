# SPDX-License-Identifier: Apache-2.0
"""postqueue, postsuper, postcat, qshape: outputs that programs parse, byte for byte where it matters."""
import json, os, re, time

import house
from test_queue import stuck


def mailq_line(m, qid):
    return [l for l in m.run(name="mailq").splitlines() if l.startswith(qid)][0]


def test_mailq_byte_for_byte():
    s, m, ids = stuck(1)
    sizes = {q["queue_id"]: q for q in m.queue()}
    q = sizes[ids[0]]
    when = time.strftime("%a %b %e %H:%M:%S", time.localtime(q["arrival_time"]))
    reason = q["recipients"][0]["delay_reason"]
    want = ("----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"
            + "%-17s %8d %19.19s %s\n" % (ids[0], q["message_size"], when, "s0@client.test")
            + "%s(%s)\n" % (" " * max(0, 76 - len(reason)), reason)
            + "%s%s\n" % (" " * 47, "r0@example.org")
            + "\n-- %d Kbytes in 1 Request.\n" % ((q["message_size"] + 1023) // 1024))
    assert m.run(name="mailq") == want, m.run(name="mailq")
    m.run("-h", ids[0], name="postsuper")
    house.wait_until(lambda: m.files("hold"))
    assert mailq_line(m, ids[0]).startswith(ids[0] + "! ")
    m.run("-e", ids[0], name="postsuper")
    assert mailq_line(m, ids[0]).startswith(ids[0] + "! ")
    assert m.queue()[0]["forced_expire"] is True


def test_postqueue_json_has_the_members_that_are_known():
    s, m, ids = stuck(1)
    line = m.run("-j", name="postqueue")
    assert line.startswith('{"queue_name": "deferred", "queue_id": "%s", "arrival_time": ' % ids[0]), line
    assert re.search(r', "message_size": \d+, "forced_expire": false, "sender": "s0@client\.test", "recipients": \[\{"address": '
                     r'"r0@example\.org", "delay_reason": "host .*450 4\.2\.0 later', line), line
    json.loads(line)


def test_postsuper_does_things_in_the_order_given_and_says_how_many():
    s, m, ids = stuck(4)
    m.said = ""
    m.run("-h", ids[0], "-h", ids[1], "-d", ids[2], "-H", ids[0], name="postsuper")
    said = m.said
    for line in (f"postsuper: {ids[0]}: placed on hold\n", f"postsuper: {ids[2]}: removed\n",
                 f"postsuper: {ids[0]}: released from hold\n", "postsuper: Deleted: 1 message\n",
                 "postsuper: Placed on hold: 2 messages\n", "postsuper: Released from hold: 1 message\n"):
        assert line in said, (line, said)
    assert said.index("Deleted:") < said.index("Placed on hold:") < said.index("Released from hold: 1")
    house.wait_until(lambda: sorted(m.files("hold")) == [ids[1]] and sorted(m.files("deferred")) == sorted([ids[0], ids[3]]))
    # A queue named at the end limits ALL; what is unknown is no error; "all" is not ALL.
    m.run("-d", "ALL", "hold", name="postsuper")
    house.wait_until(lambda: not m.files("hold"))
    assert len(m.files("deferred")) == 2
    m.run("-d", "0123456789ABCDEF", name="postsuper")
    m.run("-d", "all", name="postsuper")
    m.run("-d", "ALL", "nosuchqueue", name="postsuper", check=False)
    assert m.status == 1 and len(m.files("deferred")) == 2
    m.said = ""
    m.run("-d", "-", name="postsuper", stdin=f"rubbish\n\n{ids[0]}\n{ids[3]}\n")
    assert "bad mail queue id: rubbish" in m.said and "Deleted: 2 messages" in m.said, m.said
    m.run("-d", "-", name="postsuper", stdin="")
    m.run("-x", name="postsuper", check=False)
    assert m.status == 1


def test_postqueue_and_postsuper_statuses():
    s, m, ids = stuck(1)
    m.run("-i", "0123456789ABCDEF", name="postqueue")
    for args in (["-i", "rubbish"], [], ["-p", "-j"], ["-z"], ["-p", "x"]):
        m.run(*args, name="postqueue", check=False)
        assert m.status == 69, args
    m.run("-s", "nowhere.example", name="postqueue")
    m.run(name="postsuper")
    m.run("-p", "-s", name="postsuper")


def test_postsuper_expires_now_or_when_released():
    s, m, ids = stuck(3)
    m.run("-h", ids[1], "-h", ids[2], name="postsuper")
    house.wait_until(lambda: len(m.files("hold")) == 2)
    s.rules.clear()
    m.run("-e", ids[0], "-e", ids[1], "-f", ids[2], name="postsuper")
    assert "Force-expired: 3 messages" in m.said
    m.wait_log(rf"{ids[0]}: from=<s0@client.test>, status=force-expired, returned to sender")
    m.wait_log(rf"{ids[2]}: from=<s2@client.test>, status=force-expired")
    house.wait_until(lambda: len(s.messages) == 2)
    assert sorted(x.rcpts[0] for x in s.messages) == ["s0@client.test", "s2@client.test"]
    m.wait_log(rf"{ids[0]}: removed")
    m.wait_log(rf"{ids[2]}: removed")
    # It is still told to expire after a restart.
    m.kill("qmgr")
    house.wait_until(lambda: [q["forced_expire"] for q in m.queue()] == [True])
    m.run("-H", ids[1], name="postsuper")
    m.wait_log(rf"{ids[1]}: from=<s1@client.test>, status=force-expired")
    house.wait_until(lambda: len(s.messages) == 3)
    m.empty()


def test_what_was_expired_is_not_delivered_after_a_crash():
    s, m, ids = stuck(1)
    s.rules.clear()
    m.run("-e", ids[0], name="postsuper")
    house.wait_until(lambda: "told to expire" in m.run("queue", "cat", "--history", ids[0], check=False) or not m.files("deferred"), step=0.001)
    m.kill("qmgr")
    house.wait_until(lambda: not m.queue())
    assert {x.rcpts[0] for x in s.messages} == {"s0@client.test"}
    m.empty()


def test_the_same_while_the_system_is_down():
    s, m, ids = stuck(4)
    m.stop()
    m.said = ""
    m.run("-h", ids[0], "-e", ids[1], "-d", ids[2], name="postsuper")
    assert "Deleted: 1 message" in m.said and "Placed on hold: 1 message" in m.said and "Force-expired: 1 message" in m.said, m.said
    assert m.files("hold") == [ids[0]] and sorted(m.files("deferred")) == sorted([ids[1], ids[3]])
    assert sorted(q["queue_id"] for q in m.queue() if q["forced_expire"]) == [ids[1]]
    assert re.search(rf"(?m)^{ids[1]}# ", m.run(name="mailq"))
    m.run("-f", name="postqueue", check=False)
    assert m.status == 69
    m.run("-r", ids[0], name="postsuper")
    assert not m.files("hold")
    s.rules.clear()
    m.start()
    m.run("queue", "flush")
    s.wait(3)
    assert sorted(x.rcpts[0] for x in s.messages) == ["r0@example.org", "r3@example.org", "s1@client.test"]
    m.empty()


def test_postcat_shows_what_is_asked_for():
    s, m, ids = stuck(1)
    whole = m.run("-q", ids[0], name="postcat")
    path = f"deferred/{ids[0]}"
    marks = re.findall(r"(?m)^\*\*\* .* \*\*\*$", whole)
    assert marks == [f"*** ENVELOPE RECORDS {path} ***", f"*** MESSAGE CONTENTS {path} ***", f"*** HEADER EXTRACTED {path} ***",
                     f"*** MESSAGE FILE END {path} ***"], marks
    q = m.queue()[0]
    size, at = re.search(r"(?m)^message_size: +(\d+) +(\d+) +1 +0 +(\d+) +0$", whole).group(1, 2)
    assert int(size) == q["message_size"]
    date = time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(q["arrival_time"]))
    assert f"\nmessage_arrival_time: {date}\n" in whole and "\nsender: s0@client.test\n" in whole
    assert "\noriginal_recipient: r0@example.org\nrecipient: r0@example.org\n" in whole
    body = m.run("-bq", ids[0], name="postcat")
    assert body == "\nhello\n", repr(body)
    head = m.run("-hq", ids[0], name="postcat")
    assert head.startswith("Received: ") and head.endswith("Subject: hello\n"), head
    assert m.run("-bhq", ids[0], name="postcat") == head + body
    only = m.run("-eq", ids[0], name="postcat")
    assert "Subject:" not in only and "recipient: r0" in only and "*** MESSAGE FILE END" in only
    offsets = m.run("-hdoq", ids[0], name="postcat")
    assert offsets.startswith("%9d  78 Received: " % int(at)), offsets
    assert "Subject" not in m.run("-b", "-s", at, "-q", ids[0], name="postcat")
    file = [f"{d}/{f}" for d, _, fs in os.walk(f"{m.spool}/deferred") for f in fs][0]
    assert m.run("-bh", file, name="postcat") == head + body
    assert m.run("queue", "cat", "--history", ids[0]).count("history: ") == 1
    assert "deferred r0@example.org 4.2.0 (host " in m.run("queue", "cat", "--history", ids[0])
    m.run("-q", "0123456789ABCDEF", name="postcat", check=False)
    assert m.status == 1
    m.run("-q", name="postcat", check=False)
    assert m.status == 1


def test_qshape_counts_queues():
    s, m, ids = stuck(3)
    want = ("                                         T  5 10 20 40 80 160 320 640 1280 1280+\n"
            "                                  TOTAL  3  3  0  0  0  0   0   0   0    0     0\n"
            "                            example.org  3  3  0  0  0  0   0   0   0    0     0\n")
    assert m.run("deferred", name="qshape") == want
    assert m.run("queue", "shape", "deferred") == want
    assert "TOTAL  0" in m.run(name="qshape")
    assert " client.test  3" in m.run("-s", "deferred", "hold", name="qshape")
    m.stop()
    assert m.run("deferred", name="qshape") == want


def test_every_command_explains_itself():
    m = house.Postroad(start=False)
    for name in ("postqueue", "postsuper", "postcat", "qshape", "postconf"):
        assert "usage: " in m.run("--help", name=name), name
    for args in (["queue"], ["queue", "delete"], ["queue", "load"], ["queue", "cat"], ["queue", "shape"], ["explain"], ["conf"]):
        assert "usage: " in m.run(*args, "--help"), args
