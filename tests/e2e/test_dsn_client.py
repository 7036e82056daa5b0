# SPDX-License-Identifier: Apache-2.0
"""What the sender asked for (RFC 3461) goes on to servers that offer DSN.  sendmail is the way in."""
import house, sink


def handed_in(s, *options, sender="alice@client.test", to=("bob@example.org",), body="Subject: x\n\nhello\n"):
    m = house.Postroad(sink=s, master=["pickup unix n - n 60 1 pickup"])
    m.run("-f", sender, *options, *to, name="sendmail", stdin=body)
    return m, s.wait(1)[0]


def test_a_server_that_offers_dsn_is_told():
    s = sink.Sink(offers=["PIPELINING", "DSN"])
    m, got = handed_in(s, "-N", "success,delay", "-R", "hdrs", "-V", "an=id +1")
    assert got.params == ["RET=HDRS", "ENVID=an+3Did+20+2B1"], got.params
    assert got.rcpt_params == [["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;bob@example.org"]], got.rcpt_params
    m.empty()


def test_a_server_without_dsn_is_not():
    s = sink.Sink(offers=["PIPELINING"])
    m, got = handed_in(s, "-N", "success,delay", "-R", "hdrs", "-V", "id")
    assert not got.params and got.rcpt_params == [[]]


def test_the_address_first_given_goes_along():
    s = sink.Sink(offers=["DSN"])
    m = house.Postroad(sink=s, virtual_alias_maps="inline:{ {old+a@example.org = new@example.net} }", virtual_alias_domains="")
    m.send(rcpts=["old+a@example.org", "plain@example.org"])
    house.wait_until(lambda: sum(len(g.rcpts) for g in s.messages) == 2)
    asked = {r: p for g in s.messages for r, p in zip(g.rcpts, g.rcpt_params)}
    assert asked == {"new@example.net": ["ORCPT=rfc822;old+2Ba@example.org"], "plain@example.org": ["ORCPT=rfc822;plain@example.org"]}, asked
