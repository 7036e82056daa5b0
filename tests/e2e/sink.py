# SPDX-License-Identifier: Apache-2.0
"""A scripted SMTP server on a thread of its own.  Without rules it takes everything and keeps each message's envelope and
content, dots unstuffed and also exactly as they came.

Sink(lmtp=True) speaks LMTP instead: lhlo for ehlo, and one answer to the content for each recipient (text: his address); Sink(path=P)
listens on a UNIX socket.  What MAIL and RCPT said after the address is in a message's params and rcpt_params.

Rules are functions rule(session, step, text) -> None (the usual answer) or a reply; steps: connect ehlo lhlo helo mail rcpt data
content quit rset.  A reply is text ("450 4.2.1 later"), DROP (close without a word), HANG (say nothing more), or a number of
seconds to wait before the usual answer.  Rules may raise to fail loudly."""
import re, socket, threading, time

import house

DROP, HANG = object(), object()


class Message:
    def __init__(self, sender, rcpts, wire, session):
        self.sender, self.rcpts, self.wire, self.session = sender, rcpts, wire, session
        self.content = re.sub(rb"(?m)^\.", b"", wire)
        self.params, self.rcpt_params = list(session.params), list(session.rcpt_params)

    def header(self, name):
        """Text of the first such header field, unfolded; None when there is none."""
        head = self.content.partition(b"\r\n\r\n")[0] + b"\r\n"
        m = re.search(rb"(?mi)^%s:[ \t]*((?:.|\r\n[ \t])*?)\r\n(?![ \t])" % name.encode(), head)
        return re.sub(r"\r\n[ \t]+", " ", m[1].decode(errors="replace")) if m else None

    @property
    def body(self): return self.content.partition(b"\r\n\r\n")[2]


class Session:
    def __init__(self, sink, sock, number):
        self.sink, self.sock, self.number = sink, sock, number
        self.file = sock.makefile("rb")
        self.sender, self.rcpts, self.params, self.rcpt_params, self.lines, self.transactions = None, [], [], [], [], 0

    def say(self, text): self.sock.sendall(text.encode() + b"\r\n")

    def answer(self, step, text, usual):
        """Send what the rules or the usual answer say; the code, or None when the conversation is over."""
        for rule in self.sink.rules:
            got = rule(self, step, text)
            if got is DROP:
                return None
            if got is HANG:
                self.sink.ended.wait(300)
                return None
            if isinstance(got, (int, float)):
                self.sink.ended.wait(got)
            elif got is not None:
                usual = got
                break
        if usual:
            self.say(usual)
        return int(usual[:3]) if usual and usual[:3].isdigit() else 0

    def talk(self):
        if not self.answer("connect", "", f"220 {self.sink.name} ESMTP"):
            return
        while True:
            line = self.file.readline()
            if not line:
                return
            self.lines.append(line)
            line = line.decode(errors="surrogateescape").rstrip("\r\n")
            verb = line[:4].upper()
            if verb not in (*self.sink.hello, "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT"):
                self.say("500 5.5.2 what?")
                continue
            if getattr(self, verb.lower())(line) is None:
                return

    def lhlo(self, line): return self.ehlo(line, "lhlo")

    def ehlo(self, line, step="ehlo"):
        return self.answer(step, line, "\r\n".join(f"250-{w}" for w in [self.sink.name] + self.sink.offers[:-1])
                           + f"\r\n250 {self.sink.offers[-1]}")

    def helo(self, line): return self.answer("helo", line, f"250 {self.sink.name}")
    def noop(self, line): return self.answer("noop", line, "250 2.0.0 ok")

    def rset(self, line):
        self.sender, self.rcpts = None, []
        return self.answer("rset", line, "250 2.0.0 ok")

    def mail(self, line):
        self.sender, self.params = line.partition("<")[2].rpartition(">")[0], line.rpartition(">")[2].split()
        self.rcpts, self.rcpt_params = [], []
        return self.answer("mail", line, "250 2.1.0 ok")

    def rcpt(self, line):
        code = self.answer("rcpt", line, "250 2.1.5 ok")
        if code and code // 100 == 2:
            self.rcpts.append(line.partition("<")[2].rpartition(">")[0])
            self.rcpt_params.append(line.rpartition(">")[2].split())
        return code

    def data(self, line):
        if not self.rcpts:
            return self.answer("data", line, "554 5.5.1 no valid recipients")
        code = self.answer("data", line, "354 go on")
        if code != 354:
            return code
        wire = bytearray()
        while True:
            piece = self.file.readline()
            if not piece:
                self.sink.cut += 1
                return None
            if piece == b".\r\n":
                break
            wire += piece
        message = Message(self.sender, self.rcpts, bytes(wire), self)
        self.message = message
        self.transactions += 1
        taken = []
        for who in self.rcpts if self.sink.lmtp else [""]:
            code = self.answer("content", who, f"250 2.0.0 ok {len(self.sink.messages)}")
            if code is None:
                break
            taken += [who] if code // 100 == 2 else []
        message.rcpts = taken if self.sink.lmtp else self.rcpts
        if taken:
            with self.sink.lock:
                self.sink.messages.append(message)
        return code

    def quit(self, line):
        self.answer("quit", line, "221 2.0.0 bye")
        return None


class Sink:
    def __init__(self, *rules, name="sink.test", offers=("PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES"),
                 port=0, host="127.0.0.1", backlog=256, lmtp=False, path=None):
        self.rules, self.name, self.offers = list(rules), name, list(offers)
        self.messages, self.sessions, self.cut = [], [], 0
        self.lmtp, self.hello = lmtp, ("LHLO",) if lmtp else ("EHLO", "HELO")
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(path or (host, port))
        self.listener.listen(backlog)
        self.host, self.port = host, path or self.listener.getsockname()[1]
        house.ALIVE.append(self)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, sock, len(self.sessions))
            self.sessions.append(session)
            threading.Thread(target=self.serve, args=(session,), daemon=True).start()

    @staticmethod
    def serve(session):
        try:
            session.talk()
        except OSError:
            pass
        finally:
            try:
                session.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            session.file.close()
            session.sock.close()

    def wait(self, count=1, seconds=30):
        """Wait until `count` messages have been taken; they are returned."""
        def look():
            return self.messages if len(self.messages) >= count else None
        look.__doc__ = f"{count} messages at the sink (there are {len(self.messages)})"
        return house.wait_until(look, seconds)

    def close(self):
        self.ended.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for s in self.sessions:
            try:
                s.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def refuse(step, text, reply):
    """A rule: at `step`, when the command contains `text`, answer `reply`."""
    return lambda session, at, said: reply if at == step and text in said else None


def for_a_while(rule, times):
    """The rule, but only the first `times` times that it has something to say."""
    left = [times]

    def limited(session, step, text):
        got = rule(session, step, text) if left[0] else None
        left[0] -= got is not None
        return got
    return limited
