# SPDX-License-Identifier: Apache-2.0
"""peerdefs -- how each peer is configured, started and stopped.  Profiles: default, tuned."""
import os, re, signal, time
from mtabench import Peer, PEERS, SINKPORT, SPOOL, HERE, MTA, sh


DEADPORT = 2526        # a sink there accepts connections and never greets, or is slow (group dead)


class Postfix(Peer):
    name, port, spooldir = "postfix", 2500, "/var/spool/postfix"
    DEFAULT = dict(compatibility_level="3.7", myhostname="mx.bench.test", mydestination="", inet_interfaces="127.0.0.1",
                   inet_protocols="ipv4", mynetworks="127.0.0.0/8", relayhost=f"[127.0.0.1]:{SINKPORT}",
                   smtpd_relay_restrictions="permit_mynetworks,reject", alias_maps="", alias_database="",
                   smtp_tls_security_level="", smtpd_tls_security_level="none", message_size_limit="104857600",
                   mailbox_size_limit="0", biff="no", header_size_limit="102400")
    TUNED = dict(default_process_limit="300", in_flow_delay="0", smtp_destination_concurrency_limit="100",
                 default_destination_concurrency_limit="100", initial_destination_concurrency="50",
                 smtp_connection_cache_destinations=f"[127.0.0.1]:{SINKPORT},127.0.0.1", smtpd_peername_lookup="no",
                 qmgr_message_active_limit="200000", qmgr_message_recipient_limit="200000", smtp_connection_reuse_count_limit="0",
                 max_use="10000", smtpd_client_connection_count_limit="0", smtp_dns_support_level="disabled",
                 smtp_host_lookup="native", minimal_backoff_time="300s", smtpd_delay_reject="no")

    def configure(self):
        c = dict(self.DEFAULT)
        if self.profile == "tuned": c.update(self.TUNED)
        o = self.opt
        if o.get("multi") or o.get("dead"): c.update(transport_maps="regexp:/etc/postfix/transport")
        if o.get("defer"): c.update(defer_transports="smtp,relay")
        if o.get("hold"): c.update(smtpd_data_restrictions="check_client_access static:HOLD")   # cleanup writes to hold/
        if o.get("tls") in ("in", "plain"):
            c.update(smtpd_tls_security_level="may", smtpd_tls_cert_file="/etc/bench.pem", smtpd_tls_key_file="/etc/bench.pem", smtpd_tls_loglevel="0",
                     smtpd_tls_session_cache_database="btree:${data_directory}/smtpd_scache" if self.profile == "tuned" else "")
            if o["tls"] == "plain": c.update(smtpd_tls_security_level="none")
        if o.get("tls") == "out":
            c.update(smtp_tls_security_level="may", smtp_tls_session_cache_database="btree:${data_directory}/smtp_scache")
        c.update(o.get("conf", {}))
        sh(f"cp {HERE}/bench.pem {self.tree}/etc/bench.pem; chmod 644 {self.tree}/etc/bench.pem")
        t = "".join(f"/@d{i}\\.rcpt\\.test$/ smtp:[127.0.0.{i + 1}]:{SINKPORT}\n" for i in range(50)) if o.get("multi") else ""
        t += "".join(f"/@d{i}\\.dead\\.test$/ smtp:[127.0.0.{i + 2}]:{DEADPORT}\n" for i in range(50)) if o.get("dead") else ""
        t += f"/@dead\\.test$/ smtp:[127.0.0.2]:{DEADPORT}\n" if o.get("dead") else ""
        open(self.tree + "/etc/postfix/transport", "w").write(t)
        etc = self.tree + "/etc/postfix"
        if not os.path.exists(etc + "/master.cf.orig"): sh(f"cp {etc}/master.cf {etc}/master.cf.orig")
        m = open(etc + "/master.cf.orig").read()
        m = re.sub(r"^smtp\s+inet.*$", f"127.0.0.1:{self.port} inet n - n - - smtpd", m, flags=re.M)
        m = re.sub(r"^(\S+\s+(?:unix|pass|fifo)\s+\S+\s+\S+\s+)y", r"\1n", m, flags=re.M)
        open(etc + "/master.cf", "w").write(m)
        open(etc + "/main.cf", "w").write("".join(f"{k} = {v}\n" for k, v in c.items()))

    def start(self): self.spawn(["postfix", "start"])
    def stop(self): self.spawn(["postfix", "stop"])


class Postroad(Peer):
    """The build of this tree, as shipped but for its places; its spool lies where the others' do.  Profiles: default; nosync
    (messages are not made durable: the price of durability)."""
    name, ports = "postroad", dict(default=2504, nosync=2505)

    def __init__(self, profile="default", **opt):
        super().__init__(profile, **opt)
        self.port = self.ports[profile]
        self.dir = f"{SPOOL}/{self.name}-{profile}"
        self.tree = self.dir

    def configure(self):
        import shutil
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        c = dict(queue_directory=self.dir + "/spool", data_directory=self.dir + "/data", maillog_file=self.dir + "/maillog",
                 mail_owner="root", myhostname="mx.bench.test", mydestination="", mynetworks="127.0.0.0/8",
                 relayhost=f"[127.0.0.1]:{SINKPORT}", smtpd_client_connection_count_limit="0", message_size_limit="104857600")
        if self.profile == "nosync": c.update(spool_sync="none")
        if self.opt.get("hold") or self.opt.get("defer"): c.update(defer_transports="smtp")
        if self.opt.get("multi") or self.opt.get("dead"):
            c.update(transport_maps=f"texthash:{self.dir}/transport")
            with open(self.dir + "/transport", "w") as f:
                f.writelines(f"d{i}.rcpt.test smtp:[127.0.0.{i + 1}]:{SINKPORT}\n" for i in range(50) if self.opt.get("multi"))
                f.writelines(f"d{i}.dead.test smtp:[127.0.0.{i + 2}]:{DEADPORT}\n" for i in range(50) if self.opt.get("dead"))
                if self.opt.get("dead"): f.write(f"dead.test smtp:[127.0.0.2]:{DEADPORT}\n")
        c.update(self.opt.get("conf", {}))
        with open(self.dir + "/main.cf", "w") as f: f.writelines(f"{k} = {v}\n" for k, v in c.items())
        with open(self.dir + "/master.cf", "w") as f:
            f.write(f"127.0.0.1:{self.port} inet n - n - 2 smtpd\nqmgr unix n - n - 1 qmgr\nsmtp unix - - n - 2 smtp\n"
                    "bounce unix - - n - 1 bounce\nresolver unix - - n - 1 resolver\n")

    def up(self):
        try:
            self.configure()
            self.start()
        except BaseException:
            self.down()
            raise
        return self

    def start(self): self.spawn([MTA + "/postroad", "-c", self.dir, "start"], chroot=False)
    def stop(self): self.spawn([MTA + "/postroad", "-c", self.dir, "abort"], chroot=False)


class Exim(Peer):
    name, port, spooldir = "exim", 2501, "/var/spool/exim4"

    def configure(self):
        t = self.profile == "tuned"
        o = self.opt
        route = "127.0.0.${eval:1+${sg{$domain}{^d([0-9]+)[.].*}{\\$1}}}" if o.get("multi") else "127.0.0.1"
        dead = """
dead:
  driver = manualroute
  domains = *.dead.test : dead.test
  transport = smtp
  route_list = * 127.0.0.${eval:2+${if match{$domain}{^d([0-9]+)[.]}{\\$1}{0}}}::%d
  self = send
""" % DEADPORT if o.get("dead") else ""
        open(self.tree + "/etc/bench.conf", "w").write(f"""
primary_hostname = mx.bench.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = accept
acl_smtp_data = accept
smtp_accept_max = 400
smtp_accept_max_per_host = 0
smtp_connect_backlog = 1000
smtp_accept_queue_per_connection = {0 if t else 10}
message_size_limit = 100M
recipients_max = 0
never_users = root
tls_certificate = {"/etc/bench.pem" if o.get("tls") else ""}
tls_privatekey = {"/etc/bench.pem" if o.get("tls") else ""}
tls_advertise_hosts = {"*" if o.get("tls") else ""}
{"split_spool_directory = true" if t else ""}
{"log_selector = -all" if t else ""}
{"remote_max_parallel = 20" if t else ""}
{"queue_only = true" if o.get("hold") else ""}
keep_environment =
begin routers
{dead}
all:
  driver = manualroute
  transport = smtp
  route_list = * {route}
  host_find_failed = defer
  self = send
begin transports
smtp:
  driver = smtp
  port = {SINKPORT}
  allow_localhost
  hosts_avoid_tls = {"" if o.get("tls") else "*"}
  connection_max_messages = 500
begin retry
* * F,2h,15m
""")
        sh(f"cp {HERE}/bench.pem {self.tree}/etc/bench.pem; chmod 644 {self.tree}/etc/bench.pem {self.tree}/etc/bench.conf")
        # exim refuses -C files that root does not own or that others may write, and drops privilege unless trusted
        sh(f"mkdir -p {self.tree}/etc/exim4; cp {self.tree}/etc/bench.conf {self.tree}/var/lib/exim4/config.autogenerated; "
           f"cp {self.tree}/etc/bench.conf {self.tree}/etc/exim4/exim4.conf; chmod 644 {self.tree}/etc/exim4/exim4.conf")
        self.chroot("mkdir -p /var/spool/exim4/db /var/spool/exim4/input /var/spool/exim4/msglog; chown -R Debian-exim:Debian-exim /var/spool/exim4 /var/log/exim4")

    def start(self): self.spawn(["exim4", "-bd", "-q30m"])
    def stop(self):
        for p in self.pids():
            try: os.kill(p, signal.SIGTERM)
            except OSError: pass


class Opensmtpd(Peer):
    name, port, spooldir = "opensmtpd", 2502, "/var/spool/smtpd"

    def configure(self):
        o = self.opt
        tls = 'pki bench cert "/etc/bench-cert.pem"\npki bench key "/etc/bench-key.pem"\n' if o.get("tls") else ""
        pre = "" if self.profile != "tuned" else "".join(
            [f"mta limit max-conn-per-{of} 50\n" for of in ("host", "route", "source", "connector", "relay", "domain")] +
            ["mta limit session-mail-max 10000\n", "scheduler limit max-inflight 20000\n",
             "smtp limit max-mails 100000\n"])
        multi = ""
        if o.get("multi"):
            for i in range(50):
                multi += f'action "a{i}" relay host smtp://127.0.0.{i + 1}:{SINKPORT}\nmatch from any for domain "d{i}.rcpt.test" action "a{i}"\n'
        if o.get("dead"):
            for i in range(50):
                multi += f'action "x{i}" relay host smtp+notls://127.0.0.{i + 2}:{DEADPORT}\nmatch from any for domain "d{i}.dead.test" action "x{i}"\n'
            multi += 'match from any for domain "dead.test" action "x0"\n'
        scheme = "smtp+tls" if o.get("tls") else "smtp+notls"
        conf = f"""
{tls}{pre}
smtp max-message-size 100M
listen on 127.0.0.1 port {self.port} {"tls pki bench" if tls else ""} hostname mx.bench.test
action "out" relay host {scheme}://127.0.0.1:{SINKPORT} {"tls no-verify" if o.get("tls") else ""}
{multi}
match from any for any action "out"
"""
        open(self.tree + "/etc/smtpd.conf", "w").write(conf)
        if o.get("tls"):
            pem = open(HERE + "/bench.pem").read()
            i = pem.index("-----BEGIN PRIVATE")
            open(self.tree + "/etc/bench-cert.pem", "w").write(pem[:i])
            open(self.tree + "/etc/bench-key.pem", "w").write(pem[i:])
            sh(f"chmod 600 {self.tree}/etc/bench-key.pem")
        self.chroot("echo mx.bench.test > /etc/mailname; for d in queue corrupt incoming purge temporary; do mkdir -p /var/spool/smtpd/$d; "
                    "chown opensmtpq /var/spool/smtpd/$d; chmod 700 /var/spool/smtpd/$d; done; mkdir -p /var/spool/smtpd/offline; "
                    "chown root:opensmtpq /var/spool/smtpd/offline; chmod 770 /var/spool/smtpd/offline; chown root /var/spool/smtpd; chmod 711 /var/spool/smtpd")

    def start(self): self.spawn(["smtpd"])
    def stop(self):
        for p in self.pids()[:1]:
            try: os.kill(p, signal.SIGTERM)
            except OSError: pass


class Haraka(Peer):
    name, port, spooldir = "haraka", 2503, ""
    def configure(self):
        d = f"{SPOOLDIR()}/haraka"
        sh(f"rm -rf {d}; mkdir -p {d}/config {d}/plugins {d}/queue")
        w = lambda n, s: open(f"{d}/{n}", "w").write(s)
        sh(f"cp {self.tree}/node_modules/Haraka/config/connection.ini {d}/config/")
        n = 2 if self.profile == "tuned" else 0
        w("config/smtp.ini", f"listen=127.0.0.1:{self.port}\nnodes={n}\n")
        w("config/plugins", "allrelay\n")
        w("config/me", "mx.bench.test\n")
        w("config/databytes", "104857600\n")
        w("config/loglevel", "NOTICE\n" if self.profile == "tuned" else "INFO\n")
        w("config/outbound.ini", "concurrency_max=100\nenable_tls=false\nlocal_mx_ok=true\n")
        w("plugins/allrelay.js", f"""
exports.hook_connect_init = (next, conn) => {{ conn.relaying = true; next() }}
exports.hook_lookup_rdns = (next) => next(OK, 'localhost')
exports.hook_rcpt = (next) => next(OK)
exports.hook_get_mx = (next) => next(OK, {{ priority: 0, exchange: '127.0.0.1', port: {SINKPORT} }})
""")
        self.dir = d
    def start(self):
        self.logf = open(self.dir + "/log", "w")
        self.p = self.spawn(["node", self.tree + "/node_modules/Haraka/bin/haraka", "-c", self.dir], chroot=False, wait=False, stdout=self.logf, stderr=self.logf)
    def stop(self):
        self.p.terminate()
        self.p.wait()


def SPOOLDIR():
    import mtabench
    return mtabench.SPOOL


ALL = dict(postroad=Postroad, postfix=Postfix, exim=Exim, opensmtpd=Opensmtpd, haraka=Haraka)
