# SPDX-License-Identifier: Apache-2.0
"""Many who come to stay: idle sessions and slow ones.  The long form is tests/torture/crowd.py."""
import os, socket, sys, time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "torture"))
import crowd, house, sink


def test_a_good_client_is_served_among_many_idle_and_slow_ones():
    r = crowd.hold(1000, 100, 40, 0.1)
    assert float(r["(worst)"]) < 5000 and float(r[" (worst)"]) < 15000, r
    if not os.path.realpath(house.BIN).rstrip("/").endswith("asan/bin"):
        assert r["bytes a session"] < 16384, r


def test_a_crowd_that_was_sent_away_is_missed():
    crowd.control()


def ending(t, text):
    """Send a byte of text every 0.2 s until the server has had enough; how long that was, and what it said."""
    began, heard = time.monotonic(), b""
    t.sock.settimeout(0.2)
    for n in range(len(text)):
        try:
            t.raw(text[n:n + 1])
            more = t.sock.recv(4096)
            if not more:
                break
            heard += more
        except socket.timeout:
            pass
        except OSError:
            break
    return time.monotonic() - began, heard.decode()


def test_a_byte_now_and_then_does_not_keep_a_session_open():
    s = sink.Sink()
    m = house.Postroad(sink=s, smtpd_timeout="2s")
    t = m.talk().greet()
    took, said = ending(t, b"MAIL FROM:<" + b"a" * 200)
    assert 1.5 < took < 20 and said.startswith("421 4.4.2 "), (took, said)
    t = m.talk().greet()
    t.put("MAIL FROM:<a@b.test>"); t.expect("250")
    t.put("RCPT TO:<bob@example.org>"); t.expect("250")
    t.put("DATA"); t.expect("354")
    took, said = ending(t, b"Subject: x\r\n\r\n" + b"y" * 200)
    assert 1.5 < took < 20 and (said == "" or said.startswith("421 4.4.2 ")), (took, said)
    t = m.talk().greet()                         # a pause is none of this
    t.put("MAIL FROM:<a@b.test>"); t.expect("250")
    time.sleep(1.2)
    t.put("RCPT TO:<bob@example.org>"); t.expect("250")
    time.sleep(1.2)
    t.quit()
    m.empty()
    assert not s.messages and len(m.log().split("timeout after ")) >= 3, m.log()


for fn in (test_a_good_client_is_served_among_many_idle_and_slow_ones, test_a_byte_now_and_then_does_not_keep_a_session_open):
    fn.slow = 8
