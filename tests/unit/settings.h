/* SPDX-License-Identifier: Apache-2.0 */
/* Settings for tests that read no main.cf. */
#ifndef TESTS_UNIT_SETTINGS_H
#define TESTS_UNIT_SETTINGS_H

#include "mail/params.h"

#define SETTING_text(p, name, def) (p)->name = def;
#define SETTING_raw    SETTING_text
#define SETTING_dir    SETTING_text
#define SETTING_choice SETTING_text
#define SETTING_bool(p, name, def) (p)->name = def[0] == 'y';
#define SETTING_size(p, name, def)
#define SETTING_time(p, name, def)
#define SETTING_hours(p, name, def)
#define SETTING_days(p, name, def)
#define SETTING_num(p, name, def)
#define SETTING_nets(p, name, def)

/* Texts and choices have their defaults, $names in them unexpanded; numbers are 0. */
static inline void
settings_default(struct params *p)
{
	*p = (struct params){ .mynetworks = NULL };
#define P(kind, name, def, min, max, doc) SETTING_##kind(p, name, def)
	PARAMS(P)
#undef P
}

#endif
