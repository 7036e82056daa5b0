/* SPDX-License-Identifier: Apache-2.0 */
/* ${stress?…} in main.cf. */
#include "mail/params.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/check.h"
#include "tests/unit/scratch.h"
#include "util/proc.h"

static char dir[64];

static void
begin(const char *main_cf)
{
	char path[128];

	strcpy(dir, "/tmp/params_stress.XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof path, "%s/main.cf", dir);
	CHECK(proc_write_file(path, str_of(main_cf), 0640) == OK);
}

static void
end(void)
{
	scratch_remove(dir);
}

static void
settings_have_a_second_value_for_overload(void)
{
	struct params p;

	begin("smtpd_banner = a${stress?b}\nsmtpd_helo_required = ${stress?{yes}:{no}}\n"
	      "my = $smtpd_timeout\nsmtpd_error_sleep_time = $my\nmynetworks = 127.0.0.0/8${stress?, 10.0.0.0/8}\n"
	      "smtpd_recipient_limit = 7\n");
	CHECK(params_load(&p, dir, NULL, 0) == OK && p.stressed != NULL);
	CHECK(strcmp(p.smtpd_banner, "a") == 0 && strcmp(p.stressed->smtpd_banner, "ab") == 0);
	CHECK(p.smtpd_timeout == 300 && p.stressed->smtpd_timeout == 10);
	CHECK(p.smtpd_hard_error_limit == 20 && p.stressed->smtpd_hard_error_limit == 1);
	CHECK(p.smtpd_junk_command_limit == 100 && p.stressed->smtpd_junk_command_limit == 1);
	CHECK(p.smtpd_error_sleep_time == 300 && p.stressed->smtpd_error_sleep_time == 10);
	CHECK(!p.smtpd_helo_required && p.stressed->smtpd_helo_required);
	CHECK(p.mynetworks != p.stressed->mynetworks);
	CHECK(p.smtpd_recipient_limit == 7 && p.stressed->smtpd_recipient_limit == 7);
	CHECK(p.myhostname == p.stressed->myhostname && p.smtpd_min_data_rate == p.stressed->smtpd_min_data_rate);
	params_fini(&p);
	end();
}

static void
a_stress_that_is_set_is_no_question_of_load(void)
{
	static const struct {
		const char *main_cf, *override;
		long long timeout;
	} cases[] = {
		{ "stress = yes\n", NULL, 10 }, { "stress =\n", NULL, 300 }, { "", "stress=yes", 10 }, { "", "stress=", 300 },
		{ "stress = yes\n", "stress=", 300 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct params p;

		begin(cases[i].main_cf);
		CHECK(params_load(&p, dir, &cases[i].override, cases[i].override != NULL) == OK);
		CHECK(p.smtpd_timeout == cases[i].timeout && p.stressed == NULL);
		params_fini(&p);
		end();
	}
}

SUITE(params_stress, TEST(settings_have_a_second_value_for_overload), TEST(a_stress_that_is_set_is_no_question_of_load));
