/* SPDX-License-Identifier: Apache-2.0 */
/* dns NAME [TYPE]: what the mail system's own resolver says, and whether it could validate it. */
#include "mail/dns.h"

#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "util/mem.h"

enum { PATIENCE_SECONDS = 35 };

static const struct {
	const char *name;
	enum dns_type type;
} types[] = {
	{"A",      DNS_A    },
	{ "AAAA",  DNS_AAAA },
	{ "CNAME", DNS_CNAME},
	{ "MX",    DNS_MX   },
	{ "PTR",   DNS_PTR  },
	{ "TLSA",  DNS_TLSA },
	{ "TXT",   DNS_TXT  },
};

struct asking {
	const struct cmd *cmd;
	struct str name;
	size_t type; /* in types */
	int status;
};

static void
print_record(const struct asking *q, const struct msg_record *r)
{
	enum dns_type type = types[q->type].type;
	char text[ADDR_TEXT];

	printf("%.*s %s ", STR_ARG(q->name), types[q->type].name);
	if (type == DNS_A || type == DNS_AAAA) {
		struct addr a;

		if (record_addr(r, type, 0, &a))
			printf("%s", addr_text(&a, text));
	} else if (type == DNS_MX) {
		printf("%u %.*s", r->pref, STR_ARG(r->text));
	} else if (type == DNS_TLSA) {
		for (size_t i = 0; i < r->text.n; i++)
			printf("%02x", (unsigned char)r->text.p[i]);
	} else {
		printf("%.*s", STR_ARG(r->text));
	}
	putchar('\n');
}

static void
ask(void *arg)
{
	struct asking *q = arg;
	struct dns_answer a;
	enum err e =
	    dns_ask(q->name, types[q->type].type, time_after(time_now(), PATIENCE_SECONDS), &a);

	if (e != OK) {
		cmd_warn(q->cmd, "%.*s %s: %s", STR_ARG(q->name), types[q->type].name, err_why());
		q->status = e == E_DNS_NONE ? 1 : 75;
	} else {
		for (size_t i = 0; i < a.n; i++)
			print_record(q, &a.records[i]);
		printf("%s%s, for %u seconds\n", a.n == 0 ? "no such record, " : "",
		    a.secure ? "validated" : "not validated", a.ttl);
	}
	dns_answer_fini(&a);
	task_exit();
}

int
cmd_dns(struct cmd *c, int argc, char **argv)
{
	struct asking q = { .cmd = c };
	struct params p;

	while (argc == 3 && q.type < countof(types) && strcasecmp(types[q.type].name, argv[2]) != 0)
		q.type++;
	if (argc < 2 || argc > 3 || q.type == countof(types)) {
		cmd_warn(c, "usage: postroad dns NAME [A|AAAA|CNAME|MX|PTR|TLSA|TXT]");
		return 64;
	}
	if (!cmd_params(c, &p))
		return 1;
	q.name = str_of(argv[1]);
	if (chdir(p.queue_directory) != 0) {
		cmd_warn(c, "%s: no spool there", p.queue_directory);
		q.status = 69;
	} else {
		dns_setup(&p);
		task_run(ask, &q, 1);
	}
	params_fini(&p);
	return q.status;
}
