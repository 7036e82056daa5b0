/* SPDX-License-Identifier: Apache-2.0 */
#include "local/frame.h"

#include "agent/environment.h"

static bool
add(struct buf *out, const char *name, struct str value, const char *filter)
{
	if (!buf_printf(out, "%s=", name))
		return false;
	if (filter ? !name_filter(value, filter, out) : !buf_add(out, value))
		return false;
	return buf_addc(out, '\0');
}

static bool
add_client(const struct surroundings *s, struct buf *out)
{
	const char *filter = s->p->command_expansion_filter;

	const struct {
		const char *name;
		struct str value;
	} all[] = {
		{"CLIENT_ADDRESS",   s->m->client_addr},
		{ "CLIENT_HOSTNAME", s->m->client_name},
		{ "CLIENT_HELO",     s->m->client_helo},
		{ "CLIENT_PROTOCOL", s->m->protocol   },
		{ "SASL_USERNAME",   s->m->login      },
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i].value.n > 0 && !add(out, all[i].name, all[i].value, filter))
			return false;
	return true;
}

bool
frame_environment(const struct surroundings *s, struct buf *out)
{
	const char *filter = s->p->command_expansion_filter;
	const struct name *n = s->name;

	const struct {
		const char *name;
		struct str value;
		const char *filter;
	} all[] = {
		{"SHELL",               str_of(s->shell),       NULL  },
		{ "HOME",               str_of(s->home),        NULL  },
		{ "USER",               buf_str(&n->user),      filter},
		{ "LOGNAME",            str_of(s->user),        filter},
		{ "EXTENSION",          buf_str(&n->extension), filter},
		{ "LOCAL",              buf_str(&n->local),     filter},
		{ "DOMAIN",             n->domain,              filter},
		{ "RECIPIENT",          buf_str(&n->address),   filter},
		{ "ORIGINAL_RECIPIENT", s->original,            filter},
		{ "SENDER",             s->sender,              filter},
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if ((all[i].value.n > 0 || i > 1) &&
		    !add(out, all[i].name, all[i].value, all[i].filter))
			return false;
	return environment_add(s->p, out) && (s->m == NULL || add_client(s, out));
}
