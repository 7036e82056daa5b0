/* SPDX-License-Identifier: Apache-2.0 */
/* dns_channel.h - questions under way to the resolver process; inside of mail/dns.c only.  Asking and waiting are two steps, so
 * that one task can have several questions out at once. */
#ifndef MAIL_DNS_CHANNEL_H
#define MAIL_DNS_CHANNEL_H

#include "mail/dns.h"
#include "util/map.h"

enum { DNS_NAME_MAX = 255 };

struct dns_question {
	struct map_node   node;                        /* key: the bytes of id */
	uint64_t          id;                          /* 0: never asked, result is in err */
	uint16_t          type;
	unsigned          sent;                        /* times */
	bool              done;
	enum err          err;
	char              name[DNS_NAME_MAX + 1];
	char              why[160];                    /* of E_DNS_TEMP: ": " and the resolver's words, or "" */
	struct dns_answer answer;
	struct wait       waiting;
};

void           dns_channel_setup(const char *socket_path);
/* The question must stay in place until it was awaited. */
void           dns_question_ask(struct dns_question *q, struct str name, enum dns_type type);
/* As dns_ask(). */
WAITS enum err dns_question_await(struct dns_question *q, struct time deadline, struct dns_answer *a) MUST_USE;

#endif
