# SPDX-License-Identifier: Apache-2.0
"""Dead and slow destinations, however many, never hold up the live ones."""
import socket, time

import house, sink
from dnsd import Dns


def silent_port():
    """A port that accepts connections (in the kernel) and never says a word."""
    l = socket.socket()
    l.bind(("127.0.0.1", 0))
    l.listen(4096)
    return l


def test_fifty_silent_destinations_and_a_live_one():
    s = sink.Sink()
    silent = silent_port()
    zone = {f"d{n}.dead.example": [("A", "127.0.0.1")] for n in range(50)}
    zone["live.example"] = [("A", "127.0.0.1")]
    d = Dns(zone)
    m = house.Postroad(dns=d, smtp_tcp_port=str(silent.getsockname()[1]), inet_protocols="ipv4", smtp_helo_timeout="20s",
                       default_transport="smtp", relay_domains="", master=[f"live unix - - n - 1 smtp -o smtp_tcp_port={s.port}"],
                       smtp_client_limit="100")
    t = m.talk().greet()
    for n in range(400):
        m.send(rcpts=f"x@d{n % 50}.dead.example", talk=t)
    time.sleep(1)
    m.settings["smtp_tcp_port"] = str(s.port)
    m.settings["relay_domains"] = "live.example"
    m.settings["relay_transport"] = "live"
    m.write_config(); m.reload()
    t0 = time.time()
    for n in range(100):
        m.send(rcpts=f"y{n}@live.example", talk=t if n < 0 else None)
    s.wait(100, 20)
    assert time.time() - t0 < 20
    silent.close()


def test_dead_relays_do_not_slow_a_live_one_on_the_same_agents():
    """Same transport, same agents: 30 destinations that refuse, 20 that hang, one that lives."""
    s = sink.Sink(lambda ses, at, text: None)
    zone = {f"d{n}.dead.example": [("A", "127.0.0.9")] for n in range(30)}           # refused: nothing listens there
    zone.update({f"h{n}.hang.example": [("A", f"127.0.0.{n + 50}")] for n in range(20)})
    zone["live.example"] = [("A", "127.0.0.1")]
    d = Dns(zone)
    hangers = []
    for n in range(20):
        l = socket.socket()
        l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        l.bind((f"127.0.0.{n + 50}", s.port)); l.listen(1024)
        hangers.append(l)
    m = house.Postroad(dns=d, smtp_tcp_port=str(s.port), inet_protocols="ipv4", smtp_helo_timeout="30s", smtp_client_limit="50", workers=1)
    t = m.talk().greet()
    for n in range(600):
        m.send(rcpts=f"x@d{n % 30}.dead.example" if n % 2 else f"x@h{n % 20}.hang.example", talk=t)
    t0 = time.time()
    for n in range(100):
        m.send(rcpts=f"y{n}@live.example", talk=t)
    s.wait(100, 20)
    assert time.time() - t0 < 15
    for l in hangers:
        l.close()


def test_a_destination_that_comes_back_gets_its_mail():
    s = sink.Sink()
    port = s.port
    s.close()
    m = house.Postroad(relayhost=f"[127.0.0.1]:{port}", minimal_backoff_time="1s", maximal_backoff_time="2s")
    for n in range(20):
        m.send(rcpts=f"r{n}@example.org")
    m.wait_log(r"connect to 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: Connection refused")
    s2 = sink.Sink(port=port)
    s2.wait(20, 30)
    m.empty()


def test_concurrency_to_one_destination_is_bounded():
    seen = {"now": 0, "most": 0}

    def count(ses, at, text):
        if at == "connect":
            seen["now"] += 1
            seen["most"] = max(seen["most"], seen["now"])
        if at == "quit":
            seen["now"] -= 1
        return 0.1 if at == "content" else None
    s = sink.Sink(count)
    m = house.Postroad(sink=s, smtp_destination_concurrency_limit="3", smtp_connection_cache_time_limit="5s")
    t = m.talk().greet()
    for n in range(40):
        m.send(rcpts=f"r{n}@example.org", talk=t)
    s.wait(40)
    assert seen["most"] <= 4, seen
