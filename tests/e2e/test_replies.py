# SPDX-License-Identifier: Apache-2.0
"""What smtpd answers: every reply of the table, word for word."""
import house, sink


def test_a_message_is_taken_step_by_step():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    m.talk()("""
        S: 220 mx.test ESMTP Postroad
        C: EHLO client.test
        S- 250-mx.test
        S- 250-PIPELINING
        S- 250-SIZE 10240000
        S- 250-VRFY
        S- 250-ENHANCEDSTATUSCODES
        S- 250-8BITMIME
        S- 250-DSN
        S- 250 SMTPUTF8
        C: MAIL FROM:<alice@client.test> SIZE=100 BODY=8BITMIME
        S: 250 2.1.0 Ok
        C: RCPT TO:<bob@example.org>
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: Subject: hello
        C:
        C: ..a dot
        C: .
        S: 250 2.0.0 Ok: queued as ????????????????
        C: QUIT
        S: 221 2.0.0 Bye
        EOF
    """)
    got = s.wait(1)[0]
    assert got.sender == "alice@client.test" and got.rcpts == ["bob@example.org"]
    assert got.content.endswith(b"Subject: hello\r\n\r\n.a dot\r\n"), got.content
    received = got.header("Received")
    assert received.startswith("from client.test (localhost [127.0.0.1]) by mx.test (Postroad) with ESMTP id "), received
    assert " for <bob@example.org>; " in received, received


def test_helo_is_the_plain_protocol():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    m.talk()("""
        S: 220 *
        C: HELO client.test
        S: 250 mx.test
        C: MAIL FROM:<>
        S: 250 2.1.0 Ok
        C: RCPT TO:<bob@example.org>
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 *
        C: .
        S: 250 2.0.0 Ok: queued as *
    """)
    assert " with SMTP id " in s.wait(1)[0].header("Received")


def test_every_command_has_its_replies():
    m = house.Postroad(relayhost="[127.0.0.1]:1", smtpd_hard_error_limit="1000", smtpd_soft_error_limit="1000")
    m.talk()("""
        S: 220 *
        C: EHLO
        S: 501 Syntax: EHLO hostname
        C: HELO
        S: 501 Syntax: HELO hostname
        C: RCPT TO:<bob@example.org>
        S: 503 5.5.1 Error: need MAIL command
        C: DATA
        S: 503 5.5.1 Error: need RCPT command
        C: EHLO client.test
        S: 250 *
        C: MAIL
        S: 501 5.5.4 Syntax: MAIL FROM:<address>
        C: MAIL TO:<a@b>
        S: 501 5.5.4 Syntax: MAIL FROM:<address>
        C: MAIL FROM:<a b@c.test>
        S: 501 5.1.7 Bad sender address syntax
        C: MAIL FROM:<a@c.test> SIZE=x
        S: 501 5.5.4 Bad message size syntax
        C: MAIL FROM:<a@c.test> SIZE=99999999999
        S: 552 5.3.4 Message size exceeds fixed limit
        C: MAIL FROM:<a@c.test> NONSENSE=1
        S: 555 5.5.4 Unsupported option: NONSENSE=1
        C: MAIL FROM:<a@c.test> BODY=9BIT
        S: 555 5.5.4 Unsupported option: BODY=9BIT
        C: MAIL FROM:<a@c.test> SIZE=100
        S: 250 2.1.0 Ok
        C: MAIL FROM:<a@c.test>
        S: 503 5.5.1 Error: nested MAIL command
        C: DATA
        S: 554 5.5.1 Error: no valid recipients
        C: RCPT
        S: 501 5.5.4 Syntax: RCPT TO:<address>
        C: RCPT TO:<>
        S: 501 5.1.3 Bad recipient address syntax
        C: RCPT TO:<bob@@example.org>
        S: 501 5.1.3 Bad recipient address syntax
        C: RCPT TO:<bob@example.org> NONSENSE
        S: 555 5.5.4 Unsupported option: NONSENSE
        C: RCPT TO:<bob@example.org>
        S: 250 2.1.5 Ok
        C: RSET
        S: 250 2.0.0 Ok
        C: DATA
        S: 503 5.5.1 Error: need RCPT command
        C: RSET now
        S: 501 5.5.4 Syntax: RSET
        C: NOOP whatever
        S: 250 2.0.0 Ok
        C: VRFY bob@example.org
        S: 252 2.0.0 bob@example.org
        C: VRFY
        S: 501 5.5.4 Syntax: VRFY address
        C: HELP
        S: 214 2.0.0 *
        C: EXPN staff
        S: 50? 5.5.* Error: command not *
        C: STARTTLS
        S: 502 5.5.1 Error: command not implemented
        C: AUTH PLAIN AGEAYg==
        S: 503 5.5.1 Error: authentication not enabled
        C: XYZZY
        S: 500 5.5.2 Error: command not recognized
        C: QUIT
        S: 221 2.0.0 Bye
        EOF
    """)


def test_the_settings_that_change_replies():
    m = house.Postroad(relayhost="[127.0.0.1]:1", smtpd_helo_required="yes", disable_vrfy_command="yes", smtpd_recipient_limit="2",
                       smtpd_banner="$myhostname says hello", smtpd_discard_ehlo_keywords="pipelining, vrfy", message_size_limit="5000")
    m.talk()("""
        S: 220 mx.test says hello
        C: MAIL FROM:<a@c.test>
        S: 503 5.5.1 Error: send HELO/EHLO first
        C: EHLO client.test
        S- 250-mx.test
        S- 250-SIZE 5000
        S- 250-ENHANCEDSTATUSCODES
        S- 250-8BITMIME
        S- 250-DSN
        S- 250 SMTPUTF8
        C: VRFY bob
        S: 502 5.5.1 VRFY command is disabled
        C: MAIL FROM:<a@c.test>
        S: 250 *
        C: RCPT TO:<r1@example.org>
        S: 250 *
        C: RCPT TO:<r2@example.org>
        S: 250 *
        C: RCPT TO:<r3@example.org>
        S: 452 4.5.3 Error: too many recipients
        C: QUIT
        S: 221 *
    """)


def test_delivery_report_and_utf8_parameters_have_their_replies():
    m = house.Postroad(relayhost="[127.0.0.1]:1", smtpd_hard_error_limit="100", smtpd_soft_error_limit="100")
    m.talk().greet()("""
        C: MAIL FROM:<a@c.test> RET=SOME
        S: 501 5.5.4 Bad RET parameter syntax
        C: MAIL FROM:<a@c.test> ENVID=a+00b
        S: 501 5.5.4 Bad ENVID parameter syntax
        C: MAIL FROM:<ä@c.test>
        S: 553 5.6.7 Must declare SMTPUTF8 to send unicode address
        C: MAIL FROM:<a@c.test> RET=HDRS ENVID=a+2Bb
        S: 250 2.1.0 Ok
        C: RCPT TO:<b@c.test> NOTIFY=NEVER,DELAY
        S: 501 5.5.4 Error: Bad NOTIFY parameter syntax
        C: RCPT TO:<b@c.test> ORCPT=rfc822;x+0Aevil
        S: 501 5.5.4 Error: Bad ORCPT parameter syntax
        C: RCPT TO:<b@c.test> RET=HDRS
        S: 555 5.5.4 Unsupported option: RET=HDRS
        C: RCPT TO:<ä@c.test>
        S: 553 5.6.7 Must declare SMTPUTF8 to send unicode address
        C: RCPT TO:<b@c.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob@c.test
        S: 250 2.1.5 Ok
        C: RSET
        S: 250 2.0.0 Ok
        C: MAIL FROM:<ä@c.test> SMTPUTF8
        S: 250 2.1.0 Ok
        C: RCPT TO:<ä@ä.test> ORCPT=utf-8;\\x{E4}@c.test
        S: 250 2.1.5 Ok
    """)
    m = house.Postroad(relayhost="[127.0.0.1]:1", smtpd_discard_ehlo_keywords="dsn, smtputf8")
    m.talk()("""
        S: 220 *
        C: EHLO client.test
        S- 250-mx.test
        S- 250-PIPELINING
        S- 250-SIZE 10240000
        S- 250-VRFY
        S- 250-ENHANCEDSTATUSCODES
        S- 250 8BITMIME
        C: MAIL FROM:<a@c.test> RET=HDRS
        S: 501 5.7.1 DSN support is disabled
        C: MAIL FROM:<a@c.test> SMTPUTF8
        S: 555 5.5.4 Unsupported option: SMTPUTF8
        C: MAIL FROM:<a@c.test>
        S: 250 2.1.0 Ok
        C: RCPT TO:<b@c.test> NOTIFY=NEVER
        S: 501 5.7.1 DSN support is disabled
    """)


def test_strangers_may_not_relay():
    m = house.Postroad(relayhost="[127.0.0.1]:1", mynetworks="192.0.2.0/24", relay_domains="ours.test")
    t = m.talk()
    t("""
        S: 220 *
        C: EHLO stranger.test
        S: 250 *
        C: MAIL FROM:<eve@stranger.test>
        S: 250 *
        C: RCPT TO:<bob@example.org>
        S: 554 5.7.1 <bob@example.org>: Relay access denied
        C: RCPT TO:<bob%example.org@ours.test>
        S: 554 5.7.1 *
        C: RCPT TO:<@ours.test:bob@example.org>
        S: 554 5.7.1 <bob@example.org>: Relay access denied
        C: DATA
        S: 554 5.5.1 Error: no valid recipients
        C: RCPT TO:<bob@ours.test>
        S: 250 *
        C: RCPT TO:<bob@sub.ours.test>
        S: 250 *
        C: QUIT
        S: 221 *
    """)
    m.wait_log(r"/smtpd\[\d+\]: NOQUEUE: reject: RCPT from localhost\[127\.0\.0\.1\]: 554 5\.7\.1 <bob@example\.org>: Relay access denied; "
               r"from=<eve@stranger\.test> to=<bob@example\.org> proto=ESMTP helo=<stranger\.test>$")
    m.wait_log(r"disconnect from localhost\[127\.0\.0\.1\] ehlo=1 mail=1 rcpt=2/5 data=0/1 quit=1 commands=5/9$")


def test_errors_have_a_budget():
    m = house.Postroad(relayhost="[127.0.0.1]:1", smtpd_soft_error_limit="3", smtpd_hard_error_limit="5", smtpd_error_sleep_time="1s")
    t = m.talk().greet()
    for _ in range(4):
        t.put("WIZ"); t.expect("500")
    t.put("WIZ")
    assert "421 4.7.0 mx.test Error: too many errors" == t.reply() or t.reply() == "421 4.7.0 mx.test Error: too many errors"
    m.wait_log(r"too many errors after UNKNOWN from localhost\[127\.0\.0\.1\]")


def test_junk_commands_have_a_budget():
    m = house.Postroad(relayhost="[127.0.0.1]:1", smtpd_junk_command_limit="10", smtpd_error_sleep_time="0s")
    t = m.talk().greet()
    for n in range(200):
        t.put("NOOP")
        if t.reply().startswith("421"):
            break
    assert 10 < n < 60, n


def test_a_web_browser_is_shown_the_door():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    m.talk()("""
        S: 220 *
        C: GET / HTTP/1.1
        S: 221 2.7.0 Error: I can break rules, too. Goodbye.
        EOF
    """)


def test_who_speaks_first_is_not_a_mail_server():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    t = m.talk().greet()
    t.raw(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: too early\r\n\r\n.\r\n")
    got = [t.reply() for _ in range(3)]
    assert got[-1].startswith("554 5.5.0") or got[-1].startswith("503 5.5.0"), got


def test_long_lines_are_refused_with_bounded_memory():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    t = m.talk().greet()
    t.raw(b"A" * 300000 + b"\r\nNOOP\r\n")
    t.expect("500 5.5.2")
    t.expect("250")


def test_a_silent_client_is_timed_out():
    m = house.Postroad(relayhost="[127.0.0.1]:1", smtpd_timeout="1s")
    t = m.talk().greet()
    t.expect("421 4.4.2 mx.test Error: timeout exceeded")
    m.wait_log(r"timeout after EHLO from localhost\[127\.0\.0\.1\]")


def test_a_client_that_hangs_up_is_logged():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    t = m.talk().greet()
    t.put("MAIL FROM:<a@b.test>"); t.expect("250"); t.close()
    m.wait_log(r"lost connection after MAIL from localhost\[127\.0\.0\.1\]")
    m.wait_log(r"disconnect from localhost\[127\.0\.0\.1\] ehlo=1 mail=1 commands=2$")


def test_connections_of_one_client_are_counted_over_all_workers():
    m = house.Postroad(relayhost="[127.0.0.1]:1", smtpd_client_connection_count_limit="3", smtpd_client_event_limit_exceptions="")
    open_ones = [m.talk().greet() for _ in range(3)]
    m.talk()("""
        S: 421 4.7.0 mx.test Error: too many connections from 127.0.0.1
        EOF
    """)
    for t in open_ones:
        t.quit()
    house.wait_until(lambda: m.talk().reply().startswith("220"))


def test_loops_are_found_by_counting():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    t = m.talk().greet()
    t.put("MAIL FROM:<a@b.test>"); t.expect("250")
    t.put("RCPT TO:<c@d.test>"); t.expect("250")
    t.put("DATA"); t.expect("354")
    t.raw(b"Received: from x by y; today\r\n" * 51 + b"\r\n.\r\n")
    t.expect("554 5.4.0 Error: too many hops")


def test_a_full_disk_is_a_452_and_the_connection_lives():
    m = house.Postroad(relayhost="[127.0.0.1]:1", queue_minfree="1000000000000000")
    m.talk().greet()("""
        C: MAIL FROM:<a@b.test>
        S: 452 4.3.1 Insufficient system storage
        C: NOOP
        S: 250 2.0.0 Ok
        C: MAIL FROM:<b@b.test>
        S: 452 4.3.1 Insufficient system storage
    """)
    m.wait_log("NOQUEUE: reject: MAIL .* 452 4.3.1", 2)
    assert m.log().count("not enough free space in mail queue") == 1


def test_failing_disk_calls_never_earn_a_250():
    for call, want in (("fsync:1+:EIO", "451 4.3.0"), ("write:1+:ENOSPC", "452 4.3.1")):
        m = house.Postroad(relayhost="[127.0.0.1]:1", spool_sync="fsync", start=False)
        m.env["POSTROAD_FAULT"] = f"smtpd:{call}"
        m.start()
        t = m.talk().greet()
        t.put("MAIL FROM:<a@b.test>"); t.expect("250")
        t.put("RCPT TO:<c@d.test>"); t.expect("250")
        t.put("DATA"); t.expect("354"); t.raw(b"x: y\r\n\r\nz\r\n.\r\n")
        t.expect(want)
        t.put("NOOP"); t.expect("250")
        assert not m.files(), call
