# SPDX-License-Identifier: Apache-2.0
"""All sessions are taken, or the memory for them: who holds them is shown out, who comes is served (Postfix's STRESS_README)."""
import re, resource, time

import house, sink

SHORT = 2                                        # smtpd_timeout under overload here, in seconds
MARK, ALL = 15, 20                               # 3/4 of all sessions, all sessions


def world(client_limit=10, workers=2, **settings):
    s = sink.Sink()
    settings = {"smtpd_timeout": "${stress?{%d}:{300}}s" % SHORT, "smtpd_stress_time": "1s", "smtpd_error_sleep_time": "0", "smtpd_client_connection_count_limit": "0",
                "mynetworks": "127.0.0.1/32", "relay_domains": "example.org", "relay_transport": "smtp",
                "worker_processes": str(workers), **settings}
    m = house.Postroad(sink=s, smtpd_client_limit=str(client_limit), workers=workers, **settings)
    return s, m


def stranger(m, timeout=20): return m.talk(timeout=timeout, source=("127.0.0.2", 0))
def crowd(m, n): return [stranger(m).greet("crowd.test") for _ in range(n)]


def begins(m): return m.wait_log(r'warning: service "[^"]+" is overloaded: (\d+) sessions of (\d+), ', 1)[0]
def ends(m): return m.wait_log(r'service "[^"]+" is no longer overloaded after (\d+) s: ', 1)[0]


def until_closed(t):
    """What is said to who waits, and how long it took until the end."""
    began = time.monotonic()
    said = t.reply()
    assert t.file.readline() == b""
    return said, time.monotonic() - began


def test_who_holds_all_sessions_does_not_keep_others_out():
    s, m = world()
    held = crowd(m, ALL)
    began = time.monotonic()
    t = stranger(m, timeout=SHORT + 8).greet()           # waits in the kernel until there is room
    took = time.monotonic() - began
    assert took < SHORT + 5, took
    m.send(talk=t)
    t.quit()
    s.wait(1)
    for h in held:
        assert until_closed(h)[0] == "421 4.4.2 mx.test Error: timeout exceeded"
    m.wait_log("timeout after EHLO from", ALL)
    ends(m)
    # One line for both processes, with numbers.
    first = begins(m)
    assert MARK <= int(first[1]) <= int(first[2]) == ALL, first[0]
    assert len(re.findall("is overloaded", m.log())) == 1 == len(re.findall("is no longer overloaded", m.log())), m.log()


def test_a_byte_now_and_then_and_content_that_does_not_come_do_not_hold_a_session_either():
    s, m = world(smtpd_stress_time="10s")
    drip, content = crowd(m, 2)
    for line, code in (("MAIL FROM:<a@b.test>", "250"), ("RCPT TO:<bob@example.org>", "250"), ("DATA", "354")):
        content.put(line); content.expect(code)
    drip.raw(b"MAIL FROM:<a")
    held = crowd(m, MARK - 2)
    began = time.monotonic()
    begins(m)
    drip.sock.settimeout(0.3)
    said = b""
    while not said and time.monotonic() < began + 15:
        drip.raw(b"a")
        try:
            said = drip.sock.recv(1000)
        except TimeoutError:
            pass
    assert said.startswith(b"421 4.4.2") and time.monotonic() - began < SHORT + 5, (said, time.monotonic() - began)
    assert content.reply().startswith("421 4.4.2") and time.monotonic() - began < SHORT + 5
    m.wait_log(r"timeout after DATA content \(0 bytes\)|timeout after DATA \(0 bytes\)")
    assert all(h.reply().startswith("421 4.4.2") for h in held)
    m.empty()
    assert not s.messages


def test_strangers_have_less_patience_shown_and_permitted_clients_do_not():
    s, m = world(client_limit=ALL, workers=1, smtpd_stress_time="30s", smtpd_timeout="${stress?{4}:{300}}s")
    friend = m.talk().greet()
    held = crowd(m, MARK)
    begins(m)
    for errors in (0, 3):                                # smtpd_hard_error_limit 1, smtpd_junk_command_limit 1
        t = stranger(m).greet()
        if errors:
            t("C: RSET\nS: 250 *\nC: RSET\nS: 250 *\nS: 421 4.7.0 mx.test Error: too many errors\nEOF")
        else:
            t("C: FROB\nS: 500 *\nS: 421 4.7.0 mx.test Error: too many errors\nEOF")
    t = stranger(m).greet()                              # an RSET before mail is what many clients say
    t.put("RSET"); t.expect("250")
    m.send(talk=t)
    for h in held:
        assert h.reply().startswith("421 4.4.2")
    for word in ("FROB", "RSET", "FROB", "RSET"):
        friend.put(word); friend.expect("250" if word == "RSET" else "500")
    m.send(talk=friend)
    friend.quit()
    s.wait(2)


def test_not_even_permitted_clients_can_hold_all_sessions():
    s, m = world(smtpd_stress_time="10s")
    held = [m.talk().greet() for _ in range(MARK)]
    begins(m)
    time.sleep(SHORT + 2)                                # by now strangers would be gone
    for h in held:
        h.put("NOOP"); h.expect("250")
    held += [m.talk().greet() for _ in range(ALL - MARK)]
    t = stranger(m, timeout=SHORT + 8).greet()
    m.send(talk=t)
    s.wait(1)
    assert {h.reply()[:9] for h in held} == {"421 4.4.2"}


def test_it_is_over_when_they_have_gone_and_not_before():
    _, m = world(client_limit=ALL, workers=1, smtpd_stress_time="3s")
    held = crowd(m, MARK)
    begins(m)
    for h in held:
        h.close()
    gone = time.monotonic()
    t = stranger(m).greet()
    t("C: FROB\nS: 500 *\nS: 421 4.7.0 *\nEOF")
    ends(m)
    assert time.monotonic() - gone > 2.5
    t = stranger(m).greet()
    t.put("FROB"); t.expect("500"); t.put("NOOP"); t.expect("250")
    time.sleep(SHORT + 1.5)                              # the timeout is the long one again
    t.quit()


def test_what_is_set_holds_always():
    _, m = world(stress="")
    held = crowd(m, ALL - 1)
    time.sleep(SHORT + 1.5)
    t = stranger(m).greet()
    t.put("FROB"); t.expect("500"); t.quit()
    for h in held:
        h.quit()
    m.no_log("overloaded")
    _, m = world(stress="yes")
    t = stranger(m).greet()
    t("C: FROB\nS: 500 *\nS: 421 4.7.0 *\nEOF")


def test_a_service_of_single_sessions_counts_its_processes():
    _, m = world(client_limit=1, workers=5, worker_processes="1", smtpd_stress_time="10s")
    held = crowd(m, 3)                                   # three processes that are full, of five
    time.sleep(1.5)
    m.no_log("overloaded")
    held += crowd(m, 1)
    assert begins(m)[2] == "5"
    for h in held:
        assert h.reply().startswith("421 4.4.2")


def test_a_smaller_number_of_sessions_can_be_said_to_be_an_overload():
    _, m = world(smtpd_stress_limit="3", smtpd_stress_time="10s")
    held = crowd(m, 2)
    time.sleep(1.5)
    m.no_log("overloaded")
    held += crowd(m, 1)
    assert begins(m)[1] == "3"
    assert all(h.reply().startswith("421 4.4.2") for h in held)


def test_settings_that_are_wrong_under_overload_only_are_found_at_the_start():
    m = house.Postroad(start=False, smtpd_timeout="${stress?{soon}:{300}}s")
    m.run("start", check=False)
    assert m.status != 0 and 'smtpd_timeout: with stress = yes: not a time: "soons"' in m.said, m.said


# -- memory --

def recipients(n, long=450): return b"".join(b"RCPT TO:<r%d@example.org> NOTIFY=NEVER ORCPT=rfc822;%s%d@x.test\r\n" % (n_, b"o" * long, n_) for n_ in range(n))


def rss(m):
    with open(f"/proc/{m.processes()['smtpd'][0]}/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def answers(t, n):
    """The replies to n commands sent at once, by code."""
    found = {}
    for _ in range(n):
        code = t.reply()[:3]
        found[code] = found.get(code, 0) + 1
    return found


def test_all_sessions_together_have_a_bound_of_memory():
    limit, each = 4 << 20, 500
    s, m = world(client_limit=100, workers=1, smtpd_memory_limit=str(limit), smtpd_timeout="300s", smtpd_hard_error_limit="20")
    m.send()
    before = rss(m)
    held, taken, refused = [], 0, 0
    for _ in range(30):                                  # some MB for each, were there no bound
        t = stranger(m).greet()
        t.put("MAIL FROM:<a@b.test> SIZE=1000")
        said = t.reply()
        if said.startswith("452 4.3.1"):
            refused += 1
            t.quit()
            continue
        assert said.startswith("250"), said
        t.raw(recipients(each))
        got = answers(t, each)
        assert set(got) <= {"250", "452"}, got
        taken += got.get("250", 0)
        refused += got.get("452", 0)
        held.append((t, got.get("250", 0)))
    assert taken >= each and refused > 20, (taken, refused)
    m.wait_log(r"warning: messages under way take \d+ bytes, smtpd_memory_limit is 4194304: new ones are put off")
    m.wait_log(r"NOQUEUE: reject: MAIL from \S+: 452 4\.3\.1 ")
    for t, n in held:                                    # who has recipients may send to them
        if n:
            t.put("DATA"); t.expect("354")
            t.raw(b"Subject: x\r\n\r\n" + b"y" * 70 + b"\r\n")
    grown = rss(m) - before
    if "/asan/" not in house.BIN:
        assert grown < 2 * limit, grown
    sent = 0
    for t, n in held:
        if n:
            t.raw(b".\r\n"); t.expect("250 2.0.0")
            sent += n
        t.quit()
    assert sent == taken
    m.send()                                             # and there is room again
    m.empty(60)
    told = [x for x in s.messages if x.rcpts[0].startswith("postmaster@")]     # of class resource
    assert told and sum(len(x.rcpts) for x in s.messages) == taken + 2 + len(told), (taken, len(told))
    m.empty()
    m.no_log("panic|assert")


def test_who_holds_the_memory_is_shown_out():
    s, m = world(client_limit=100, workers=1, smtpd_memory_limit=str(1 << 20), smtpd_stress_time="10s", smtpd_timeout="${stress?{4}:{300}}s")
    held = []
    for _ in range(10):
        t = stranger(m).greet()
        t.put("MAIL FROM:<a@b.test>")
        if t.reply().startswith("250"):
            t.raw(recipients(200))
            assert set(answers(t, 200)) <= {"250", "452"}
        held.append(t)
    friend = m.talk().greet()
    friend.put("MAIL FROM:<a@b.test>"); friend.expect("452 4.3.1")
    begins(m)
    assert {h.reply()[:9] for h in held} == {"421 4.4.2"}
    m.send(talk=m.talk().greet())
    s.wait(1)


def test_content_goes_to_disk_when_memory_runs_short():
    limit = 4 << 20
    s, m = world(client_limit=100, workers=1, smtpd_memory_limit=str(limit), smtpd_timeout="300s", smtpd_hard_error_limit="20")
    m.send()
    before = rss(m)
    body = b"Subject: x\r\n\r\n" + (b"z" * 76 + b"\r\n") * 1400       # 109 kB: as a rule kept in memory to its end
    held, refused = [], 0
    for n in range(60):
        t = stranger(m).greet()
        t.put("MAIL FROM:<a@b.test>")
        if t.reply().startswith("452 4.3.1"):
            refused += 1
            t.quit()
            continue
        t.put("RCPT TO:<bob@example.org>"); t.expect("250")
        t.put("DATA"); t.expect("354")
        t.raw(body)
        held.append(t)
    assert len(held) >= 50, (len(held), refused)         # they do not take the room of those who come
    house.wait_until(lambda: len(m.files("incoming")) >= 20)
    if "/asan/" not in house.BIN:
        assert rss(m) - before < 2 * limit, rss(m) - before
    for t in held:
        t.raw(b".\r\n"); t.expect("250 2.0.0"); t.quit()
    s.wait(1 + len(held), 60)
    assert all(x.content.endswith(body) for x in s.messages[1:]), "content changed"
    m.empty()


for fn in (test_who_holds_all_sessions_does_not_keep_others_out, test_it_is_over_when_they_have_gone_and_not_before):
    fn.slow = 8
