/* SPDX-License-Identifier: Apache-2.0 */
/* transcript.h - what was said in an SMTP session, for the postmaster: mailed to error_notice_recipient when the session ends in
 * which an event of a class of notify_classes has come to pass.  Commands and replies are kept, the last KEPT bytes of them;
 * never content nor what proves an identity.  Whatever fails here fails with a line in the log, and nothing else. */
#ifndef INTAKE_TRANSCRIPT_H
#define INTAKE_TRANSCRIPT_H

#include "intake/intake.h"

enum trouble {
	TROUBLE_NONE,
	TROUBLE_POLICY   = 1,                          /* refused, though well said */
	TROUBLE_PROTOCOL = 2,                          /* not SMTP, or out of order */
	TROUBLE_RESOURCE = 4,                          /* no room, no memory, a file that cannot be written */
	TROUBLE_SOFTWARE = 8,                          /* a table or a process that does not answer */
};
enum { TRANSCRIPT_KEPT = 8 << 10 };

struct transcript {
	unsigned   wanted, seen;                       /* TROUBLE_; wanted = 0: nothing is kept */
	struct buf text;                               /* "In:  QUIT\r\nOut: 221 …\r\n" */
	size_t     left_out;                           /* lines that are no longer in it */
};

unsigned transcript_classes(const struct params *p);   /* TROUBLE_, as notify_classes says */
void     transcript_init(struct transcript *t, unsigned wanted);
void     transcript_in(struct transcript *t, struct str line);
void     transcript_out(struct transcript *t, struct str reply);       /* one line or several */
void     transcript_trouble(struct transcript *t, unsigned class);
void     transcript_fini(struct transcript *t);
/* Mail it, if it is wanted.  peer: "name[address]"; more: why the session broke off, or NULL.  At most PER_MINUTE are sent by one
 * process; the next one tells how many were not. */
WAITS void transcript_send(const struct transcript *t, struct intake *in, const char *peer, const char *more);

#endif
