# SPDX-License-Identifier: Apache-2.0
"""Where mail goes when no relay host says so: MX records, and their absence."""
import house, sink
from dnsd import Dns


def world(zone, host="127.0.0.1", **settings):
    s = sink.Sink(host=host)
    d = Dns(zone)
    m = house.Postroad(dns=d, smtp_tcp_port=str(s.port), smtp_connect_timeout="2s", dns_timeout="3s", inet_protocols="ipv4", **settings)
    return s, d, m


def test_the_best_mx_is_tried_first_and_the_next_when_it_is_down():
    s, d, m = world({"example.org": [("MX", 20, "good.example.org"), ("MX", 10, "down.example.org")],
                     "good.example.org": [("A", "127.0.0.1")], "down.example.org": [("A", "127.0.0.9")]})
    qid = m.send()
    s.wait(1)
    m.wait_log(rf"/smtp\[\d+\]: connect to down\.example\.org\[127\.0\.0\.9\]:{s.port}: Connection refused")
    m.wait_log(rf"{qid}: to=<bob@example\.org>, relay=good\.example\.org\[127\.0\.0\.1\]:{s.port}, .*status=sent")


def test_of_many_mx_records_the_best_are_used():
    """More than are kept; the one that counts stands in their midst."""
    many = [("MX", 20 + i % 3, f"down{i}.example.org") for i in range(300)]
    s, d, m = world({"example.org": many[:150] + [("MX", 10, "good.example.org")] + many[150:], "good.example.org": [("A", "127.0.0.1")]})
    qid = m.send()
    m.wait_log(rf"{qid}: to=<bob@example\.org>, relay=good\.example\.org\[127\.0\.0\.1\]:{s.port}, .*status=sent")


def test_all_mx_down_defers():
    s, d, m = world({"example.org": [("MX", 10, "down.example.org")], "down.example.org": [("A", "127.0.0.9")]})
    qid = m.send()
    m.wait_log(rf"{qid}: to=<bob@example\.org>, relay=none, .*dsn=4\.4\.1, status=deferred \(connect to down\.example\.org\[127\.0\.0\.9\]:{s.port}: Connection refused\)")


def test_no_mx_means_the_host_itself():
    s, d, m = world({"example.org": [("A", "127.0.0.1")]})
    m.send()
    s.wait(1)


def test_a_domain_that_does_not_exist_bounces():
    s, d, m = world({"client.test": [("MX", 1, "client.test"), ("A", "127.0.0.1")]})
    qid = m.send(rcpts="bob@nowhere.example")
    m.wait_log(rf"{qid}: to=<bob@nowhere\.example>, relay=none, .*dsn=5\.4\.4, status=bounced \(Host or domain name not found\. "
               r"Name service error for name=nowhere\.example type=A+: Host not found\)")
    assert s.wait(1)[0].rcpts == ["alice@client.test"]


def test_the_null_mx_bounces():
    s, d, m = world({"example.org": [("MX", 0, ".")], "client.test": [("A", "127.0.0.1")]})
    qid = m.send()
    m.wait_log(rf"{qid}: .*dsn=5\.1\.0, status=bounced \(Domain example\.org does not accept mail \(nullMX\)\)")


def test_a_broken_name_server_defers_and_never_bounces():
    for trouble in ("SERVFAIL", "DROP", "REFUSED"):
        s, d, m = world({"example.org": trouble})
        qid = m.send()
        m.wait_log(rf"{qid}: to=<bob@example\.org>, relay=none, .*dsn=4\.4\.3, status=deferred \(Host or domain name not found\. "
                   r"Name service error for name=example\.org type=MX: Host not found, try again\)")
        m.no_log("status=bounced")


def test_a_broken_lookup_of_the_mx_host_defers():
    s, d, m = world({"example.org": [("MX", 10, "mx.example.org")], "mx.example.org": "SERVFAIL"})
    qid = m.send()
    m.wait_log(rf"{qid}: .*dsn=4\.4\.3, status=deferred")


def test_malformed_records_are_ignored():
    s, d, m = world({"example.org": [("MX", 10, "mx.example.org")], "mx.example.org": [("A", "127.0.0.1")]})
    import dnsd
    usual = dnsd.rdata
    d.zone["example.org"] = [("TXT", "x")] + d.zone["example.org"]
    dnsd.rdata = lambda kind, *v: b"\0" if kind == "MX" and v[0] == 99 else usual(kind, *v)
    d.zone["example.org"].append(("MX", 99, "short"))
    qid = m.send()
    m.wait_log(rf"{qid}: to=<bob@example\.org>, .*status=(sent|deferred)")
    m.no_log("status=bounced")


def test_address_literals_need_no_names():
    s, d, m = world({}, host="127.0.0.5")
    qid = m.send(rcpts="bob@[127.0.0.5]")
    s.wait(1)
    m.wait_log(rf"{qid}: to=<bob@\[127\.0\.0\.5\]>, relay=127\.0\.0\.5\[127\.0\.0\.5\]:{s.port}, .*status=sent")


def test_own_host_as_best_mx_is_a_loop():
    s, d, m = world({"example.org": [("MX", 10, "mx.test"), ("MX", 20, "other.test")], "mx.test": [("A", "127.0.0.1")],
                     "other.test": [("A", "127.0.0.1")], "client.test": [("A", "127.0.0.1")]})
    qid = m.send()
    m.wait_log(rf"{qid}: .*dsn=5\.4\.6, status=bounced \(mail for example\.org loops back to myself\)")


def test_a_client_is_called_by_its_name_if_it_leads_back():
    s, d, m = world({"7.0.0.127.in-addr.arpa": [("PTR", "liar.example.org")], "liar.example.org": [("A", "192.0.2.1")]},
                    mynetworks="127.0.0.0/8")
    t = m.talk(source=("127.0.0.7", 0)).greet()
    t.quit()
    m.wait_log(r"connect from (unknown|localhost)\[127\.0\.0\.7\]")


def test_a_frozen_resolver_delays_nobody_for_long():
    import signal, time
    s, d, m = world({})
    m.kill("resolver", signal.SIGSTOP)
    t0 = time.time()
    t = m.talk(source=("127.0.0.8", 0)); t.greet(); t.quit()
    assert time.time() - t0 < 3


def test_the_resolver_lives_with_the_settings_of_the_system():
    """No forwarders of its own: /etc/resolv.conf, or none at all.  A name that the library answers by itself."""
    m = house.Postroad(dns_timeout="2s")
    qid = m.send(sender="", rcpts="bob@nosuch.invalid")
    m.wait_log(rf"{qid}: to=<bob@nosuch\.invalid>, .*status=(bounced|deferred) \(Host or domain name not found")
    m.no_log(r"resolver pid \d+ killed")
