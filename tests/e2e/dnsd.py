# SPDX-License-Identifier: Apache-2.0
"""A name server with a zone of its own, UDP and TCP: Dns({"a.example": [("MX", 10, "mx.a.example")], ...}).  Names that are not
in the zone do not exist.  A value may also be "SERVFAIL", "DROP" (no answer at all) or "REFUSED"."""
import socket, struct, threading

import house

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
RCODES = {"SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}


def wire_name(name):
    return b"".join(bytes([len(l)]) + l.encode() for l in name.rstrip(".").split(".") if l) + b"\0"


def rdata(kind, *v):
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, v[0])
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, v[0])
    if kind == "MX":
        return struct.pack(">H", v[0]) + wire_name(v[1])
    if kind in ("CNAME", "PTR", "NS"):
        return wire_name(v[0])
    if kind == "TXT":
        return b"".join(bytes([len(t)]) + t.encode() for t in v)
    return v[0]                                # raw bytes: whatever hostile thing a test wants


class Dns:
    def __init__(self, zone):
        self.zone, self.asked = {k.lower(): v for k, v in zone.items()}, []
        while True:
            self.port = house.free_port()
            self.udp, self.tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.udp.bind(("127.0.0.1", self.port)); self.tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                continue
        self.tcp.listen(64)
        house.ALIVE.append(self)
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def answer(self, q):
        labels, at = [], 12
        while q[at]:
            labels.append(q[at + 1:at + 1 + q[at]].decode(errors="replace")); at += 1 + q[at]
        name, kind = ".".join(labels).lower(), struct.unpack(">H", q[at + 1:at + 3])[0]
        question = q[12:at + 5]
        self.asked.append((name, kind))
        has, rcode, rrs = self.zone.get(name), 0, b""
        count = 0
        if has == "DROP":
            return None
        if isinstance(has, str):
            rcode, has = RCODES[has], []
        elif has is None:
            below = any(k.endswith("." + name) for k in self.zone) or not name
            rcode, has = (0 if below else RCODES["NXDOMAIN"]), []
        for kind_name, *v in has:
            t = TYPES[kind_name]
            if t == kind or t == 5:
                data = rdata(kind_name, *v)
                rrs += b"\xc0\x0c" + struct.pack(">HHIH", t, 1, 60, len(data)) + data
                count += 1
        return q[:2] + struct.pack(">HHHHH", 0x8580 | rcode, 1, count, 0, 0) + question + rrs

    def serve_udp(self):
        while True:
            try:
                q, peer = self.udp.recvfrom(4096)
                a = self.answer(q)
                if a and len(a) > 1200:
                    a = a[:2] + struct.pack(">HHHHH", 0x8780, 1, 0, 0, 0) + q[12:q.index(b"\0", 12) + 5]
                if a:
                    self.udp.sendto(a, peer)
            except (OSError, IndexError, struct.error):
                if self.udp.fileno() < 0:
                    return

    def serve_tcp(self):
        while True:
            try:
                c, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.one_tcp, args=(c,), daemon=True).start()

    def one_tcp(self, c):
        with c:
            f = c.makefile("rb")
            while (n := f.read(2)) and len(n) == 2:
                a = self.answer(f.read(struct.unpack(">H", n)[0]))
                if a:
                    c.sendall(struct.pack(">H", len(a)) + a)

    def close(self):
        self.udp.close()
        try:
            self.tcp.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.tcp.close()
