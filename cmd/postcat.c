/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "cmd/queue.h"
#include "util/mem.h"

static const struct {
	int flag;
	unsigned what;
} flags[] = {
	{'b',  SHOW_BODY    },
	{ 'd', SHOW_RAW     },
	{ 'e', SHOW_ENVELOPE},
	{ 'h', SHOW_HEADER  },
	{ 'o', SHOW_OFFSETS },
};

static int
usage(const struct cmd *c, FILE *out, int status)
{
	if (out == stderr)
		cmd_warn(c, "fatal: usage: postcat [-b (body text)] [-c config_dir] [-d (decimal "
			    "record type)] [-e (envelope "
			    "records)] [-h (header text)] [-q (access queue)] [-v] [file(s)...]");
	else
		fputs(
		    "usage: postcat [-c DIR] [-bdefhoqrv] [-s OFFSET] FILE|ID ...\n"
		    "  -e  envelope    -h  header    -b  body    (all three unless said)\n"
		    "  -q  names are queue ids           -o  offset in the file before each line\n"
		    "  -d  type of record before each    -s  begin at this offset\n",
		    out);
	return status;
}

static int
show(struct cmd *c, const char *name, bool queued, unsigned what, uint64_t skip)
{
	return queue_show(c, str_of(name), queued ? NULL : name, what, skip);
}

int
cmd_postcat(struct cmd *c, int argc, char **argv)
{
	unsigned what = 0;
	uint64_t skip = 0;
	bool queued = false;
	int o, status = EX_DONE;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(c, stdout, EX_DONE);
	optind = 0;
	while ((o = getopt(argc, argv, "c:vbdefhoqrs:")) != -1) {
		for (size_t i = 0; i < countof(flags); i++)
			what |= o == flags[i].flag ? flags[i].what : 0;
		if (o == 'c')
			c->dir = optarg;
		queued |= o == 'q';
		if (o == '?' || (o == 's' && !str_u64(str_of(optarg), &skip)))
			return usage(c, stderr, EX_NOT_DONE);
	}
	if ((what & (SHOW_ENVELOPE | SHOW_HEADER | SHOW_BODY)) == 0)
		what |= SHOW_ENVELOPE | SHOW_HEADER | SHOW_BODY;
	if (what & SHOW_ENVELOPE)
		what |= SHOW_MARKS;
	if (optind == argc)
		return queued ? usage(c, stderr, EX_NOT_DONE)
			      : show(c, "/dev/stdin", false, what, skip);
	for (; optind < argc && status == EX_DONE; optind++)
		status = show(c, argv[optind], queued, what, skip);
	return status == EX_DONE ? EX_DONE : EX_NOT_DONE;
}
