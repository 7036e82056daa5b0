/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a main.cf. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mail/params.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char dir[64], file[80];

static void
clean_up(void)
{
	unlink(file);
	rmdir(dir);
}

static void
set_up(void)
{
	snprintf(dir, sizeof dir, "%s/params_fuzz.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	ENSURE(mkdtemp(dir) != NULL);
	snprintf(file, sizeof file, "%s/main.cf", dir);
	atexit(clean_up);
}

/* After an edit the setting has its new value, whatever the file looked like. */
static void
check_edit(void)
{
	struct conf before = { 0 }, after = { 0 };
	const struct conf_entry *e;

	if (conf_load(&before, file) == OK) {
		ENSURE(params_edit(dir, STR("relayhost"), STR("a.b")) == OK);
		ENSURE(conf_load(&after, file) == OK);
		e = conf_get(&after, STR("relayhost"));
		ENSURE(e && strcmp(e->value, "a.b") == 0);
		ENSURE(after.entries.n >= before.entries.n);
	}
	conf_fini(&after);
	conf_fini(&before);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf out = BUF(16 << 20);
	struct params p;
	int fd;

	if (dir[0] == '\0')
		set_up();
	fd = open(file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	ENSURE(fd >= 0 && write(fd, data, n) == (ssize_t)n && close(fd) == 0);
	if (params_load(&p, dir, NULL, 0) == OK) {
		ENSURE(p.myhostname[0] != '\0' && p.smtpd_timeout >= 1);
		params_print(&p, PARAMS_ALL, STR(""), true, false, &out);
		(void)params_transport(&p, STR("smtp"), "_destination_concurrency_limit");
		params_fini(&p);
	} else {
		ENSURE(err_why()[0] != '\0');
	}
	check_edit();
	buf_free(&out);
	return 0;
}
