# SPDX-License-Identifier: Apache-2.0
"""Answers that are validated, answers that are not, and answers that must not be believed."""
import os, tempfile

import house, sink
from dnssec import SignedDns

ZONE = {"signed.example": [("MX", 10, "mx.signed.example")], "mx.signed.example": [("A", "127.0.0.1")],
        "plain.signed.example": [("MX", 10, "mx.signed.example")]}


def world(**how):
    s, d = sink.Sink(), SignedDns("signed.example", ZONE, **how)
    m = house.Postroad(dns=d, start=False, smtp_tcp_port=str(s.port), dns_timeout="5s", inet_protocols="ipv4")
    m.settings["dns_trust_anchor_file"] = f"{m.dir}/anchor"
    with open(f"{m.dir}/anchor", "w") as f:
        f.write(d.anchor())
    m.write_config()
    m.start()
    return s, d, m


def test_a_signed_answer_is_validated_and_used():
    s, d, m = world()
    qid = m.send(rcpts="bob@signed.example")
    s.wait(1)
    m.wait_log(rf"{qid}: to=<bob@signed\.example>, relay=mx\.signed\.example\[127\.0\.0\.1\]:{s.port}, .*status=sent")
    said = m.run("dns", "signed.example", "MX")
    assert "signed.example MX 10 mx.signed.example\nvalidated, for " in said, said
    assert ("signed.example", 48) in d.asked, "its key was never asked for"


def test_a_signed_no_is_validated():
    s, d, m = world()
    said = m.run("dns", "mx.signed.example", "AAAA")
    assert "no such record, validated" in said, said
    m.run("dns", "nowhere.signed.example", check=False)
    assert m.status == 1 and "no such name" in m.said, m.said
    qid = m.send(rcpts="bob@nowhere.signed.example")
    m.wait_log(rf"{qid}: .*dsn=5\.4\.4, status=bounced")


def test_what_does_not_validate_defers_and_never_bounces():
    for spoil, word in (("expired", "signature expired"), ("forged", "(ECDSA signature verification|signature crypto) failed")):
        s, d, m = world(spoil=spoil)
        qid = m.send(rcpts="bob@signed.example")
        m.wait_log(rf"{qid}: to=<bob@signed\.example>, relay=none, .*dsn=4\.4\.3, status=deferred \(.*Host not found, try again\)")
        m.wait_log(rf"resolver\[\d+\]: warning: DNSSEC: validation failure <signed\.example\. MX IN>: {word}")
        m.run("dns", "signed.example", "MX", check=False)
        assert m.status == 75 and "validation failure" in m.said, m.said
        m.no_log("status=bounced")
        assert not s.messages


def test_a_signature_that_is_missing_defers():
    s, d, m = world(unsigned=("signed.example",))
    qid = m.send(rcpts="bob@signed.example")
    m.wait_log(rf"{qid}: .*dsn=4\.4\.3, status=deferred")
    m.wait_log(r"warning: DNSSEC: validation failure")


def test_a_name_no_anchor_covers_is_used_unvalidated():
    s, d, m = world()
    d.zone.update({"other.example": [("MX", 10, "mx.other.example")], "mx.other.example": [("A", "127.0.0.1")]})
    m.send(rcpts="bob@other.example")
    s.wait(1)
    said = m.run("dns", "other.example", "MX")
    assert "other.example MX 10 mx.other.example\nnot validated" in said, said
