/* SPDX-License-Identifier: Apache-2.0 */
/* sendmail.h - what the files of sendmail(1) share: what its options say, and reading a message from standard input. */
#ifndef CMD_SENDMAIL_H
#define CMD_SENDMAIL_H

#include <stdio.h>

#include "cmd/submit.h"

enum sendmail_mode { MODE_DELIVER, MODE_SMTP, MODE_LIST, MODE_ALIASES, MODE_DAEMON, MODE_FLUSH, MODE_VERIFY };

struct sendmail {
	struct cmd         *c;
	struct params       params;
	enum sendmail_mode  mode;
	struct submission   s;
	bool                extract;                   /* -t: recipients from the header */
	bool                dots;                      /* -i: a line of "." does not end the message */
	bool                has_sender;                /* -f */
	const char         *full_name;                 /* -F, or what is known of the user */
	const char         *flush;                     /* -qI, -qR: what to flush; NULL: all */
	int                 flush_by;                  /* 'i', 's' */
};

/* Read the message and hand it in; the exit status. */
int sendmail_deliver(struct sendmail *m, FILE *in);
/* Hand in a message that is only tried (-bv): its sender gets a report of what would become of it. */
int sendmail_try(struct sendmail *m);
/* Speak SMTP on standard input and output (-bs) until QUIT. */
int sendmail_smtp(struct sendmail *m, FILE *in, FILE *out);
/* The user's own address, "root". */
const char *sendmail_user(void);
/* Add the addresses of a list; false (having said why): one of them is none. */
bool sendmail_rcpts(struct sendmail *m, struct str list);

#endif
