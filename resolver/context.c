/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/context.h"

#include <stdio.h>
#include <unbound.h>

#include "resolver/probe.h"
#include "util/log.h"
#include "util/net.h"
#include "util/proc.h"

enum { FORWARDERS_MAX = 16, DNS_PORT = 53 };

/* Not all versions of the library know all options; none of these is worth not starting for. */
static void
option(struct ub_ctx *ctx, const char *name, const char *value)
{
	int rc = ub_ctx_set_option(ctx, name, value);

	if (rc != 0)
		log_debug("libunbound option %s %s: %s", name, value, ub_strerror(rc));
}

struct forwarders {
	unsigned n;
	bool     loopback;
};

/* word: address or address@port. */
static enum err
add_forwarder(struct ub_ctx *ctx, struct str word, struct forwarders *f)
{
	struct str rest = word, host;
	char text[ADDR_TEXT], where[ADDR_TEXT + 8];
	uint64_t port = DNS_PORT;
	struct addr a;
	int rc;

	if (!str_cut(&rest, '@', &host) || addr_parse(host, 0, &a) != OK ||
	    (host.n < word.n && (!str_u64(rest, &port) || port == 0 || port > UINT16_MAX)))
		return fail(E_SYNTAX, "\"%.*s\" is not an address or address@port", STR_ARG(word));
	snprintf(where, sizeof where, "%s@%u", addr_text(&a, text), (unsigned)port);
	if ((rc = ub_ctx_set_fwd(ctx, where)) != 0)
		return fail(E_IO, "name server %s: %s", where, ub_strerror(rc));
	f->n++;
	f->loopback = f->loopback || addr_is_loopback(&a);
	return OK;
}

/* Read here, not by ub_ctx_resolvconf(): that asks 127.0.0.1 when the file names nobody, and does
 * not say who it asks. */
static enum err
add_system_forwarders(struct ub_ctx *ctx, struct forwarders *f)
{
	struct buf file = BUF(0);
	struct str rest, line, word;
	enum err e = proc_read_file("/etc/resolv.conf", &file);

	if (e != OK)
		log_warn("/etc/resolv.conf: %s", err_why());
	rest = buf_str(&file);
	while (f->n < FORWARDERS_MAX && str_cut(&rest, '\n', &line)) {
		if (!str_word(&line, " \t\r", &word) || !str_eq(word, STR("nameserver")) ||
		    !str_word(&line, " \t\r", &word))
			continue;
		/* The library does not understand link-local servers with a scope (fe80::1%eth0). */
		if (add_forwarder(ctx, word, f) != OK)
			log_warn("/etc/resolv.conf: %s", err_why());
	}
	buf_free(&file);
	return OK;
}

static enum err
add_forwarders(struct ub_ctx *ctx, const struct params *p, struct forwarders *f)
{
	struct str rest = str_of(p->dns_forwarders), word;

	if (str_trim(rest).n == 0)
		return add_system_forwarders(ctx, f);
	while (str_word(&rest, ", \t", &word)) {
		if (f->n == FORWARDERS_MAX)
			return fail(E_SYNTAX, "more than %d servers", FORWARDERS_MAX);
		TRY(add_forwarder(ctx, word, f));
	}
	return OK;
}

static enum err
add_files(struct ub_ctx *ctx, const struct params *p)
{
	const char *anchors = p->dns_trust_anchor_file, *more = p->dns_config_file;
	int rc;

	/* Without an anchor there is nothing to validate against; a file of settings may bring one. */
	if (!anchors[0] && !more[0])
		option(ctx, "module-config:", "iterator");
	if (more[0] && (rc = ub_ctx_config(ctx, more)) != 0)
		return fail(E_IO, "dns_config_file %s: %s", more, ub_strerror(rc));
	if (anchors[0] && (rc = ub_ctx_add_ta_file(ctx, anchors)) != 0)
		return fail(E_IO, "dns_trust_anchor_file %s: %s", anchors, ub_strerror(rc));
	return OK;
}

static enum err
set_up(struct ub_ctx *ctx, const struct params *p)
{
	struct forwarders f = { 0 };
	enum err e;
	int rc;

	/* A server that was down is asked again soon after it is back, not in 15 minutes. */
	option(ctx, "infra-host-ttl:", "60");
	option(ctx, "infra-keep-probing:", "yes");
	TRY(add_files(ctx, p));
	if ((e = add_forwarders(ctx, p, &f)) != OK)
		return fail(e, "dns_forwarders: %s", err_why());
	if (f.n > 0) {
		/* The network's own servers know its own addresses; the library denies them all. */
		option(ctx, "unblock-lan-zones:", "yes");
		option(ctx, "insecure-lan-zones:", "yes");
	}
	if (f.loopback)
		option(ctx, "do-not-query-localhost:", "no");
	if ((rc = ub_ctx_async(ctx, 1)) != 0)
		return fail(E_IO, "libunbound thread: %s", ub_strerror(rc));
	/* These come last: they freeze the settings.  Left to the first question, that would happen on a task's
	 * stack, which is too small for the library's zone reader. */
	TRY(probe_add_zone(ctx));
	/* A server on this very host may well serve test. (RFC 6761 section 6.2 leaves that to the site). */
	if (f.loopback && (rc = ub_ctx_zone_remove(ctx, "test.")) != 0)
		log_debug("zone test.: %s", ub_strerror(rc));
	log_debug("name servers: %s%s",
	    f.n ? "forwarding" : "none to forward to, asking the root servers",
	    p->dns_trust_anchor_file[0] ? "; validating" : "");
	return OK;
}

enum err
context_new(const struct params *p, struct ub_ctx **out)
{
	struct ub_ctx *ctx = ub_ctx_create();
	enum err e;

	if (ctx == NULL)
		return fail(E_IO, "libunbound cannot be set up");
	if ((e = set_up(ctx, p)) != OK) {
		ub_ctx_delete(ctx);
		return e;
	}
	*out = ctx;
	return OK;
}
