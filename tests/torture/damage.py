# SPDX-License-Identifier: Apache-2.0
"""Damage on the disk.  Message files as docs/SPOOL.md lays them out, each cut short at one offset or with one byte changed, for
every offset, are put into the spool of a stopped system among good ones, hundreds at a time; then it starts.

What must hold (R2): the good ones arrive; whatever arrives is byte for byte what was committed; every damaged file is set aside
in corrupt/ and named in the log, or is debris (no mark: incoming only) and goes, or was damaged only in the last entry of its
journal, which says no more than that it is tried once more."""
import os, pwd, re, struct, time

import house, sink

HEADER, MARK = 64, 32
TABLE = []
for i in range(256):
    for _ in range(8):
        i = (i >> 1) ^ (0x82F63B78 if i & 1 else 0)
    TABLE.append(i)


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for b in data:
        crc = TABLE[(crc ^ b) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def text(s): return struct.pack("<I", len(s)) + s


def message(n, rcpt, content, content_crc=None, journal=b""):
    """(id, the file)"""
    ident = (int(time.time() * 1000) - 10 ** 6 + n) << 22 | n % 1024 << 4
    envelope = text(b"s@src.test") + b"\0" + text(b"") + text(b"c.test") + text(b"192.0.2.1") + text(b"c.test") + text(b"ESMTP") + text(b"")
    envelope += text(rcpt.encode()) + text(b"") + b"\0" + text(b"")
    at = HEADER + len(envelope)

    def header(crc):
        return b"POSTROAD" + struct.pack("<IIQQQIIIIII", 2, crc, ident, (ident >> 22) * 1000, len(content), at, 0, 1, crc32c(envelope),
                                         crc32c(content) if content_crc is None else content_crc, 0)
    crc = crc32c(header(0))
    mark = b"\x1aCOMMIT\n" + struct.pack("<QQI", ident, at + len(content), crc)
    return ident, header(crc) + envelope + content + mark + struct.pack("<I", crc32c(mark)) + journal


def entry(seq, records):
    head = b"\x1aJRN" + struct.pack("<II", seq, len(records))
    return head + struct.pack("<I", crc32c(head + records)) + records


def deferral():
    record = struct.pack("<BqIIq", 2, 0, 0, 1, 0) + text(b"4.0.0") + text(b"later") + text(b"") + text(b"")
    return entry(0, record) + entry(1, record)


class Case:
    def __init__(self, world, where, what, rcpt="r@dst.test", size=300, journal=b"", crc=None):
        world.n += 1
        self.n, self.where, self.what = world.n, where, what
        self.content = b"X-Damage: %d\r\n\r\n" % self.n + (b"0123456789abcdef." * (size // 17 + 1))[:size] + b"\r\n"
        self.rcpt = rcpt.replace("@", f"{'' if rcpt.startswith(world.user) else self.n}@")
        self.id, self.file = message(self.n, self.rcpt, self.content, crc, journal)
        self.name = f"{self.id:016X}"
        self.end, self.last_entry = len(self.file) - len(journal), len(self.file) - len(journal) // 2

    def damage(self):
        kind, at = self.what[0], self.what[1] if len(self.what) > 1 else 0
        if kind == "cut":
            return self.file[:at]
        if kind == "flip":
            return self.file[:at] + bytes([self.file[at] ^ self.what[2]]) + self.file[at + 1:]
        return self.file

    def put(self, spool):
        directory = f"{spool}/{self.where}/{self.id >> 32 & 255:02X}"
        os.makedirs(directory, exist_ok=True)
        path = f"{directory}/{self.name}"
        with open(path, "wb") as f:
            f.write(self.damage())
        os.utime(path, (time.time() - 3600,) * 2)

    def harmless(self):
        """Good, or only the last of its journal is not whole."""
        return self.what[0] == "good" or self.what[1] >= (self.end if self.what[0] == "cut" else self.last_entry)

    def debris(self): return self.where == "incoming" and self.what[0] == "cut"


class World:
    def __init__(self):
        self.n = 0
        self.user = "games" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.sink = sink.Sink()
        self.m = house.Postroad(sink=self.sink, start=False, mydestination="mx.test", local_recipient_maps="", alias_maps="",
                                master=["local unix - n n - 1 local"], queue_run_delay="1s", minimal_backoff_time="1s")
        os.chmod(self.m.dir, 0o711)
        self.mail = f"{self.m.dir}/mail"
        os.mkdir(self.mail)
        os.chmod(self.mail, 0o1777)
        self.m.settings["mail_spool_directory"] = self.mail
        self.m.write_config()
        self.m.start()
        self.m.stop()
        self.sums = {"files": 0, "delivered": 0, "set aside": 0, "debris": 0, "violations": 0}
        self.bad = []

    def arrived(self):
        """{number: content as it was delivered}"""
        found = {}
        for message in self.sink.messages:
            at = message.content.find(b"X-Damage: ")
            found.setdefault(re.match(rb"m?r?\D*(\d+)@", message.rcpts[0].encode())[1], []).append(message.content[at:])
        found = {int(k): v for k, v in found.items()}
        path = f"{self.mail}/{self.user}"
        if os.path.exists(path):
            with open(path, "rb") as f:
                for part in re.split(rb"(?m)^From [^\n]*\n", f.read())[1:]:
                    number = re.search(rb"(?m)^X-Damage: (\d+)", part)
                    if number:
                        found.setdefault(int(number[1]), []).append(part[number.start():].replace(b"\n", b"\r\n")[:-2])
        return found

    def batch(self, cases):
        for c in cases:
            c.put(self.m.spool)
        self.m.start()
        try:
            house.wait_until(lambda: not self.m.files("incoming", "deferred"), 90, 0.1)
        except AssertionError:
            self.bad.append(f"left in the queue: {self.m.files('incoming', 'deferred')[:5]}")
        self.m.stop()
        arrived, corrupt, log = self.arrived(), set(self.m.files("corrupt")), self.m.log()
        for c in cases:
            self.judge(c, arrived.get(c.n, []), c.name in corrupt, c.name in log)

    def judge(self, c, copies, aside, named):
        self.sums["files"] += 1
        self.sums["delivered"] += bool(copies)
        self.sums["set aside"] += aside
        self.sums["debris"] += not copies and not aside
        wrong = None
        if any(copy != c.content for copy in copies):
            wrong = "delivered, and not what was committed"
        elif c.harmless() and len(copies) != 1:
            wrong = f"a good message: {len(copies)} copies"
        elif not c.harmless() and copies:
            wrong = "damaged, and delivered"
        elif not c.harmless() and not aside and not c.debris():
            wrong = "damaged, and gone"
        elif not c.harmless() and not named:
            wrong = "not reported"
        if wrong:
            self.bad.append(f"{c.where} {c.what} of {len(c.file)} to {c.rcpt}: {wrong}")


def cases(w, step):
    small = len(Case(w, "incoming", ("good",)).file)
    for where in ("incoming", "deferred"):
        for at in range(0, small, step):
            yield Case(w, where, ("cut", at))
            yield Case(w, where, ("flip", at, 0xFF))
            yield from (Case(w, where, ("flip", at, 1 << bit)) for bit in (range(8) if step == 1 else (at % 8,)))
        yield from (Case(w, where, ("good",)) for _ in range(50))
    journal = deferral()
    for at in range(small - 2, small + len(journal), step):
        yield Case(w, "deferred", ("flip", at, 0x10), journal=journal)
        yield Case(w, "deferred", ("cut", at), journal=journal)
    big = len(Case(w, "incoming", ("good",), size=150_000).file)
    for at in range(200, big, big // 500 if step == 1 else big // (200 // step)):
        yield Case(w, "deferred", ("flip", at, 4), size=150_000)
    for at in range(70, small, 5 * step):
        yield Case(w, "incoming", ("flip", at, 4), rcpt=f"{w.user}@mx.test")
    yield from (Case(w, "incoming", ("good",), rcpt=f"{w.user}@mx.test") for _ in range(5))


def control():
    """A file whose CRC was made to fit other content: only the comparison of what arrives can see that."""
    w = World()
    c = Case(w, "incoming", ("good",))
    c.content = c.content.replace(b"0123", b"0124")
    w.batch([c])
    assert w.bad and "not what was committed" in w.bad[0], f"content that was changed on the way was not noticed: {w.bad}"
    return {"part": "control", "files": 1, "violations": "1 seen, as must be"}


def suite(quick):
    w = World()
    todo = list(cases(w, 23 if quick else 1))
    for i in range(0, len(todo), 400):
        w.batch(todo[i:i + 400])
    w.sums["violations"] = len(w.bad)
    assert not w.bad, f"{w.sums}\n" + "\n".join(w.bad[:20])
    return [{"part": "files cut and changed", **w.sums}, control()], []
