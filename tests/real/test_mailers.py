# SPDX-License-Identifier: Apache-2.0
"""Programs that hand in mail, as people use them; each message is looked at where it arrived."""
import re

import machine


def arrived(m, subject, user="bob"):
    """The message with this subject in the user's mailbox."""
    m.wait_for(f"grep -qi '^Subject: {subject}' /var/mail/{user}")
    for text in re.split(r"(?m)^(?=From \S+ )", m.get(f"/var/mail/{user}")):
        if re.search(rf"(?mi)^Subject: {subject}", text):
            return text


def test_cron(m):
    m.put("/etc/cron.d/once", "MAILTO=bob\n@reboot alice echo said by a job; echo and complained of >&2\n")
    m.sh("systemctl start cron")
    got = arrived(m, "Cron <alice@host>")
    assert "said by a job\n" in got and "and complained of\n" in got, got
    assert re.search(r"(?m)^From: root@host\.example\.net \(Cron Daemon\)$", got) and "X-Cron-Env: <MAILTO=bob>" in got, got
    assert got.startswith("From alice@host.example.net "), got


def test_cron_by_hand(m):
    m.sh("printf 'Subject: by hand\\nTo: root\\n\\ncaf\\303\\251\\n.\\nafter a dot\\n' | /usr/sbin/sendmail -FCronDaemon -i -B8BITMIME -oem root")
    got = arrived(m, "by hand", "root")
    assert "caf\u00e9\n.\nafter a dot\n" in got and "From: CronDaemon <root@host.example.net>" in got, got


def test_bsd_mailx(m):
    m.sh("echo how are you | mail -s 'by mail' -c alice bob", user="alice")
    got = arrived(m, "by mail")
    assert re.search(r"(?m)^From: alice@host\.example\.net$", got) and "Cc: <?alice@host" and "how are you\n" in got, got
    assert "how are you" in arrived(m, "by mail", "alice")
    assert "by mail" in m.sh("printf 'h\\nx\\n' | mail", user="bob")


def test_s_nail(m):
    m.sh("printf '\\001\\002' >blob; echo with a file | s-nail -s 'by s-nail' -a blob -r alice@elsewhere.example bob", user="alice")
    got = arrived(m, "by s-nail")
    assert got.startswith("From alice@elsewhere.example ") and "AQI=" in got and "multipart/mixed" in got, got


def test_mutt(m):
    m.sh("echo of m\u00fcsli | mutt -s 'by mutt \u00fc' -- bob alice", user="alice")
    got = arrived(m, "by mutt =")
    assert re.search(r"(?m)^To: bob@host\S*, alice@host", got), got
    assert "of m\ufffdsli" in got and "charset=iso-8859-1" in got or "of m\u00fcsli" in got, got


def test_swaks(m):
    said = m.sh("swaks --server 127.0.0.1 --ehlo client.example --from carol@client.example --to bob@host.example.net,alice@host.example.net "
                "--h-Subject 'by swaks' --body 'line one\\n.line two'")
    assert re.search(r"<-  250 2\.0\.0 Ok: queued as [0-9A-F]{12,16}", said), said
    got = arrived(m, "by swaks")
    assert "line one\n.line two\n" in got and "from client.example (localhost [127.0.0.1])" in got, got
    said = m.sh("swaks --server 127.0.0.1 --from carol@client.example --to nobody-here@host.example.net", check=False)
    assert "<** 550 5.1.1 <nobody-here@host.example.net>" in said, said


def test_git_send_email(m):
    m.sh("git init -q r && cd r && git config user.name Alice && git config user.email alice@host.example.net && echo 1 >a && git add a && "
         "git commit -qm 'one change' && echo From here >>a && git commit -qam 'another change' && git format-patch -q -2 --cover-letter "
         "&& sed -i 's/\\*\\*\\* SUBJECT HERE \\*\\*\\*/by git/;s/\\*\\*\\* BLURB HERE \\*\\*\\*/blurb/' 0000*", user="alice")
    m.sh("cd r && git send-email --quiet --confirm=never --to=bob@host.example.net *.patch", user="alice")
    first, last = arrived(m, r".PATCH 0/2. by git"), arrived(m, r".PATCH 2/2. another change")
    assert re.search(r"(?m)^From: Alice <alice@host\.example\.net>", first), first
    assert re.search(r"(?m)^In-Reply-To: <(\S+)>", last)[1] in first
    assert "+From here\n" in last, last
    m.sh("cd r && git send-email --quiet --confirm=never --smtp-server=127.0.0.1 --subject-prefix=SMTP --to=bob@host.example.net -1", user="alice")
    assert "+From here\n" in arrived(m, ".SMTP. another change")


def test_check_mailq(m):
    plugin = "PERL5LIB=/usr/lib/nagios/plugins /opt/unpacked/usr/lib/nagios/plugins/check_mailq -M postfix -w 1 -c 5"
    assert m.sh(plugin).startswith("OK: postfix mailq reports queue is empty"), m.sh(plugin)
    m.sh("for n in 1 2 3; do echo hello | sendmail someone@far.example; done")
    m.wait_for("mailq | grep -q '3 Requests'", 60)
    said = m.sh(plugin, check=False)
    assert m.status == 1 and said.startswith("WARNING: postfix mailq is 3 "), said
    m.sh("postsuper -d ALL")
    m.wait_for("mailq | grep -q 'queue is empty'")
