/* SPDX-License-Identifier: Apache-2.0 */
/* params_table.h - what the parts of params share: the table as data, and the defaults that are computed.  Included by
 * mail/params_*.c alone. */
#ifndef MAIL_PARAMS_TABLE_H
#define MAIL_PARAMS_TABLE_H

#include "mail/params.h"

enum param_kind { KIND_size, KIND_time, KIND_hours, KIND_days, KIND_num, KIND_bool, KIND_text, KIND_raw, KIND_dir, KIND_nets, KIND_choice };

struct param {
	enum param_kind kind;
	struct str      name;
	size_t          at;                            /* of the field in struct params */
	const char     *def;
	long long       min, max;
	const char     *doc;
};
extern const struct param param_table[];
extern const size_t       param_count;

/* A setting that each transport has its own of: TRANSPORT<suffix>. */
struct transport_param {
	struct str suffix;
	struct str general;                            /* name of the setting that holds for the others */
	const char *def;                               /* that, with its $ */
};
extern const struct transport_param transport_table[];
extern const size_t                 transport_count;

/* What defaults are made from: this host, this program, and what main.cf says so far.  Words are NULL until computed. */
struct param_env {
	const struct conf *conf;
	char              *myhostname, *mydomain, *mynetworks, *daemon_directory, *command_directory, *config_directory;
	char              *myorigin;                   /* NULL unless it is read from a file */
	struct buf         services;                   /* names in master.cf, a blank after each */
	bool               circular;                   /* $mydomain was asked for while it was being made */
	bool               stress;                     /* $stress is yes, unless it is set */
	bool               stress_asked;               /* $stress was asked for, and is not set */
};

const struct param *param_find(struct str name);
/* The entry of transport_table whose setting of some service this is; NULL when it is none. */
const struct transport_param *param_of_transport(const struct param_env *env, struct str name);
/* Not set is the empty text for these: the default is computed. */
const char *param_computed(const struct param_env *env, const struct param *d);

/* dir is where main.cf and master.cf are.  Never fails: what cannot be found out has a harmless value. */
void        param_env_init(struct param_env *env, const struct conf *c, const char *dir);
void        param_env_fini(struct param_env *env);
/* Unexpanded text of a setting: from the file, else its default; NULL: unknown.  For conf_expand(). */
const char *param_lookup(void *env, struct str name);
/* The first name with a dot on a line of this text (of /etc/hosts) that also has `name`; false: there is none. */
bool        param_full_name(struct str hosts, struct str name, struct str *full);

union param_value {
	long long    number;
	bool         yes;
	char        *text;
	struct nets *nets;
};
/* text is expanded.  E_SYNTAX with words that begin with what is wrong, not with the name. */
enum err param_parse(const struct param *d, struct str text, union param_value *v) MUST_USE;
void     param_store(struct params *p, const struct param *d, const union param_value *v);
void     param_clear(struct params *p, const struct param *d);  /* frees what the field owns */
/* The same, unless the field's memory is that of the one in `of`. */
void     param_clear_own(struct params *p, const struct params *of, const struct param *d);

/* Append the text of a main.cf to out with the definitions of name replaced by this line (with its line end; at the end if there were
 * none), taken out, or made comments. */
void     params_rewrite(struct str text, struct str name, struct str line, enum params_change how, struct buf *out);

/* Rules that the table cannot state, such as "only host is supported".  text is expanded. */
enum err param_check(const struct param *d, struct str text) MUST_USE;

#endif
