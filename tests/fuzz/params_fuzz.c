/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a main.cf.  What stands in it is read from memory; a part of the inputs, always the same ones, is also loaded as a file
 * with all settings there are, which takes a hundred times as long. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mail/params_table.h"
#include "spool/crc.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#ifdef FUZZING
enum { LOADED_PART = 256 };
#else
enum { LOADED_PART = 1 };
#endif

static struct conf_entry *
entry_of(struct map_node *n)
{
	return n ? container_of(n, struct conf_entry, node) : NULL;
}

static void
read_value(struct param_env *env, const struct conf_entry *e)
{
	const struct transport_param *t = param_of_transport(env, str_of(e->name));
	const struct param *d = param_find(t ? t->general : str_of(e->name));
	union param_value v = { 0 };
	struct buf out = { 0 };

	if (conf_expand(str_of(e->value), param_lookup, env, &out) != OK) {
		ENSURE(err_why()[0] != '\0');
	} else if (d) {
		struct params p = { 0 };
		struct str text = str_trim(buf_str(&out));

		if (param_check(d, text) == OK && param_parse(d, text, &v) == OK) {
			param_store(&p, d, &v);
			param_clear(&p, d);
		}
	}
	buf_free(&out);
}

static void
read_values(const struct conf *c)
{
	static struct param_env env;
	static struct conf none;
	struct map_iter it = { 0 };
	const struct conf_entry *e;

	if (env.config_directory == NULL)
		param_env_init(&env, &none, "/nowhere");
	env.conf = c;
	while ((e = entry_of(map_next(&c->entries, &it))) != NULL)
		read_value(&env, e);
}

/* The setting has its new value, or none, whatever the text looked like; the others have what they had. */
static void
check_edit(const struct conf *before, struct str text, struct str name, enum params_change how)
{
	struct buf line = { 0 }, edited = BUF(16 << 20);
	struct map_iter it = { 0 };
	struct conf after = { 0 };
	const struct conf_entry *e, *other;

	if (how == PARAMS_CHANGE)
		buf_printf(&line, "%.*s = a.b\n", STR_ARG(name));
	params_rewrite(text, name, buf_str(&line), how, &edited);
	ENSURE(conf_parse(&after, "F", buf_str(&edited)) == OK);
	e = conf_get(&after, name);
	ENSURE(how == PARAMS_CHANGE ? e && strcmp(e->value, "a.b") == 0 : e == NULL);
	ENSURE(after.entries.n == before->entries.n + (e != NULL) - (conf_get(before, name) != NULL));
	while ((e = entry_of(map_next(&before->entries, &it))) != NULL) {
		other = conf_get(&after, str_of(e->name));
		ENSURE(str_eq(str_of(e->name), name) || (other && strcmp(other->value, e->value) == 0));
	}
	conf_fini(&after);
	buf_free(&edited);
	buf_free(&line);
}

/* A setting that may stand there, and the first one that does. */
static void
check_edits(const struct conf *before, struct str text)
{
	struct map_iter it = { 0 };
	const struct conf_entry *first = entry_of(map_next(&before->entries, &it));

	check_edit(before, text, STR("relayhost"), PARAMS_CHANGE);
	if (first == NULL)
		return;
	check_edit(before, text, str_of(first->name), PARAMS_CHANGE);
	check_edit(before, text, str_of(first->name), PARAMS_REMOVE);
	check_edit(before, text, str_of(first->name), PARAMS_COMMENT_OUT);
}

static char dir[64], file[80];

static void
clean_up(void)
{
	(void)unlink(file);
	(void)rmdir(dir);
}

static int
make_directory(void)
{
	int fd = memfd_create("main.cf", MFD_CLOEXEC);
	char target[64];

	snprintf(dir, sizeof dir, "%s/params_fuzz.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	ENSURE(fd >= 0 && mkdtemp(dir) != NULL);
	snprintf(file, sizeof file, "%s/main.cf", dir);
	snprintf(target, sizeof target, "/proc/self/fd/%d", fd);
	ENSURE(symlink(target, file) == 0);
	atexit(clean_up);
	return fd;
}

/* A directory in which main.cf is a file of memory. */
static const char *
directory_with(struct str text)
{
	static int fd = -1;

	if (fd < 0)
		fd = make_directory();
	ENSURE(ftruncate(fd, 0) == 0 && pwrite(fd, text.p, text.n, 0) == (ssize_t)text.n);
	return dir;
}

static void
load_all(struct str text)
{
	const char *where = directory_with(text);
	struct buf out = BUF(16 << 20);
	struct params p;

	if (params_load(&p, where, NULL, 0) == OK) {
		ENSURE(p.myhostname[0] != '\0' && p.smtpd_timeout >= 1);
		params_print(&p, PARAMS_ALL, STR(""), true, false, &out);
		(void)params_transport(&p, STR("smtp"), "_destination_concurrency_limit");
		params_fini(&p);
	} else {
		ENSURE(err_why()[0] != '\0');
	}
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str text = { (const char *)data, n };
	struct conf c = { 0 };

	if (conf_parse(&c, "main.cf", text) == OK) {
		read_values(&c);
		check_edits(&c, text);
	} else {
		ENSURE(str_starts(str_of(err_why()), STR("main.cf:")));
	}
	conf_fini(&c);
	if (crc32c(0, data, n) % LOADED_PART == 0)
		load_all(text);
	return 0;
}
