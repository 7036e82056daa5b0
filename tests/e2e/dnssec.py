# SPDX-License-Identifier: Apache-2.0
"""A name server whose zone is signed (RFC 4033-4035; ECDSA P-256, RFC 6605): SignedDns("signed.example", {...}).  It answers what
a validating resolver asks: RRSIG and DNSKEY, NSEC with each "no".  `spoil` makes what is signed wrong: "expired", "forged"."""
import hashlib, struct, time

import dnsd

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)
ALGORITHM, TTL = 13, 60
dnsd.TYPES.update({"DS": 43, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48})
T = dnsd.TYPES


def add(a, b):
    """Two points of the curve y^2 = x^3 - 3x + b; None is the one at infinity."""
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = ((3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, point):
    out = None
    while k:
        if k & 1:
            out = add(out, point)
        point, k = add(point, point), k >> 1
    return out


def number(*parts):
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest(), "big")


class SignedDns(dnsd.Dns):
    def __init__(self, apex, zone, spoil=None, unsigned=()):
        self.apex, self.spoil, self.unsigned = apex, spoil, unsigned
        self.secret = number(b"a key for tests", apex.encode()) % N
        public = times(self.secret, G)
        self.key = struct.pack(">HBB", 257, 3, ALGORITHM) + public[0].to_bytes(32, "big") + public[1].to_bytes(32, "big")
        tag = sum(b << 8 if i % 2 == 0 else b for i, b in enumerate(self.key))
        self.tag = (tag + (tag >> 16)) & 0xFFFF
        self.kept = {}
        super().__init__(zone)

    def anchor(self):
        """The line of a trust anchor file."""
        import base64
        return f"{self.apex}. 3600 IN DNSKEY 257 3 {ALGORITHM} {base64.b64encode(self.key[4:]).decode()}\n"

    def soa(self):
        name = dnsd.wire_name(self.apex)
        return name + name + struct.pack(">IIIII", 1, 3600, 600, 86400, TTL)

    def sets_of(self, name):
        """The record sets of a name: {type: [rdata]}; None when there is no such name."""
        has = self.zone.get(name)
        below = name == self.apex or any(k.endswith("." + name) for k in self.zone)
        if has is None and not below:
            return None
        sets = {}
        for kind, *v in has or []:
            sets.setdefault(T[kind], []).append(dnsd.rdata(kind, *v))
        if name == self.apex:
            sets[T["SOA"]], sets[T["DNSKEY"]] = [self.soa()], [self.key]
        return sets

    def sign(self, name, kind, records):
        wire, now = dnsd.wire_name(name), int(time.time())
        inception, expiration = (now - 30 * 86400, now - 20 * 86400) if self.spoil == "expired" and kind != T["DNSKEY"] else (now - 3600, now + 86400)
        head = struct.pack(">HBBIIIH", kind, ALGORITHM, name.count(".") + 1, TTL, expiration, inception, self.tag) + dnsd.wire_name(self.apex)
        data = head + b"".join(wire + struct.pack(">HHIH", kind, 1, TTL, len(r)) + r for r in sorted(records))
        z = number(data)
        k = number(self.secret.to_bytes(32, "big"), data) % (N - 1) + 1
        r = times(k, G)[0] % N
        s = pow(k, -1, N) * (z + r * self.secret) % N
        if self.spoil == "forged" and kind != T["DNSKEY"]:
            s ^= 1
        return head + r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def with_signature(self, name, kind, records):
        """The set on the wire, with its RRSIG; how many records that is."""
        out = b"".join(dnsd.wire_name(name) + struct.pack(">HHIH", kind, 1, TTL, len(r)) + r for r in records)
        if any(name == u or name.endswith("." + u) for u in self.unsigned):
            return out, len(records)
        key = (name, kind, tuple(records))
        if key not in self.kept:
            self.kept[key] = self.sign(name, kind, records)
        sig = self.kept[key]
        return out + dnsd.wire_name(name) + struct.pack(">HHIH", T["RRSIG"], 1, TTL, len(sig)) + sig, len(records) + 1

    def nsec(self, name, sets):
        """Nothing between this name and the next, and no other types here."""
        names = sorted({self.apex, *(k for k in self.zone if k.endswith(self.apex))}, key=lambda n: n.split(".")[::-1])
        before = [n for n in names if n.split(".")[::-1] <= name.split(".")[::-1]][-1] if name not in names else name
        after = names[(names.index(before) + 1) % len(names)]
        if before != name:
            sets = self.sets_of(before)
        bits = bytearray(7)
        for kind in [*sets, T["RRSIG"], T["NSEC"]] + ([T["NS"]] if before in self.unsigned else []):
            bits[kind // 8] |= 0x80 >> kind % 8
        return before, dnsd.wire_name(after) + bytes([0, len(bits)]) + bytes(bits)

    def answer(self, q):
        labels, at = [], 12
        while q[at]:
            labels.append(q[at + 1:at + 1 + q[at]].decode(errors="replace")); at += 1 + q[at]
        name, kind = ".".join(labels).lower(), struct.unpack(">H", q[at + 1:at + 3])[0]
        if not name.endswith(self.apex):
            return super().answer(q)
        self.asked.append((name, kind))
        sets, rrs, count, authority, more = self.sets_of(name), b"", 0, b"", 0
        if sets and kind in sets:
            rrs, count = self.with_signature(name, kind, sets[kind])
        else:
            # A name that is not there is denied, and so is the wildcard that could stand for it.
            proofs = {self.nsec(name, sets or {})} | (set() if sets is not None else {self.nsec("*." + self.apex, {})})
            for n, t, r in [(self.apex, T["SOA"], self.soa())] + [(owner, T["NSEC"], proof) for owner, proof in proofs]:
                wire, n = self.with_signature(n, t, [r])
                authority, more = authority + wire, more + n
        opt = b"\0" + struct.pack(">HHIH", 41, 1232, 0x8000, 0)
        flags = 0x8580 | (0 if sets is not None else dnsd.RCODES["NXDOMAIN"])
        return q[:2] + struct.pack(">HHHHH", flags, 1, count, more, 1) + q[12:at + 5] + rrs + authority + opt
