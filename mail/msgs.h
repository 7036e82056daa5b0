/* SPDX-License-Identifier: Apache-2.0 */
/* msgs.h - everything one process can say to another, each record once: its fields, its encoder and decoder, and who may
 * send it to whom.  Frames are those of util/ipc.h; the tag is the place in this table.
 *
 * A channel opens with HELLO from both sides: schema is msg_schema(), a fingerprint of this table, so that processes of two
 * builds never misread each other. */
#ifndef MAIL_MSGS_H
#define MAIL_MSGS_H

#include "util/time.h"
#include "util/wire.h"

/* role: one of the names below; name: the service ("smtp", "relay"); capacity: deliveries it takes at once (agents). */
#define MSG_HELLO(F) \
	F(u32, schema) \
	F(str, role) \
	F(str, name) \
	F(u32, capacity) \
	F(u32, pid)

/* A recipient in a list of them.  index: its place in the message's envelope, 0 first; orig: address as first given, empty
 * when it is the same; notify: NOTIFY_ of spool.h.  What else RFC 3461 says of it stands in the file's envelope, for those
 * who see MF_DSN in the message's flags. */
#define MSG_RCPT(F) \
	F(u32, index) \
	F(str, addr) \
	F(str, orig) \
	F(u8,  notify)

/* A new message is durable in the spool: what qmgr needs to schedule it without reading it.  Times: us since 1970. */
#define MSG_ENTERED(F) \
	F(u64, id) \
	F(i64, arrived) \
	F(u64, size) \
	F(u32, flags) \
	F(u32, content_at) \
	F(str, sender) \
	F(str, rcpts)                                   /* msg_rcpt ... */

/* Deliver these recipients of this message.  dir: enum spool_dir; content is [content_at, content_at+size) of its file.
 * queued: when the message became active, for delays=. */
#define MSG_DELIVER(F) \
	F(u64, delivery) \
	F(u64, id) \
	F(u8,  dir) \
	F(i64, arrived) \
	F(i64, queued) \
	F(u64, size) \
	F(u32, content_at) \
	F(u32, flags) \
	F(str, sender) \
	F(str, nexthop) \
	F(str, rcpts)                                   /* msg_rcpt ... */

/* What became of one recipient.  status: enum rcpt_status; action: enum rcpt_action, when it is sent; esc: "2.0.0"; text: what the log and a DSN say, e.g.
 * "250 2.0.0 Ok: queued as 42" or "host a[1.2.3.4] said: 550 no (in reply to RCPT TO command)"; mta: the name of the host that
 * said it ("" when none did); diag: its reply alone. */
#define MSG_OUTCOME(F) \
	F(u32, index) \
	F(u8,  status) \
	F(u8,  action) \
	F(str, esc) \
	F(str, text) \
	F(str, mta) \
	F(str, diag)

/* The end of a delivery.  site: how the destination itself behaved, enum site_state: feedback for concurrency.
 * Recipients not listed count as deferred. */
#define MSG_DONE(F) \
	F(u64, delivery) \
	F(u8,  site) \
	F(str, site_text) \
	F(str, outcomes)                                /* msg_outcome ... */

/* A delivery that an earlier qmgr gave, and of which this one knows nothing: docs/SPOOL.md R12.  attempt: its name, by which this agent
 * process knows it; asked: the msg_deliver that gave it; done: the msg_done that answers that, empty while it is under way (then
 * another LATE with the same name says how it ended).  After HELLO an agent sends one for each, then one with nothing
 * in it: that was all. */
#define MSG_LATE(F) \
	F(u64, attempt) \
	F(str, asked) \
	F(str, done)

/* An agent takes no more deliveries; qmgr says the same back, and none come after that. */
#define MSG_RETIRE(F) \
	F(u32, unused)

/* A recipient that a notice is about.  index: its place in the envelope; action: enum rcpt_action. */
#define MSG_FAILED(F) \
	F(u32, index) \
	F(u8,  action) \
	F(str, addr) \
	F(str, orig) \
	F(u8,  expired) \
	F(str, esc) \
	F(str, text) \
	F(str, mta) \
	F(str, diag)

/* Send the sender a notice; answered by BOUNCED once it is durable (err OK) or has failed.  kind: enum notice_kind; given_up: why it
 * could not be made for so long that the postmaster is to be told instead, usually empty. */
#define MSG_BOUNCE(F) \
	F(u64, job) \
	F(u8,  kind) \
	F(u64, id) \
	F(u8,  dir) \
	F(i64, arrived) \
	F(u64, size) \
	F(u32, content_at) \
	F(u32, flags) \
	F(str, sender) \
	F(str, given_up) \
	F(str, failed)                                  /* msg_failed ... */

#define MSG_BOUNCED(F) \
	F(u64, job) \
	F(u32, err) \
	F(str, why) \
	F(u64, notice)

/* A question to the resolver and its answer.  type: DNS type number; name without final dot. */
#define MSG_QUERY(F) \
	F(u64, query) \
	F(u16, type) \
	F(str, name)

/* rcode: DNS rcode; err: OK (records may be empty: NODATA), E_DNS_NONE (NXDOMAIN), E_DNS_TEMP, E_TIMEOUT.  secure: 1 validated,
 * 0 not, 2 bogus (then err is E_DNS_TEMP).  ttl in seconds.  records: msg_record ... */
#define MSG_ANSWER(F) \
	F(u64, query) \
	F(u32, err) \
	F(str, why) \
	F(u8,  rcode) \
	F(u8,  secure) \
	F(u32, ttl) \
	F(str, canonical) \
	F(str, records)

/* One record: MX: pref and text (host name); A, AAAA: raw address bytes in text; PTR, CNAME: name; TXT: the strings joined;
 * TLSA, others: rdata. */
#define MSG_RECORD(F) \
	F(u16, pref) \
	F(str, text)

/* An operator's request to qmgr.  op: enum queue_op; select: one msg_select, what it is about; dry: only say what would be done.
 * Answered by ITEM ... (LIST), SITE ... (SITES), EVENTS ... (HISTORY) or CHANGED ... (all others), then COUNTED. */
#define MSG_QUEUE(F) \
	F(u32, request) \
	F(u8,  op) \
	F(u8,  dry) \
	F(str, select)

/* Which messages: all of what is said must hold; what is empty or 0 says nothing.  ids: u64 ...; the next four: text ..., patterns as in
 * mail/select.h; before and after: time of arrival, us since 1970; states: bits of mail/select.h. */
#define MSG_SELECT(F) \
	F(str, ids) \
	F(str, senders) \
	F(str, rcpts) \
	F(str, destinations) \
	F(str, reasons) \
	F(i64, before) \
	F(i64, after) \
	F(u8,  states)

/* One message of a listing.  dir: enum spool_dir, active: being delivered or ready; notice_failures: how often the notice that is due could
 * not be made, notice_why: the last time, notice_next: when it is tried again, notice_until: how long.  rcpts: msg_item_rcpt ... (those not
 * finished) */
#define MSG_ITEM(F) \
	F(u32, request) \
	F(u64, id) \
	F(u8,  dir) \
	F(u8,  active) \
	F(u8,  forced_expire) \
	F(i64, arrived) \
	F(u64, size) \
	F(str, sender) \
	F(u32, notice_failures) \
	F(str, notice_why) \
	F(i64, notice_next) \
	F(i64, notice_until) \
	F(str, rcpts)

/* index: its place in the envelope; why: enum sched_why; next_try: 0 when it is not known. */
#define MSG_ITEM_RCPT(F) \
	F(u32, index) \
	F(str, addr) \
	F(str, orig) \
	F(u8,  why) \
	F(str, esc) \
	F(str, reason) \
	F(u32, attempts) \
	F(i64, next_try) \
	F(str, transport) \
	F(str, nexthop)

/* A destination as the scheduler sees it.  window, limit, busy: deliveries at once, limit 0: any number; times: us since 1970, 0:
 * not so; agents: processes of its transport that are there; waiting: parcels of mail; reason: why it was last found down. */
#define MSG_SITE(F) \
	F(u32, request) \
	F(str, transport) \
	F(str, nexthop) \
	F(u32, window) \
	F(u32, limit) \
	F(u32, busy) \
	F(i64, dead_since) \
	F(i64, next_probe) \
	F(i64, pause_until) \
	F(u32, agents) \
	F(i64, missing_since) \
	F(u8,  deferred) \
	F(u32, waiting) \
	F(str, reason)

/* The next records of a message's journal: jrn_record ... of spool.h. */
#define MSG_EVENTS(F) \
	F(u32, request) \
	F(str, records)

/* Messages that a request was applied to (or would have been); ids: u64 ... */
#define MSG_CHANGED(F) \
	F(u32, request) \
	F(str, ids)

/* The end of an answer.  matched: how many; missing: ids (u64 ...) that were asked for and are not there; partial: there are more messages
 * than could be looked at; err and why when it could not be done. */
#define MSG_COUNTED(F) \
	F(u32, request) \
	F(u32, matched) \
	F(str, missing) \
	F(u8,  partial) \
	F(u32, err) \
	F(str, why)

/* Ask qmgr to read its settings again (from master, on reload) or for its state (from `postroad status`). */
#define MSG_PING(F) \
	F(u32, request)
#define MSG_PONG(F) \
	F(u32, request) \
	F(u64, messages) \
	F(u64, recipients) \
	F(u64, deliveries) \
	F(u8,  scanning)

/*        tag      record         from            to */
#define MESSAGES(M) \
	M(HELLO,   msg_hello,     "any",          "any",      MSG_HELLO) \
	M(ENTERED, msg_entered,   "smtpd bounce pickup local cmd", "qmgr", MSG_ENTERED) \
	M(DELIVER, msg_deliver,   "qmgr",         "agent",    MSG_DELIVER) \
	M(DONE,    msg_done,      "agent",        "qmgr",     MSG_DONE) \
	M(LATE,    msg_late,      "agent",        "qmgr",     MSG_LATE) \
	M(RETIRE,  msg_retire,    "agent bounce qmgr", "agent bounce qmgr", MSG_RETIRE) \
	M(BOUNCE,  msg_bounce,    "qmgr",         "bounce",   MSG_BOUNCE) \
	M(BOUNCED, msg_bounced,   "bounce",       "qmgr",     MSG_BOUNCED) \
	M(QUERY,   msg_query,     "any",          "resolver", MSG_QUERY) \
	M(ANSWER,  msg_answer,    "resolver",     "any",      MSG_ANSWER) \
	M(QUEUE,   msg_queue,     "cmd",          "qmgr",     MSG_QUEUE) \
	M(ITEM,    msg_item,      "qmgr",         "cmd",      MSG_ITEM) \
	M(SITE,    msg_site,      "qmgr",         "cmd",      MSG_SITE) \
	M(EVENTS,  msg_events,    "qmgr",         "cmd",      MSG_EVENTS) \
	M(CHANGED, msg_changed,   "qmgr",         "cmd",      MSG_CHANGED) \
	M(COUNTED, msg_counted,   "qmgr",         "cmd",      MSG_COUNTED) \
	M(PING,    msg_ping,      "cmd",          "qmgr",     MSG_PING) \
	M(PONG,    msg_pong,      "qmgr",         "cmd",      MSG_PONG)
/* Parts of the above. */
#define MESSAGE_PARTS(M) \
	M(msg_rcpt, MSG_RCPT) M(msg_outcome, MSG_OUTCOME) M(msg_failed, MSG_FAILED) \
	M(msg_record, MSG_RECORD) M(msg_item_rcpt, MSG_ITEM_RCPT) M(msg_select, MSG_SELECT)

#define M(tag, rec, from, to, fields) MSG_##tag##_TAG,
enum msg_tag { MESSAGES(M) MSG_TAG_COUNT };
#undef M
#define M(tag, rec, from, to, fields) WIRE_DECLARE(rec, fields)
MESSAGES(M)
#undef M
#define M(rec, fields) WIRE_DECLARE(rec, fields)
MESSAGE_PARTS(M)
#undef M

/* PASSED is not an end: another transport is to deliver it, text names that and its next hop ("lmtp:unix:private/lmtp").  Only for the
 * recipient of a delivery of one. */
/* DAMAGED: deferred, because the message is not what was committed; qmgr looks itself, and sets it aside. */
enum rcpt_status { RCPT_SENT, RCPT_DEFERRED, RCPT_BOUNCED, RCPT_PASSED, RCPT_DAMAGED };
/* Who tells the sender that it was sent, if he wants to know (RFC 3461 section 5.2): DELIVERED: we do; RELAYED: we do, the next
 * host knows no DSN; PASSED: the next host has taken that over; EXPANDED: we do, it went on to other addresses.  The rest are what
 * notices say of others: DELIVERABLE and UNDELIVERABLE of those that were only tried (MF_VERIFY). */
enum rcpt_action {
	ACTION_DELIVERED, ACTION_RELAYED, ACTION_PASSED, ACTION_EXPANDED,
	ACTION_FAILED, ACTION_DELAYED, ACTION_DELIVERABLE, ACTION_UNDELIVERABLE, ACTION_COUNT
};
/* REPORT: of a first attempt, whatever came of it. */
enum notice_kind { NOTICE_FAILURE, NOTICE_DELAY, NOTICE_SUCCESS, NOTICE_REPORT, NOTICE_KINDS };
/* SITE_OK: it spoke SMTP with us; SITE_DOWN: no connection or no handshake; SITE_UNKNOWN: nothing learnt. */
enum site_state { SITE_OK, SITE_DOWN, SITE_UNKNOWN };
/* EXPIRE leaves what is on hold until it is released, EXPIRE_HELD releases it.  READ: these ids are new in the spool, read them; with
 * dry: some will be (when the other word does not come within a minute, the whole spool is read). */
enum queue_op {
	QUEUE_LIST, QUEUE_FLUSH, QUEUE_HOLD, QUEUE_RELEASE, QUEUE_DELETE, QUEUE_REQUEUE, QUEUE_EXPIRE, QUEUE_EXPIRE_HELD,
	QUEUE_READ, QUEUE_SITES, QUEUE_HISTORY, QUEUE_OP_COUNT
};

/* Why a recipient is not being delivered. */
#define SCHED_WHYS(W) \
	W(DONE,      "finished") \
	W(NOTICE,    "a notice to the sender is due") \
	W(FLIGHT,    "being delivered") \
	W(TURN,      "waiting for its turn") \
	W(WINDOW,    "the destination has as many deliveries as it may") \
	W(CAPACITY,  "all delivery agents are busy") \
	W(RATE,      "pause between deliveries to the destination") \
	W(DEFERRED,  "deferred, to be tried again") \
	W(SITE,      "delivery temporarily suspended") \
	W(TRANSPORT, "mail transport unavailable") \
	W(DEFER,     "deferred transport") \
	W(HELD,      "on hold") \
	W(MOVING,    "being moved on disk") \
	W(ROUTE,     "its route is being looked up") \
	W(AWAY,      "the queue manager does not answer") \
	W(UNKNOWN,   "the mail system is down")
#define W(tag, text) WHY_##tag,
enum sched_why { SCHED_WHYS(W) WHY_COUNT };
#undef W
const char *sched_why_text(enum sched_why why);

uint32_t    msg_schema(void);
const char *msg_name(unsigned tag);                    /* "ENTERED"; "?" for none of ours */
/* May a process of this role send that tag to one of the other?  "agent" stands for smtp, lmtp, local, … */
bool        msg_allowed(unsigned tag, struct str from_role, struct str to_role);

/* Exchange HELLOs on a fresh channel: send ours, read the peer's, check fingerprint (E_IPC).  peer's text fields are borrowed
 * until the next ipc_recv. */
struct ipc;
enum err msg_hello_send(struct ipc *c, const struct msg_hello *mine) MUST_USE;
enum err msg_hello_recv(struct ipc *c, struct msg_hello *peer, struct time deadline) MUST_USE;     /* may be called again after E_TIMEOUT */
enum err msg_hello_exchange(struct ipc *c, const struct msg_hello *mine, struct msg_hello *peer) MUST_USE;

#endif
