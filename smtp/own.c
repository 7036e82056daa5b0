/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/own.h"

#include <stdio.h>

#include "util/conf.h"
#include "util/log.h"
#include "util/proc.h"

enum { OWN_MAX = 512, INTERFACES_MAX = 256, SMTP_PORT = 25, COMMAND_FIELD = 7 };

static struct {
	struct addr at[OWN_MAX];
	size_t n;
} own;

void
own_clear(void)
{
	own.n = 0;
}

static void
add(const struct addr *a, uint16_t port)
{
	char text[ADDR_TEXT];

	if (own.n < OWN_MAX && addr_parse(str_of(addr_text(a, text)), port, &own.at[own.n]) == OK)
		own.n++;
}

/* inet_interfaces: all, loopback-only, or addresses; names among them are left to the check of the greeting. */
static bool
interface_taken(const struct addr *a, const char *list)
{
	struct str rest = str_of(list), word;
	struct addr listed;
	char text[ADDR_TEXT];

	while (str_word(&rest, ", \t", &word)) {
		if (str_ieq(word, STR("all")) || (str_ieq(word, STR("loopback-only")) && addr_is_loopback(a)))
			return true;
		if (addr_parse(word, 0, &listed) == OK &&
		    strcmp(addr_text(&listed, text), "0.0.0.0") != 0 && addr_same_host(&listed, a))
			return true;
	}
	return false;
}

void
own_add(struct str host, uint16_t port, const char *inet_interfaces)
{
	struct addr *all, a;
	size_t n;

	if (str_ieq(host, STR("localhost")))
		host = STR("127.0.0.1");
	if (host.n > 0 && !str_eq(host, STR("0.0.0.0")) && !str_eq(host, STR("::"))) {
		if (addr_parse(host, port, &a) == OK)
			add(&a, port);
		return;
	}
	all = mem_array(INTERFACES_MAX, sizeof *all);
	n = net_own_addresses(all, INTERFACES_MAX);
	for (size_t i = 0; i < n; i++)
		if (host.n > 0 || interface_taken(&all[i], inet_interfaces))
			add(&all[i], port);
	free(all);
}

static bool
port_of(struct str text, uint16_t *port)
{
	static const struct {
		const char *name;
		uint16_t port;
	} known[] = { { "smtp", SMTP_PORT }, { "submission", 587 }, { "smtps", 465 }, { "submissions", 465 } };
	uint64_t v;

	if (str_u64(text, &v) && v > 0 && v <= UINT16_MAX) {
		*port = (uint16_t)v;
		return true;
	}
	for (size_t i = 0; i < countof(known); i++) {
		if (str_ieq(text, str_of(known[i].name))) {
			*port = known[i].port;
			return true;
		}
	}
	return false;
}

bool
own_service(struct str line, struct str *host, uint16_t *port)
{
	struct str name, word;
	size_t colon;

	if (!str_word(&line, " \t", &name))
		return false;
	for (size_t i = 1; i <= COMMAND_FIELD; i++) {
		if (!str_word(&line, " \t", &word) || (i == 1 && !str_eq(word, STR("inet"))))
			return false;
	}
	colon = str_rfind(name, ':');
	*host = colon < name.n ? str_sub(name, 0, colon) : STR("");
	if (host->n > 2 && host->p[0] == '[' && host->p[host->n - 1] == ']')
		*host = str_sub(*host, 1, host->n - 2);
	return str_eq(word, STR("smtpd")) && port_of(colon < name.n ? str_sub(name, colon + 1, name.n) : name, port);
}

void
own_setup(const struct params *p, const char *dir)
{
	struct buf path = BUF(0), file = BUF(0);
	struct conf_lines *lines;
	struct str line, host;
	unsigned number;
	uint16_t port;

	own_clear();
	if (!buf_printf(&path, "%s/master.cf", dir) || proc_read_file(buf_cstr(&path), &file) != OK) {
		log_debug("looking for loops on port 25 only: %s", err_why());
		own_add(STR(""), SMTP_PORT, p->inet_interfaces);
	} else {
		lines = conf_lines_open(buf_str(&file));
		while (conf_lines_next(lines, &line, &number))
			if (own_service(line, &host, &port))
				own_add(host, port, p->inet_interfaces);
		conf_lines_close(&lines);
	}
	buf_free(&path);
	buf_free(&file);
}

bool
own_is(const struct addr *a)
{
	for (size_t i = 0; i < own.n; i++)
		if (addr_port(&own.at[i]) == addr_port(a) && addr_same_host(&own.at[i], a))
			return true;
	return false;
}
