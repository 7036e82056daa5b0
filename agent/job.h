/* SPDX-License-Identifier: Apache-2.0 */
/* job.h - one delivery: some recipients of one message to one next hop, and what became of each.  What every delivery agent
 * shares; how the mail is handed over is its own. */
#ifndef AGENT_JOB_H
#define AGENT_JOB_H

#include "agent/channel.h"
#include "mail/params.h"
#include "mail/reply.h"
#include "spool/spool.h"
#include "util/time.h"

struct outcome {
	struct msg_rcpt  rcpt;                         /* borrows from the job's frame */
	enum rcpt_status status;
	enum rcpt_action action;                       /* DELIVERED unless set */
	bool             final;                        /* sent or bounced; logged */
	bool             known;                        /* status and words are from this delivery */
	bool             softened;                     /* bounced, were it not for soft_bounce */
	bool             accepted;                     /* the agent's own mark */
	char             esc[ESC_MAX];
	struct buf       text, mta, diag;
};

struct job {
	const struct params *params;
	struct spool        *spool;
	struct msg_deliver   m;                        /* borrows from the frame */
	struct outcome      *rcpts;
	size_t               n;
	struct spool_view   *view;                     /* job_envelope() */
	/* For the log: where it went ("mx.example[192.0.2.1]:25", "local"; empty: none), messages sent on that connection,
	 * when the delivery began and when all was set up (us 0: it never was). */
	struct buf           relay;
	unsigned             uses;
	struct wall          begun, ready;
	enum site_state      site;                     /* how the destination itself behaved; UNKNOWN at first */
	struct buf           site_text;
	bool                 damaged;                  /* the message is not what was committed: qmgr is to set it aside */
};

/* Take a DELIVER record apart; frame must outlive the job.  E_IPC. */
enum err job_init(struct job *j, const struct params *p, struct spool *s, struct str frame) MUST_USE;
void     job_fini(struct job *j);

/* What was decided for one recipient: logged when it is final, that is unless it is DEFERRED, which a later try may change.
 * With soft_bounce, BOUNCED becomes DEFERRED.  esc: "2.0.0"; mta and diag: the remote host's name and its reply alone, or "". */
void     outcome_set(struct job *j, struct outcome *o, enum rcpt_status status, const char *esc, const char *mta, struct str diag,
             const char *fmt, ...) __attribute__((format(printf, 7, 8)));
/* The same for all that are still open. */
void     job_all(struct job *j, enum rcpt_status status, const char *esc, const char *text);
/* Another transport is to deliver it: "transport:nexthop".  Not logged: that one will say what became of it. */
void     outcome_pass(struct outcome *o, struct str transport);
/* Nothing is to be delivered: each recipient's outcome is what would be done (sendmail -bv). */
static inline bool job_is_trial(const struct job *j) { return (j->m.flags & MF_VERIFY) != 0; }
bool     job_open(const struct job *j);                /* some recipient is not final */
/* The destination cannot be talked to: feedback for the scheduler, and text for the log. */
void     job_site_down(struct job *j, const char *text);
/* The end: what has no outcome yet is deferred, what is not logged yet is logged. */
void     job_settle(struct job *j);
/* The DONE record. */
void     job_report(const struct job *j, struct buf *out);
/* All of the envelope, read from the file at the first call: client, ENVID, RET, ORCPT of each recipient by its index.
 * A job whose message has not MF_DSN rarely needs it. */
WAITS enum err job_envelope(struct job *j, const struct spool_msg **m) MUST_USE;
/* The header of the message, or its first header_size_limit bytes; into an empty buf, whose ceiling is set. */
WAITS enum err job_header(struct job *j, struct buf *header) MUST_USE;
/* The content, found undamaged and open for reading: [m.content_at, m.content_at + m.size).  E_CORRUPT: see damaged. */
WAITS enum err job_content(struct job *j, int *fd) MUST_USE;

#endif
