# SPDX-License-Identifier: Apache-2.0
"""notify_classes policy, protocol, resource, software: the postmaster gets what was said in sessions with such errors."""
import house, sink


def world(classes, **settings):
    s = sink.Sink()
    m = house.Postroad(sink=s, notify_classes=classes, error_notice_recipient="watch@ops.test", workers=1, **settings)
    return s, m


def told(s, n=1):
    s.wait(n)
    msg = s.messages[n - 1]
    assert msg.rcpts == ["watch@ops.test"] and msg.sender == "double-bounce@mx.test", (msg.sender, msg.rcpts)
    return msg.content.decode().replace("\r\n", "\n")


def test_a_refusal_is_told_with_all_that_was_said():
    s, m = world("policy", mynetworks="192.0.2.0/24", relay_domains="")
    t = m.talk().greet()
    t.put("MAIL FROM:<a@b.test>"); t.expect("250")
    t.put("RCPT TO:<c@d.test>"); t.expect("554")
    t.put("AUTH PLAIN AGpvZQBzZWNyZXQ="); t.expect("503")
    t.put("VRFY \x01\xe9"); t.reply()
    t.quit()
    text = told(s)
    assert "\nSubject: Postroad SMTP server: errors from localhost[127.0.0.1]\n" in text, text
    assert "\nFrom: Mail Delivery System <MAILER-DAEMON@mx.test>\n" in text and "\nMessage-Id: <" in text and "\nDate: " in text
    said = text.split("\n\n")[2].split("\n")
    assert said[0].startswith("Out: 220 mx.test ") and said[1] == "In:  EHLO client.test", said
    at = said.index("In:  RCPT TO:<c@d.test>")
    assert said[at + 1].startswith("Out: 554 5.7.1 <c@d.test>: Relay access denied") and said[at + 2] == "In:  AUTH PLAIN", said
    assert said[-2:] == ["In:  QUIT", "Out: 221 2.0.0 Bye"] and "AGpvZQBz" not in text and "In:  VRFY ???" in said, said
    assert "because of: policy." in text
    m.empty()
    m.wait_log(r"transcript of the session with localhost\[127\.0\.0\.1\] sent to watch@ops\.test: [0-9A-F]{16}")
    # Without an error nothing is told.
    m.talk().greet().quit()
    m.empty()
    assert len(s.messages) == 1


def test_classes_that_nobody_asked_for_are_not_told():
    s, m = world("resource, software, protocol", mynetworks="192.0.2.0/24", relay_domains="")
    t = m.talk().greet()
    t.put("MAIL FROM:<a@b.test>"); t.expect("250")
    t.put("RCPT TO:<c@d.test>"); t.expect("554")
    t.quit()
    t = m.talk()
    t.expect("220"); t.put("FROB"); t.expect("500"); t.close()
    text = told(s)
    assert "In:  FROB" in text and "because of: protocol." in text and "RCPT" not in text
    m.empty()
    assert len(s.messages) == 1


def test_no_room_is_told_by_default():
    s = sink.Sink()
    m = house.Postroad(sink=s, queue_minfree=str(1 << 49), virtual_alias_domains="mx.test", virtual_alias_maps="static:watch@ops.test", workers=1)
    t = m.talk().greet()
    t.put("MAIL FROM:<a@b.test>"); t.expect("452")
    t.quit()
    s.wait(1)
    assert s.messages[0].rcpts == ["watch@ops.test"] and b"Out: 452 4.3.1 Insufficient system storage" in s.messages[0].content


def test_a_long_session_is_told_by_its_end():
    s, m = world("protocol", smtpd_hard_error_limit="10", smtpd_error_sleep_time="0", smtpd_junk_command_limit="5000")
    t = m.talk().greet()
    for n in range(1000):
        t.put(f"NOOP {n} " + "x" * 100); t.reply()
    t.put("FROB"); t.expect("500")
    t.quit()
    text = told(s)
    assert "earlier lines are left out)" in text and "In:  FROB" in text and "NOOP 999" in text and "NOOP 500 " not in text
    assert len(text) < 10000


def test_many_bad_sessions_do_not_make_as_many_mails():
    s, m = world("protocol")
    for _ in range(40):
        t = m.talk()
        t.expect("220"); t.put("FROB"); t.expect("500"); t.quit()
    s.wait(10)
    m.empty()
    assert 10 <= len(s.messages) < 30, len(s.messages)                       # a slow machine earns a few more
