# SPDX-License-Identifier: Apache-2.0
"""Programs that read the log, over our own log of a run with deliveries, deferrals, returns and refusals: none finds a line that
it does not know."""
import re

import machine

SERVER = r'''
import socketserver
class Peer(socketserver.StreamRequestHandler):
    def handle(self):
        put = lambda s: self.wfile.write(s + b"\r\n")
        put(b"220 far.example ESMTP")
        data = False
        for line in self.rfile:
            line = line.rstrip(b"\r\n")
            word = line[:4].upper()
            if data:
                if line == b".":
                    data = False
                    put(b"250 2.0.0 Ok: taken")
            elif word == b"EHLO": put(b"250-far.example\r\n250-PIPELINING\r\n250 8BITMIME")
            elif word == b"RCPT" and b"later@" in line: put(b"450 4.2.0 come back later")
            elif word == b"RCPT" and b"never@" in line: put(b"550 5.1.1 no such user")
            elif word == b"DATA": data = True; put(b"354 go on")
            elif word == b"QUIT": put(b"221 bye"); return
            else: put(b"250 2.0.0 Ok")
class Server(socketserver.ThreadingTCPServer): allow_reuse_address = True
Server(("127.0.0.1", 2525), Peer).serve_forever()
'''
LOG = "/var/log/mail.log"


def begin():
    m = machine.Machine()
    m.put("/root/server.py", SERVER)
    m.sh("systemd-run -q --unit far python3 /root/server.py")
    m.sh(f"touch {LOG}; cat >>/etc/postroad/main.cf", stdin=f"syslog_name = postfix\nmaillog_file = {LOG}\nrelayhost = [127.0.0.1]:2525\n"
         "mynetworks = 127.0.0.1/32\nbounce_queue_lifetime = 1d\n")
    m.sh("systemctl restart postroad")
    m.sh(f"systemd-run -q --unit exporter /opt/unpacked/usr/bin/prometheus-postfix-exporter --postfix.logfile_path={LOG} "
         "--postfix.showq_path=/var/spool/postroad/public/showq --web.listen-address=127.0.0.1:9154")
    m.wait_for("curl -s 127.0.0.1:9154/metrics | grep -q ^postfix_")
    a_day(m)
    return m


def a_day(m):
    """What happens in the log: 3 arrive far away, 2 here, 2 wait, 1 comes back, 3 are refused."""
    swaks = "swaks --silent 3 --server 127.0.0.1 --ehlo client.example --from alice@host.example.net"
    for n in range(3):
        m.sh(f"{swaks} --to friend{n}@far.example")
    m.sh("printf 'Subject: x\\n\\nhello\\n' | sendmail bob alice", user="bob")
    for n in range(2):
        m.sh(f"{swaks} --to later@far.example")
    m.sh(f"{swaks} --to never@far.example")
    for n in range(2):
        m.sh(f"{swaks} --to nobody{n}@host.example.net", check=False)
    m.sh(f"{swaks} --local-interface 127.0.0.2 --to someone@other.example", check=False)
    m.sh("(sleep 0.5; printf 'EHLO x\\r\\n'; sleep 0.3; printf 'FOO\\r\\n'; sleep 0.3) | nc -N 127.0.0.1 25")
    m.sh("(sleep 0.5; printf 'EHLO x\\r\\n'; sleep 0.3; printf 'MAIL FROM:<a@b.example>\\r\\n'; sleep 0.3) | nc -q 0 127.0.0.1 25")
    m.sh("systemctl reload postroad; postqueue -f; postsuper -h ALL; postsuper -H ALL")
    m.wait_for(f"grep -q 'status=bounced' {LOG} && test $(grep -c status=sent {LOG}) -ge 6 -a $(grep -c status=deferred {LOG}) -ge 2")
    m.sh("sleep 1")


def test_fail2ban(m):
    said = m.sh(f"fail2ban-regex {LOG} 'postfix[mode=more]'")
    refused = len(re.findall(r"NOQUEUE: reject: RCPT from \S+: (550 5\.1\.1|554 5\.7\.1)", m.get(LOG)))
    lost = len(re.findall(r"lost connection after \S+ from", m.get(LOG)))
    assert refused == 3 and "Failregex: 3 total" in said, said
    aggressive = m.sh(f"fail2ban-regex {LOG} 'postfix[mode=aggressive]'")
    assert lost > 0 and int(re.search(r"Failregex: (\d+) total", aggressive)[1]) >= 3 + lost, aggressive
    lines = m.get(LOG).count("\n")
    assert re.search(rf"(?m)^\|  \[{lines}\] ", said), "all time stamps are known: " + said


def test_pflogsumm(m):
    said = m.sh(f"pflogsumm --problems-first {LOG}")
    for number, what in ((6, "delivered"), (2, "deferred"), (1, "bounced"), (3, "rejected")):
        assert re.search(rf"(?m)^ *{number} +{what}", said), f"{number} {what}: {said[:1500]}"
    assert re.search(r"450 4\.2\.0 come back later|come back later", said) and "Relay access denied" in said, said


def test_logwatch(m):
    said = m.sh("logwatch --service postfix --range all --detail High --format text --output stdout")
    assert "Unmatched" not in said, said[said.index("Unmatched") - 200:]
    assert re.search(r"(?m)^ +3 +.*(Reject|5xx)", said) and re.search(r"(?m)^ +2 +Deferred", said) and \
        re.search(r"(?m)^ +1 +Bounced", said), said


def test_exporter(m):
    said = m.sh("curl -s 127.0.0.1:9154/metrics")
    for name, at_least in ((r'postfix_smtp_messages_processed_total\{status="sent"\}|postfix_smtp_status_deferred', 1),
                           ("postfix_smtpd_messages_rejected_total.*554", 1), ("postfix_qmgr_messages_inserted_receipients_count", 8),
                           ("postfix_smtpd_connects_total", 9)):
        found = re.search(rf"(?m)^(?:{name})\S* (\S+)$", said)
        assert found and float(found[1]) >= at_least, (name, said[:6000])
    # It does not read what these processes say, whoever's they are.
    unknown = dict(re.findall(r'(?m)^postfix_unsupported_log_entries_total\{service="(.*)"\} (\S+)$', said))
    assert set(unknown) <= {"bounce", "local", "master", "pickup", "postsuper"}, unknown
