/* SPDX-License-Identifier: Apache-2.0 */
/* session.h - one client's session: what it is, and how it talks and logs.  A session is a task; smtpd is what the sessions of one
 * process share. */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include "intake/transcript.h"
#include "mail/service.h"
#include "smtpd/command.h"
#include "smtpd/content.h"
#include "smtpd/overload.h"
#include "spool/spool.h"
#include "util/io.h"
#include "util/net.h"

struct intake;
struct incoming;
struct clients;

struct smtpd {
	struct service      *service;
	const struct params *params;
	struct spool        *spool;
	struct intake       *intake;
	struct clients      *clients;
	unsigned             notified;                 /* TROUBLE_: what postmasters want to be told */
	struct list          sessions;
	size_t               nsessions;
	struct overload      overload;
	uint64_t             memory;                   /* sum of the sessions' */
	struct wait          occupied;                 /* there is a session: overload_watch() */
	struct wait          room;                     /* a session has ended: acceptors */
	struct wait          drained;                  /* the same, and changes of phase: the end of the process */
	struct tasks         group;                    /* the sessions' tasks */
};

/* Where an accepted recipient stands in transaction.text: address, address as given, ORCPT. */
struct rcpt_place { uint32_t at, addr_n, orig_n; uint16_t orcpt_n; uint8_t notify; uint64_t hash; };

struct transaction {
	uint64_t           id;                         /* 0 until the first accepted recipient */
	struct wall        arrived;                    /* when MAIL came */
	struct buf         sender;
	struct buf         text;                       /* addresses of the recipients, one after another */
	struct rcpt_place *rcpts;
	size_t             nrcpts, cap;                /* without duplicates */
	size_t             accepted;                   /* RCPTs answered 250 */
	size_t             overshoot;                  /* recipients refused beyond the limit */
	bool               body8, utf8;                /* BODY=8BITMIME, SMTPUTF8 */
	uint8_t            ret;
	struct buf         envid;
	struct incoming   *incoming;                   /* with DATA */
};

struct session {
	struct list        link;
	struct smtpd      *smtpd;
	struct task       *task;
	struct io         *io;
	struct addr        client;
	struct wall        since;                      /* the connection */
	char              *name;                       /* "localhost", "unknown" */
	char              *address;                    /* "192.0.2.1" */
	char              *from;                       /* "name[address]" as in logs */
	char              *helo;                       /* NULL before HELO and EHLO */
	const char        *where;                      /* the last command, for logs of broken sessions */
	const char        *reason;                     /* why it broke off; NULL: it did not */
	unsigned           state;                      /* S_ */
	unsigned           errors, junk;
	size_t             unflushed;                  /* bytes of replies since the last flush, at least */
	uint64_t           content;                    /* bytes of content when it broke off in it */
	enum newlines      newlines;
	bool               esmtp, may_relay, counted;
	bool               local;                      /* the header of its messages is completed */
	bool               greeted;                    /* the 220 is on its way */
	bool               idle;                       /* waits for a command */
	bool               waiting;                    /* for its client, whatever for */
	struct time        waits_since;
	size_t             memory;                     /* as last accounted for: session_account() */
	bool               lost;                       /* nothing can be said to the client any more */
	struct { uint32_t good, total; } counts[CMD_COUNT + 1];
	struct transaction transaction;
	struct transcript  transcript;
};

/* session.c: take over an accepted socket, as a task.  False: could not be started; the socket is closed. */
bool session_start(struct smtpd *smtpd, int fd, const struct addr *client);
/* Back to the state after HELO, on every way out of a transaction: nothing of it is left in memory or on disk. */
void transaction_reset(struct session *s);
WAITS void session_flush(struct session *s);
/* Settings as they are for this client now; not to be kept beyond a wait. */
const struct params *session_params(const struct session *s);
/* Around each wait for the client: until when it may take, by smtpd_timeout; and its end. */
struct time session_await(struct session *s);
void session_heard(struct session *s);
/* The client took too long: say so. */
WAITS void session_time_out(struct session *s);
bool session_is_ahead(const struct session *s);        /* the client has sent what we did not ask for yet */

/* memory.c: what the session holds in memory has changed. */
void session_account(struct session *s);
bool memory_is_short(const struct smtpd *d);           /* smtpd_memory_limit is reached: nothing more may be begun */
bool memory_runs_short(const struct smtpd *d);         /* half of it is: what can be on disk should be */

/* say.c: the text of a reply, cleaned of what must not be in one. */
void say_render(const struct params *p, enum reply_id id, struct str arg, struct buf *out);
/* Queue a reply, after a pause when the client has made too many errors. */
WAITS void say(struct session *s, enum reply_id id);
WAITS void say_with(struct session *s, enum reply_id id, struct str arg);
/* Queue what is no reply of the table: the greeting, the answer to EHLO. */
void say_lines(struct session *s, struct str lines);
/* say_with(), and log it as a rejection of `where` ("RCPT", "END-OF-MESSAGE"); rcpt: the recipient it is about, if any. */
WAITS void say_rejected(struct session *s, const char *where, enum reply_id id, struct str arg, struct str rcpt);

/* logline.c */
void logline_disconnect(const struct session *s);
void logline_broken(const struct session *s);
const char *session_queue_id(const struct session *s, char out[QID_TEXT]);     /* or "NOQUEUE" */

/* policy.c */
bool policy_may_relay(const struct params *p, const struct addr *client);
/* May mail to this address enter?  SAY_OK; else the reply, whose text is appended to why. */
WAITS enum reply_id policy_rcpt(const struct session *s, struct str given, struct str address, struct buf *why);
/* The address of MAIL, RCPT or VRFY with its domain; out holds it. */
struct mail_args;
struct str full_address(const struct params *p, const struct mail_args *a, struct buf *out);
/* Is the header of this client's messages ours to complete and rewrite? */
bool policy_is_local(const struct params *p, const struct addr *client);
/* What the arguments of MAIL (RCPT) may have: ARGS_. */
unsigned policy_arguments(const struct session *s);
/* Room in the spool for a message of this size? */
enum err policy_space(const struct smtpd *smtpd, uint64_t size) MUST_USE;

/* received.c: our field above the content (RFC 5321 section 4.4). */
void received_field(const struct session *s, struct buf *out);

/* mailrcpt.c: the envelope as the spool wants it; rcpts is allocated, free() it. */
void transaction_envelope(const struct session *s, struct spool_msg *m);

/* accept.c: serve the listening sockets until the service is told to end. */
void accept_start(struct smtpd *smtpd, struct tasks *g);

#endif
