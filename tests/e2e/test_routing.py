# SPDX-License-Identifier: Apache-2.0
"""Where mail goes, and why: transport tables, relayhosts by sender, those who have moved, domains of aliases."""
import json, os, time

import house, sink

ERROR = ["error unix - - n - 1 error", "retry unix - - n - 1 error"]
PICKUP = ["pickup unix n - n 60 1 pickup"]


def write(path, text):
    """A new version is put in place as a whole; one that is being written does not count for a second."""
    with open(path + ".new", "w") as f:
        f.write(text)
    old = time.time() - 10
    os.utime(path + ".new", (old, old))
    os.rename(path + ".new", path)


def to(s):
    return f"[127.0.0.1]:{s.port}"


def test_a_change_of_the_transport_table_is_followed_without_reload():
    first, second = sink.Sink(), sink.Sink()
    m = house.Postroad(first, start=False)
    table = f"{m.dir}/transport"
    m.settings["transport_maps"] = f"hash:{table}"
    write(table, f"far.test smtp:{to(first)}\n")
    m.write_config()
    m.start()
    m.send(rcpts="a@far.test")
    first.wait(1)
    write(table, f"far.test smtp:{to(second)}\n")
    # The new version counts within a second of the change, for every message after that.
    house.wait_until(lambda: m.send(rcpts="b@far.test") and second.messages)
    m.send(rcpts="c@far.test")
    house.wait_until(lambda: [g for g in second.messages if g.rcpts == ["c@far.test"]])
    m.empty()


def test_deferred_mail_goes_where_the_table_says_at_its_next_try():
    down, up = sink.Sink(sink.refuse("rcpt", "", "450 4.2.1 not now")), sink.Sink()
    m = house.Postroad(up, master=ERROR, start=False)
    table = f"{m.dir}/transport"
    m.settings["transport_maps"] = f"hash:{table}"
    write(table, f"far.test smtp:{to(down)}\n")
    m.write_config()
    m.start()
    m.send(rcpts=["a@far.test", "b@far.test", "c@far.test"])
    m.wait_log(r"to=<c@far\.test>.*status=deferred")
    write(table, f"a@far.test smtp:{to(up)}\nb@far.test error:5.2.1 Box Of B Is Closed\nc@far.test smtp:{to(up)}\n")
    assert "\"b@far.test\"" in m.run("route", "b@far.test")
    time.sleep(1.1)                                    # the daemon's own look at the file
    m.run("queue", "flush")
    got = house.wait_until(lambda: [g for g in up.messages if g.sender])          # the notice about b may be there first
    assert sorted(got[0].rcpts) == ["a@far.test", "c@far.test"]
    m.wait_log(r"to=<b@far\.test>, relay=none,.* dsn=5\.2\.1, status=bounced \(Box Of B Is Closed\)")


def test_a_table_that_cannot_be_asked_delays_mail_and_never_returns_it():
    s = sink.Sink()
    m = house.Postroad(s, master=ERROR, start=False)
    m.settings["transport_maps"] = f"hash:{m.dir}/transport"
    m.settings["smtpd_peername_lookup"] = "no"
    m.settings["notify_classes"] = ""
    m.services += PICKUP
    m.write_config()
    m.start()
    # By SMTP it is not even taken.
    m.talk().greet()("""\
        C: MAIL FROM:<x@client.test>
        S: 250 *
        C: RCPT TO:<a@far.test>
        S: 451 4.3.0 *Temporary lookup failure""")
    m.run("-f", "x@client.test", "a@far.test", name="sendmail", stdin="Subject: x\n\nx\n")
    m.wait_log(r"to=<a@far\.test>, relay=none,.* dsn=4\.3\.0, status=deferred \(transport_maps: hash:.*/transport: open .*No such file")
    m.no_log("status=bounced")
    write(f"{m.dir}/transport", "nothing.test :\n")
    time.sleep(1.1)
    m.run("queue", "flush")
    assert s.wait(1)[0].rcpts == ["a@far.test"]


def test_a_new_relayhost_is_taken_by_waiting_mail_after_a_reload():
    old, new = sink.Sink(sink.refuse("rcpt", "", "450 4.2.1 not now")), sink.Sink()
    m = house.Postroad(old)
    m.send(rcpts="a@far.test")
    m.wait_log(r"status=deferred")
    m.settings["relayhost"] = to(new)
    m.write_config()
    m.reload()
    m.run("queue", "flush")
    assert new.wait(1)[0].rcpts == ["a@far.test"]


def test_those_who_have_moved_are_refused_with_their_new_address():
    s = sink.Sink()
    m = house.Postroad(s, mydestination="here.test", local_recipient_maps="", relocated_maps="inline:{ {joe@here.test = Joe@New.Example} {@gone.test = the Moon} }",
                       recipient_delimiter="+")
    m.talk().greet()("""\
        C: MAIL FROM:<x@client.test>
        S: 250 *
        C: RCPT TO:<joe@here.test>
        S: 550 5.1.6 <joe@here.test>: Recipient address rejected: User has moved to Joe@New.Example
        C: RCPT TO:<joe+ext@here.test>
        S: 550 5.1.6 <joe+ext@here.test>: Recipient address rejected: User has moved to Joe@New.Example
        C: RCPT TO:<anybody@gone.test>
        S: 550 5.1.6 <anybody@gone.test>: Recipient address rejected: User has moved to the Moon
        C: RCPT TO:<jim@here.test>
        S: 250 *""")


def test_mail_from_this_host_for_those_who_have_moved_is_returned():
    s = sink.Sink()
    m = house.Postroad(s, master=ERROR + PICKUP, relocated_maps="inline:{ {joe@old.test = joe@new.test} }")
    m.run("-f", "x@client.test", "joe@old.test", name="sendmail", stdin="Subject: x\n\nx\n")
    m.wait_log(r"to=<joe@old\.test>, relay=none,.* dsn=5\.1\.6, status=bounced \(User has moved to joe@new\.test\)")
    notice = s.wait(1)[0]
    assert notice.rcpts == ["x@client.test"] and b"User has moved to joe@new.test" in notice.content
    m.empty()


def test_senders_have_relayhosts_of_their_own():
    usual, joes, news = sink.Sink(), sink.Sink(), sink.Sink()
    m = house.Postroad(usual, start=False)
    m.settings["sender_dependent_relayhost_maps"] = f"inline:{{ {{joe@client.test = {to(joes)}}} }}"
    m.settings["sender_dependent_default_transport_maps"] = f"inline:{{ {{@news.test = smtp:{to(news)}}} }}"
    m.write_config()
    m.start()
    for sender in ("joe@client.test", "ann@client.test", "list@news.test"):
        m.send(sender=sender, rcpts="a@far.test")
    assert joes.wait(1)[0].sender == "joe@client.test"
    assert usual.wait(1)[0].sender == "ann@client.test"
    assert news.wait(1)[0].sender == "list@news.test"
    m.empty()


def test_several_relayhosts_are_tried_in_turn():
    s = sink.Sink()
    full = sink.Sink(sink.refuse("mail", "", "421 4.3.2 full"))
    gone = house.free_port()
    m = house.Postroad(relayhost=f"[127.0.0.1]:{gone}, [127.0.0.1]:{full.port} {to(s)}", smtp_mx_session_limit="1", smtp_mx_address_limit="1")
    m.send(rcpts="a@far.test")
    assert s.wait(1)[0].rcpts == ["a@far.test"]
    m.wait_log(rf"connect to 127\.0\.0\.1\[127\.0\.0\.1\]:{gone}: Connection refused")
    m.empty()


def test_unknown_addresses_of_alias_domains_are_returned_not_looked_up():
    s = sink.Sink()
    m = house.Postroad(s, master=ERROR + PICKUP, virtual_alias_domains="aliases.test",
                       virtual_alias_maps="inline:{ {joe@aliases.test = joe@far.test} }")
    m.run("-f", "x@client.test", "nobody@aliases.test", "joe@aliases.test", name="sendmail", stdin="Subject: x\n\nx\n")
    m.wait_log(r"to=<nobody@aliases\.test>, relay=none,.* dsn=5\.1\.1, status=bounced \(User unknown in virtual alias table\)")
    got = s.wait(2)
    assert sorted(r for g in got for r in g.rcpts) == ["joe@far.test", "x@client.test"]
    m.talk().greet()("""\
        C: MAIL FROM:<x@client.test>
        S: 250 *
        C: RCPT TO:<nobody@aliases.test>
        S: 550 5.1.1 <nobody@aliases.test>: Recipient address rejected: User unknown in virtual alias table""")


def test_unknown_mailboxes_are_returned_to_who_sent_from_this_host():
    s = sink.Sink()
    m = house.Postroad(s, master=ERROR + PICKUP + ["virtual unix - n n - - virtual"], virtual_mailbox_domains="boxes.test", virtual_mailbox_base="/nowhere",
                       virtual_mailbox_maps="inline:{ {joe@boxes.test = joe/} }", virtual_uid_maps="static:1000", virtual_gid_maps="static:1000")
    m.run("-f", "x@client.test", "nobody@boxes.test", name="sendmail", stdin="Subject: x\n\nx\n")
    m.wait_log(r"to=<nobody@boxes\.test>, relay=virtual,.* dsn=5\.1\.1, status=bounced \(unknown user")
    assert s.wait(1)[0].rcpts == ["x@client.test"]


def test_what_goes_to_error_or_retry_is_refused_at_rcpt():
    s = sink.Sink()
    m = house.Postroad(s, mydestination="here.test", local_transport="error:Local Mail Is Off", local_recipient_maps="",
                       transport_maps="inline:{ {closed.test = error:5.2.1 Closed For Good} {later.test = retry:4.7.0 Under Repair} {bad.test = error:} }")
    m.talk().greet()("""\
        C: MAIL FROM:<x@client.test>
        S: 250 *
        C: RCPT TO:<a@here.test>
        S: 550 5.1.1 <a@here.test>: Recipient address rejected: Local Mail Is Off
        C: RCPT TO:<a@closed.test>
        S: 550 5.2.1 <a@closed.test>: Recipient address rejected: Closed For Good
        C: RCPT TO:<a@later.test>
        S: 450 4.7.0 <a@later.test>: Recipient address rejected: Under Repair
        C: RCPT TO:<a@bad.test>
        S: 550 5.1.1 <a@bad.test>: Recipient address rejected: Address is undeliverable""")


def test_lists_of_domains_are_match_lists_for_relaying():
    s = sink.Sink()
    m = house.Postroad(s, mynetworks="", start=False)
    write(f"{m.dir}/domains", "# ours\nin.file.test\n!not.example.test .example.test\n")
    write(f"{m.dir}/table", "table.test yes\n")
    m.settings["relay_domains"] = f"!no.plain.test plain.test {m.dir}/domains hash:{m.dir}/table"
    m.write_config()
    m.start()
    m.talk().greet()("""\
        C: MAIL FROM:<x@client.test>
        S: 250 *
        C: RCPT TO:<a@sub.plain.test>
        S: 250 *
        C: RCPT TO:<a@no.plain.test>
        S: 554 5.7.1 <a@no.plain.test>: Relay access denied
        C: RCPT TO:<a@below.in.file.test>
        S: 250 *
        C: RCPT TO:<a@not.example.test>
        S: 554 5.7.1 <a@not.example.test>: Relay access denied
        C: RCPT TO:<a@x.example.test>
        S: 250 *
        C: RCPT TO:<a@mx.table.test>
        S: 250 *
        C: RCPT TO:<a@other.test>
        S: 554 5.7.1 <a@other.test>: Relay access denied""")


def test_route_says_what_would_become_of_an_address():
    m = house.Postroad(start=False, mydestination="here.test", virtual_alias_domains="aliases.test", relay_domains="partner.test", relay_recipient_maps="inline:{x@partner.test=x}",
                       canonical_maps="inline:{ {jim@here.test = joe@aliases.test} }", recipient_delimiter="+", local_recipient_maps="inline:{ann=x}",
                       virtual_alias_maps="inline:{ {joe@aliases.test = ann@here.test, bob@far.test, eve@partner.test} }",
                       transport_maps="inline:{ {.far.test = slow:[gate.test]} {bob@far.test = :[bobs.test]} }", relayhost="[smart.test]",
                       sender_dependent_relayhost_maps="inline:{ {@news.test = [news.test]} }")
    assert m.run("route", "jim@here.test") == """\
jim@here.test
  jim@here.test -> joe@aliases.test  (canonical_maps)
  joe@aliases.test -> ann@here.test  (virtual_alias_maps)
  joe@aliases.test -> bob@far.test  (virtual_alias_maps)
  joe@aliases.test -> eve@partner.test  (virtual_alias_maps)
  ann@here.test
    class      local  (mydestination)
    transport  local  (local_transport)
    next hop   mx.test  (local_transport)
  bob@far.test
    class      default
    transport  smtp  (default_transport)
    next hop   [bobs.test]  (transport_maps: "bob@far.test")
  eve@partner.test
    class      relay  (relay_domains)
    unknown    no such user in the relay recipient table
    transport  relay  (relay_transport)
    next hop   [smart.test]  (relayhost)

"""
    assert m.run("route", "--sender", "list@news.test", "nobody@aliases.test", "x@else.test", "a@x.far.test") == """\
nobody@aliases.test
  nobody@aliases.test
    class      virtual alias  (virtual_alias_domains)
    transport  error  (virtual_alias_domains)
    reason     5.1.1 User unknown in virtual alias table  (virtual_alias_domains)

x@else.test
  x@else.test
    class      default
    transport  smtp  (default_transport)
    next hop   [news.test]  (sender_dependent_relayhost_maps: "@news.test")

a@x.far.test
  a@x.far.test
    class      default
    transport  slow  (transport_maps: ".far.test")
    next hop   [gate.test]  (transport_maps: ".far.test")

"""
    lines = [json.loads(line) for line in m.run("route", "--json", "jim@here.test", "user").splitlines()]
    assert lines[0]["steps"][0] == {"from": "jim@here.test", "to": "joe@aliases.test", "by": "canonical_maps"}
    assert [r["address"] for r in lines[0]["routes"]] == ["ann@here.test", "bob@far.test", "eve@partner.test"]
    assert lines[0]["routes"][1] == {"address": "bob@far.test", "class": "default", "class_by": "", "transport": "smtp", "nexthop": "[bobs.test]",
                                     "transport_by": {"setting": "default_transport"},
                                     "nexthop_by": {"setting": "transport_maps", "key": "bob@far.test"}, "known": True}
    assert lines[1]["steps"] == [{"from": "user", "to": "user@mx.test", "by": "standard form"}]
    assert [r["known"] for r in lines[0]["routes"]] == [True, True, False]
    m.settings["transport_maps"] = "fail:no"
    m.write_config()
    m.run("route", "x@else.test", check=False)
    assert m.status == 75
    m.run("route", check=False)
    assert m.status == 64
