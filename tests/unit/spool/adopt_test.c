/* SPDX-License-Identifier: Apache-2.0 */
/* R11 of docs/SPOOL.md: messages from elsewhere are taken once, whatever happens in between. */
#include "spool/adopt.h"

#include <sys/wait.h>

#include "tests/unit/spool/fixture.h"

enum { SIZE = 2000 };

static char source[96];                                /* a message file somewhere */
static uint64_t id;
static unsigned fates[ADOPT_FAILED + 1];
static char why[ERR_WHY_MAX];
static const struct adopt_how usual = { .dir = SPOOL_DIR_COUNT };

static void
on_fate(void *arg, const struct adoption *a)
{
	(void)arg;
	fates[a->fate]++;
	snprintf(why, sizeof why, "%s", a->why);
}

/* A message made in one spool, its file moved out of it. */
static WAITS struct buf
a_file(bool deferred)
{
	struct spool *other = spool_up(SYNC_NONE);
	struct spool_msg m;
	struct buf b;

	need(put(other, SIZE, &m));
	id = m.id;
	if (deferred)
		need(note(other, id, JRN_T_DEFERRED, 0, "later"));
	b = slurp(file_of(SPOOL_INCOMING, id));
	spool_down(&other);
	return b;
}

static struct spool *
fresh(const struct buf *file)
{
	struct spool *s = spool_up(SYNC_AUTO);

	snprintf(source, sizeof source, "%s/source", scratch);
	spew(source, buf_str(file));
	memset(fates, 0, sizeof fates);
	return s;
}

static enum err
load(struct spool *s, const struct adopt_how *how)
{
	struct adopt *a;
	enum err e = adopt_open(s, on_fate, NULL, &a);

	if (e != OK)
		return e;
	adopt_add(a, source, how);
	e = adopt_commit(a);
	adopt_close(&a);
	return e;
}

static bool
is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static size_t
copies(struct spool *s)
{
	return files_in(s, SPOOL_INCOMING) + files_in(s, SPOOL_DEFERRED) + files_in(s, SPOOL_HOLD);
}

static void
r11_1_a_file_is_taken_with_its_state_and_goes_away(void)
{
	static const struct { bool deferred; enum spool_dir say, dir; bool keep; } cases[] = {
		{ false, SPOOL_DIR_COUNT, SPOOL_INCOMING, false },
		{ true,  SPOOL_DIR_COUNT, SPOOL_DEFERRED, false },
		{ true,  SPOOL_HOLD,      SPOOL_HOLD,     false },
		{ false, SPOOL_DEFERRED,  SPOOL_DEFERRED, true  },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf file = a_file(cases[i].deferred);
		struct spool *s = fresh(&file);
		struct spool_view v;

		CHECK(load(s, &(struct adopt_how){ .dir = cases[i].say, .keep = cases[i].keep }) == OK);
		CHECK(fates[ADOPT_TAKEN] == 1);
		CHECK(is_whole(s, cases[i].dir, id, SIZE) && copies(s) == 1);
		CHECK(is_there(source) == cases[i].keep);
		CHECK(spool_read(s, cases[i].dir, id, true, &v) == OK);
		CHECK((v.progress[0].state == JRN_DEFERRED) == cases[i].deferred);
		spool_view_fini(&v);
		buf_free(&file);
		spool_down(&s);
	}
}

static void
r11_1_a_second_load_finds_it_there(void)
{
	struct buf file = a_file(true);
	struct spool *s = fresh(&file);

	CHECK(load(s, &(struct adopt_how){ .dir = SPOOL_DIR_COUNT, .keep = true }) == OK);
	need(spool_move(s, id, SPOOL_DEFERRED, SPOOL_HOLD));
	CHECK(load(s, &usual) == OK);
	CHECK(fates[ADOPT_TAKEN] == 1 && fates[ADOPT_THERE] == 1 && copies(s) == 1 && !is_there(source));
	buf_free(&file);
	spool_down(&s);
}

static void
r11_5_what_was_taken_and_delivered_is_not_taken_again(void)
{
	struct buf file = a_file(true);
	struct spool *s = fresh(&file);

	CHECK(load(s, &(struct adopt_how){ .dir = SPOOL_DIR_COUNT, .keep = true }) == OK);
	need(spool_remove(s, SPOOL_DEFERRED, id));
	CHECK(load(s, &usual) == OK);
	CHECK(fates[ADOPT_BEFORE] == 1 && copies(s) == 0 && is_there(source));
	CHECK(load(s, &(struct adopt_how){ .dir = SPOOL_DIR_COUNT, .again = true }) == OK);
	CHECK(fates[ADOPT_TAKEN] == 2 && copies(s) == 1 && !is_there(source));
	buf_free(&file);
	spool_down(&s);
}

/* It has been elsewhere and had a life there: its file is longer than when it was taken. */
static void
r11_5_what_comes_back_with_more_history_is_taken(void)
{
	struct buf file = a_file(false);
	struct spool *s = fresh(&file);
	struct buf longer;

	CHECK(load(s, &usual) == OK);
	need(note(s, id, JRN_T_DEFERRED, 0, "later"));
	longer = slurp(file_of(SPOOL_INCOMING, id));
	need(spool_remove(s, SPOOL_INCOMING, id));
	spew(source, buf_str(&longer));
	CHECK(load(s, &usual) == OK);
	CHECK(fates[ADOPT_TAKEN] == 2 && files_in(s, SPOOL_DEFERRED) == 1);
	buf_free(&file);
	buf_free(&longer);
	spool_down(&s);
}

static void
r11_2_damaged_and_unfinished_files_are_left(void)
{
	static const struct { const char *what; long cut; size_t flip; enum adopt_fate fate; } cases[] = {
		{ "envelope",  0,     70,   ADOPT_DAMAGED    },
		{ "content",   0,     1000, ADOPT_DAMAGED    },
		{ "header",    0,     20,   ADOPT_DAMAGED    },
		{ "half",      -1000, 0,    ADOPT_UNFINISHED },
		{ "a word",    5,     0,    ADOPT_UNFINISHED },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct buf file = a_file(false);
		struct spool *s;
		size_t n = cases[i].cut < 0 ? file.n - (size_t)-cases[i].cut : cases[i].cut > 0 ? (size_t)cases[i].cut : file.n;

		if (cases[i].flip)
			file.p[cases[i].flip] = (char)(file.p[cases[i].flip] ^ 1);
		buf_cut(&file, n);
		s = fresh(&file);
		CHECK(load(s, &usual) == OK);
		CHECK(fates[cases[i].fate] == 1 && copies(s) == 0 && is_there(source));
		buf_free(&file);
		spool_down(&s);
	}
}

static void
another_message_with_its_id_stays_and_so_does_the_file(void)
{
	struct buf file = a_file(false);
	struct spool *s = fresh(&file);
	struct spool_msg m = a_message();
	struct entry *e;

	m.id = id;
	e = entry_new(s, &m);
	CHECK(entry_add(e, STR("something else")) == OK && entry_commit(&e, 0, &m) == OK);
	CHECK(load(s, &usual) == OK);
	CHECK(fates[ADOPT_FAILED] == 1 && copies(s) == 1 && is_there(source));
	buf_free(&file);
	spool_down(&s);
}

static void
only_one_loads_at_a_time(void)
{
	struct buf file = a_file(false);
	struct spool *s = fresh(&file);
	struct adopt *a, *b;

	CHECK(adopt_open(s, on_fate, NULL, &a) == OK);
	CHECK(adopt_open(s, on_fate, NULL, &b) == E_BUSY && b == NULL);
	adopt_close(&a);
	buf_free(&file);
	spool_down(&s);
}

/* -- whatever fails, and wherever it dies -- */

static const char *const calls[] = { "open", "write", "pwrite", "read", "mkdir", "fsync", "fdatasync", "rename", "unlink" };
enum { DEEP = 40 };

/* After the accident: at every moment the message is in the source or in the spool; loading again ends with it in the spool
 * once, or, when it was delivered in between, not at all. */
enum meanwhile { NOTHING, DELIVERED_HERE, DELIVERED_THERE, MEANWHILES };

static void
go_on(struct spool *s, enum meanwhile what)
{
	bool live, delivered_meanwhile = what == DELIVERED_HERE;

	CHECK(copies(s) <= 1);
	CHECK(copies(s) == 1 || is_there(source));
	live = copies(s) == 1;
	/* The system that it came from was started again, as nothing had been taken; that has done with it. */
	if (!live && what == DELIVERED_THERE) {
		CHECK(unlink(source) == 0);
		(void)!load(s, &usual);
		CHECK(copies(s) == 0 && fates[ADOPT_TAKEN] == 0);
		return;
	}
	if (live && delivered_meanwhile)
		need(spool_remove(s, SPOOL_DEFERRED, id));
	CHECK(load(s, &usual) == OK);
	if (live && delivered_meanwhile) {
		CHECK(copies(s) == 0);
	} else {
		CHECK(copies(s) == 1 && is_whole(s, SPOOL_DEFERRED, id, SIZE));
		CHECK(!is_there(source));
	}
	CHECK(access(file_of(SPOOL_DEFERRED, id), F_OK) == 0 || copies(s) == 0);
}

static void
r11_3_after_any_failed_call_it_is_still_somewhere_and_comes_in_once(void)
{
	struct buf file = a_file(true);
	char fault[64];
	unsigned hits = 0;

	for (size_t i = 0; i < countof(calls); i++)
		for (int n = 1; n < DEEP; n++) {
			struct spool *s = fresh(&file);

			snprintf(fault, sizeof fault, "unit:%s:%d:EIO", calls[i], n);
			faults(fault);
			(void)!load(s, &usual);
			faults(NULL);
			hits += fates[ADOPT_TAKEN] == 0 || is_there(source);
			go_on(s, (enum meanwhile)(n % MEANWHILES));
			spool_down(&s);
		}
	CHECK(hits > 10);
	buf_free(&file);
}

static void
r11_4_wherever_it_dies_it_is_still_somewhere_and_comes_in_once(void)
{
	struct buf file = a_file(true);
	unsigned deaths = 0;

	for (size_t i = 0; i < countof(calls); i++)
		for (int n = 1; n < DEEP; n++) {
			struct spool *s = fresh(&file);
			char fault[64];
			int status;
			pid_t pid = fork();

			if (pid == 0) {
				snprintf(fault, sizeof fault, "unit:%s:%d:KILL", calls[i], n);
				faults(fault);
				(void)!load(s, &usual);
				_exit(0);
			}
			CHECK(waitpid(pid, &status, 0) == pid);
			deaths += WIFSIGNALED(status);
			if (!WIFSIGNALED(status))
				n = DEEP;              /* it has no more calls of that kind */
			go_on(s, (enum meanwhile)(deaths % MEANWHILES));
			spool_down(&s);
		}
	CHECK(deaths > 15);
	buf_free(&file);
}

SUITE(adopt, TASK_TEST(r11_1_a_file_is_taken_with_its_state_and_goes_away), TASK_TEST(r11_1_a_second_load_finds_it_there),
    TASK_TEST(r11_5_what_was_taken_and_delivered_is_not_taken_again),
    TASK_TEST(r11_5_what_comes_back_with_more_history_is_taken), TASK_TEST(r11_2_damaged_and_unfinished_files_are_left),
    TASK_TEST(another_message_with_its_id_stays_and_so_does_the_file), TASK_TEST(only_one_loads_at_a_time),
    TASK_TEST(r11_3_after_any_failed_call_it_is_still_somewhere_and_comes_in_once),
    TASK_TEST(r11_4_wherever_it_dies_it_is_still_somewhere_and_comes_in_once));
