/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mail/params_table.h"
#include "tests/unit/check.h"
#include "util/mem.h"
#include "util/proc.h"

static char dir[64];

static void
write_file(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	CHECK(proc_write_file(path, str_of(text), 0640) == OK);
}

static void
end(void)
{
	static const char *const names[] = { "main.cf", "mailname" };
	char path[128];

	for (size_t i = 0; i < countof(names); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	CHECK(rmdir(dir) == 0);
}

static void
the_domain_of_local_mail_may_stand_in_a_file(void)
{
	static const struct { const char *content, *origin, *list; } cases[] = {
		{ "mail.example.com\n",         "mail.example.com", "mail.example.com, localhost" },
		{ "  one.example \nsecond\n",   "one.example",      "one.example, localhost" },
		{ "no-newline.example",          "no-newline.example", "no-newline.example, localhost" },
		{ "\n",                          "host.test",        "host.test, localhost" },
		{ NULL,                          "host.test",        "host.test, localhost" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		char text[512], where[128] = "/nowhere/mailname";
		struct params p;

		strcpy(dir, "/tmp/params_default.XXXXXX");
		CHECK(mkdtemp(dir) != NULL);
		if (cases[i].content) {
			write_file("mailname", cases[i].content);
			snprintf(where, sizeof where, "%s/mailname", dir);
		}
		snprintf(text, sizeof text, "myhostname = host.test\nmyorigin = %s\nmydestination = $myorigin, localhost\n", where);
		write_file("main.cf", text);
		CHECK(params_load(&p, dir, NULL, 0) == OK);
		CHECK(strcmp(p.myorigin, cases[i].origin) == 0);
		CHECK(strcmp(p.mydestination, cases[i].list) == 0);
		params_fini(&p);
		end();
	}
}

static void
a_short_name_is_made_full_from_the_hosts_file(void)
{
	static const struct { const char *hosts, *full; } cases[] = {
		{ "127.0.0.1 localhost\n127.0.1.1\thost.example.net host\n", "host.example.net" },
		{ "127.0.1.1 host host.example.net\n",                       "host.example.net" },
		{ "127.0.1.1 HOST.example.net Host # host.no\n",             "HOST.example.net" },
		{ "127.0.1.1 host\n::1 host.six host\n",                     "host.six"         },
		{ "127.0.1.1 other.example.net other\n",                     NULL               },
		{ "127.0.1.1 host # host.example.net\n",                     NULL               },
		{ "host x.example.net\n",                                    NULL               },
		{ "",                                                        NULL               },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct str full;
		bool found = param_full_name(str_of(cases[i].hosts), STR("host"), &full);

		CHECK(found == (cases[i].full != NULL));
		if (found)
			CHECK_STR(full, cases[i].full);
	}
}

SUITE(params_default, TEST(the_domain_of_local_mail_may_stand_in_a_file), TEST(a_short_name_is_made_full_from_the_hosts_file));
