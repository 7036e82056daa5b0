/* SPDX-License-Identifier: Apache-2.0 */
/* explain.h - what the files of `postroad explain` share: what was found out, and two ways to tell it. */
#ifndef CMD_EXPLAIN_H
#define CMD_EXPLAIN_H

#include "cmd/queue.h"
#include "cmd/queue_sum.h"

/* Records of qmgr's answers, one encoded after another; decoded by *_take. */
struct explain {
	struct cmd   *c;
	struct params params;
	struct str    what;                            /* as asked */
	struct buf    items, sites, events;            /* msg_item, msg_site, jrn_record (of one message) */
	uint64_t      messages;                        /* in items, at most MESSAGES_SHOWN, and all that were found */
	uint64_t      found;
	bool          down, away;                      /* qmgr is not there; though the rest of the mail system is */
	int64_t       now;                             /* us since 1970 */
};
enum { MESSAGES_SHOWN = 20 };

/* The destination's state, borrowed; false: qmgr knows none of that name. */
bool explain_site(const struct explain *x, struct str transport, struct str nexthop, struct msg_site *site);
int64_t explain_expires(const struct explain *x, const struct msg_item *item);  /* us since 1970 */

void explain_message_text(const struct explain *x, const struct msg_item *item);
void explain_site_text(const struct explain *x, const struct msg_site *site);
void explain_gone_text(const struct explain *x, const char *id);
void explain_message_json(const struct explain *x, const struct msg_item *item);
void explain_site_json(const struct explain *x, const struct msg_site *site);
void explain_gone_json(const struct explain *x, const char *id);

/* Lines of text, broken before column 80 at blanks, each `indent` columns in; `column`: where the first one stands already. */
void explain_wrap(struct str text, int indent, int column);
const char *text_of_time(int64_t at, int64_t now, char out[SHORT_TEXT]);       /* "22:51:38", "24 Nov 22:51" */
/* The lines of the log that are about this id, if it can be read; how many. */
unsigned explain_log(const struct explain *x, const char *id, unsigned most);

#endif
