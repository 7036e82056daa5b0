# SPDX-License-Identifier: Apache-2.0
"""Addresses on their way in: canonical forms, aliases, copies, and who exists at all."""
import os

import house, sink


def world(**settings):
    s = sink.Sink()
    return s, house.Postroad(s, **settings)


def rcpts_of(s, n=1):
    return sorted(r for g in s.wait(n) for r in g.rcpts)


def test_virtual_aliases_expand_again_and_again():
    s, m = world(virtual_alias_maps="inline:{ {all@example.org = a@example.org, B <b@example.org>} {b@example.org = c@example.org, d@example.org, b@example.org} }",
                 virtual_alias_domains="")
    m.send(rcpts="all@example.org")
    got = rcpts_of(s)
    assert got == ["a@example.org", "b@example.org", "c@example.org", "d@example.org"], got


def test_an_alias_of_many_reaches_each_once():
    s, m = world(virtual_alias_maps="inline:{ {all@example.org = a@example.org, b@example.org, A@example.org, a@example.org} }", virtual_alias_domains="")
    m.send(rcpts=["all@example.org", "b@example.org"])
    assert rcpts_of(s) == ["A@example.org", "a@example.org", "b@example.org"]
    m.wait_log(r"to=<a@example\.org>, orig_to=<all@example\.org>, relay=")


def test_aliases_without_end_are_refused():
    s, m = world(virtual_alias_maps="inline:{ {a@example.org = b@example.org} {b@example.org = a@example.org} }", virtual_alias_domains="")
    m.talk().greet()("""\
        C: MAIL FROM:<x@client.test>
        S: 250 *
        C: RCPT TO:<a@example.org>
        S: 250 *
        C: DATA
        S: 354 *
        C: .
        S: 554 5.4.6 Alias expansion error""")
    m.wait_log(r"unreasonable virtual_alias_maps map nesting")
    assert not m.files("incoming")


def test_order_of_rewriting():
    s, m = world(canonical_maps="inline:{ {joe@example.org = joe.smith@example.org} }",
                 sender_canonical_maps="inline:{ {alice@client.test = joe@example.org} }",
                 virtual_alias_maps="inline:{ {joe.smith@example.org = js@example.net} }", virtual_alias_domains="",
                 always_bcc="archive@example.net", recipient_bcc_maps="inline:{ {joe.smith@example.org = copy@example.net} }",
                 sender_bcc_maps="inline:{ {joe.smith@example.org = sent@example.net} }")
    m.send(rcpts="joe@example.org")
    got = rcpts_of(s)
    assert got == ["archive@example.net", "copy@example.net", "js@example.net", "sent@example.net"], got
    assert s.messages[0].sender == "joe.smith@example.org"


def test_masquerade_and_header():
    s, m = world(masquerade_domains="example.org", masquerade_exceptions="root", local_header_rewrite_clients="permit_inet_interfaces",
                 canonical_maps="inline:{ {joe@example.net = Joe.Smith@example.net} }", myorigin="mx.example.org")
    m.send(sender="al@host.example.org", rcpts="bob@host.example.org",
           body="From: \"Al, x\" <al@host.example.org> (hm)\r\nTo: joe@example.net,\r\n\tbob, root@h.example.org\r\nBcc: no@example.org\r\nSubject: al@host.example.org\r\n\r\nal@host.example.org\r\n")
    got = s.wait(1)[0]
    assert got.sender == "al@example.org" and got.rcpts == ["bob@host.example.org"], (got.sender, got.rcpts)
    assert got.header("From") == '"Al, x" <al@example.org> (hm)', got.content
    assert got.header("To") == "Joe.Smith@example.net, bob@example.org, root@h.example.org", got.header("To")
    assert b"no@example.org" not in got.content and got.header("Subject") == "al@host.example.org"
    assert got.header("Date") and got.header("Message-Id") and got.body == b"al@host.example.org\r\n"


def test_mail_from_elsewhere_keeps_its_header():
    s, m = world(canonical_maps="inline:{ {joe@example.net = x@example.net} }")
    m.send(body="To: joe@example.net\r\nBcc: y@example.net\r\n\r\nx\r\n")
    assert s.wait(1)[0].content.endswith(b"To: joe@example.net\r\nBcc: y@example.net\r\n\r\nx\r\n")


def test_unknown_users_are_refused():
    s, m = world(mydestination="here.test", local_recipient_maps="inline:{ {joe=x} }", mynetworks="", relay_domains="relay.test",
                 relay_recipient_maps="inline:{ {ok@relay.test=x} {@sub.relay.test=x} }",
                 virtual_alias_domains="virtual.test", virtual_alias_maps="inline:{ {joe@virtual.test=joe@here.test} }", recipient_delimiter="+")
    m.talk().greet()("""\
        C: MAIL FROM:<x@client.test>
        S: 250 *
        C: RCPT TO:<joe@here.test>
        S: 250 *
        C: RCPT TO:<joe+list@HERE.test>
        S: 250 *
        C: RCPT TO:<jim@here.test>
        S: 550 5.1.1 <jim@here.test>: Recipient address rejected: User unknown in local recipient table
        C: RCPT TO:<ok@relay.test>
        S: 250 *
        C: RCPT TO:<any@sub.relay.test>
        S: 250 *
        C: RCPT TO:<no@relay.test>
        S: 550 5.1.1 <no@relay.test>: Recipient address rejected: User unknown in relay recipient table
        C: RCPT TO:<joe@virtual.test>
        S: 250 *
        C: RCPT TO:<jim@virtual.test>
        S: 550 5.1.1 <jim@virtual.test>: Recipient address rejected: User unknown in virtual alias table
        C: RCPT TO:<postmaster>
        S: 250 *
        C: RCPT TO:<x@elsewhere.test>
        S: 554 5.7.1 <x@elsewhere.test>: Relay access denied""")


def test_a_table_that_is_not_there_is_temporary():
    s, m = world(mynetworks="", virtual_alias_domains="virtual.test", start=False)
    m.settings["virtual_alias_maps"] = f"hash:{m.dir}/virtual"
    m.write_config(); m.start()
    t = m.talk().greet()("""\
        C: MAIL FROM:<x@client.test>
        S: 250 *
        C: RCPT TO:<joe@virtual.test>
        S: 451 4.3.0 <joe@virtual.test>: Temporary lookup failure""")
    with open(f"{m.dir}/virtual", "w") as f:
        f.write("joe@virtual.test js@example.org\n")
    def taken():
        t.put("RCPT TO:<joe@virtual.test>")
        return t.reply().startswith("250")
    house.wait_until(taken, step=0.3)


def test_postmap_makes_asks_and_changes():
    s, m = world(start=False)
    path = f"{m.dir}/table"
    with open(path, "w") as f:
        f.write("# comment\nJoe@Example.org   one two\n  three\nb@x 2\nb@x 3\n")
    for kind, suffix in (("hash", "db"), ("btree", "db"), ("cdb", "cdb")):
        m.said = ""
        m.run(f"{kind}:{path}", name="postmap")
        assert os.path.exists(f"{path}.{suffix}")
        assert kind == "cdb" or "duplicate entry: \"b@x\"" in m.said, m.said
        assert m.run("-q", "joe@example.org", f"{kind}:{path}", name="postmap") == "one two  three\n"
        assert m.run("-q", "-", f"{kind}:{path}", name="postmap", stdin="b@x\nnobody\nJOE@example.org\n") == "b@x\t2\nJOE@example.org\tone two  three\n"
        assert "joe@example.org\tone two  three\n" in m.run("-s", f"{kind}:{path}", name="postmap")
        m.run("-q", "nobody", f"{kind}:{path}", name="postmap", check=False)
        assert m.status == 1
    m.run("-d", "b@x", f"hash:{path}", name="postmap", check=False)
    m.run(f"hash:{path}", name="postmap")
    m.run("-d", "b@x", f"hash:{path}", name="postmap")
    assert m.run("-s", f"hash:{path}", name="postmap") == "joe@example.org\tone two  three\n"
    m.run("-i", f"hash:{path}", name="postmap", stdin="new value\n")
    assert m.run("-q", "new", f"hash:{path}", name="postmap") == "value\n"
    with open(path, "w") as f:
        f.write("good value\nbad-line-without-value\n")
    m.said = ""
    m.run(f"hash:{path}", name="postmap", check=False)
    assert m.status == 1 and f"{path}:2" in m.said and m.run("-q", "new", f"hash:{path}", name="postmap"), m.said


def test_newaliases_makes_the_alias_table():
    s, m = world(start=False)
    path = f"{m.dir}/aliases"
    m.settings["alias_database"] = f"hash:{path}"; m.write_config()
    with open(path, "w") as f:
        f.write("root: joe, \"|/bin/cat\"\n\"with blank\": x\nlist:\n  :include:/etc/list\n")
    m.run(name="newaliases")
    assert m.run("-q", "ROOT", f"hash:{path}", name="postalias") == 'joe, "|/bin/cat"\n'
    assert m.run("-q", "with blank", f"hash:{path}", name="postalias") == "x\n"
