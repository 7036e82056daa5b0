/* SPDX-License-Identifier: Apache-2.0 */
/* Tables in files, and that what changes there is seen. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mail/maps_table.h"
#include "tests/unit/check.h"
#include "util/log.h"
#include "util/map_cdb.h"
#include "util/map_db.h"
#include "util/mem.h"
#include "util/proc.h"

enum { LOOK_MS = 150, LONG_AGO = 1000, LARGE = 3 << 19 };

static char dir[64];

static const char *
path_of(const char *name)
{
	static char path[2][512];
	static unsigned turn;
	char *p = path[turn++ % 2];

	snprintf(p, sizeof path[0], "%s/%s", dir, name);
	return p;
}

static void
begin(void)
{
	file_table_look_ms = LOOK_MS - 20;
	strcpy(dir, "/tmp/maps_test.XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
}

static void
end(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL)
		unlink(path_of(e->d_name));
	if (d)
		closedir(d);
	CHECK(rmdir(dir) == 0);
}

/* Give it a time stamp so many seconds ago. */
static void
age(const char *name, time_t seconds)
{
	struct timespec now, t[2];

	clock_gettime(CLOCK_REALTIME, &now);
	t[0] = t[1] = (struct timespec){ now.tv_sec - seconds, now.tv_nsec };
	CHECK(utimensat(AT_FDCWD, path_of(name), t, 0) == 0);
}

static void
write_text(const char *name, const char *text, time_t seconds_ago)
{
	CHECK(proc_write_file(path_of(name), str_of(text), 0644) == OK);
	age(name, seconds_ago);
}

/* A .db or .cdb as postmap makes it: under another name first. */
static void
write_made_with(const char *name, const char *key, const char *value, const char *filler, time_t seconds_ago)
{
	bool cdb = str_ends(str_of(name), STR(".cdb")), was;
	const char *temp = path_of("temp");
	struct map_cdb_maker *maker;
	struct map_db *db;
	int fd = open(temp, O_RDWR | O_CREAT | O_EXCL, 0644);

	CHECK(fd >= 0);
	if (cdb) {
		CHECK(map_cdb_begin(fd, &maker) == OK && map_cdb_add(maker, str_of(key), str_of(value), false) == OK);
		CHECK(map_cdb_add(maker, STR("filler"), str_of(filler), false) == OK);
		CHECK(map_cdb_end(&maker, false) == OK);
	} else {
		CHECK(map_db_create(temp, MAP_DB_HASH, &db) == OK);
		CHECK(map_db_put(db, str_of(key), str_of(value), true, false, &was) == OK && !was);
		CHECK(map_db_put(db, STR("filler"), str_of(filler), true, false, &was) == OK && !was);
		CHECK(map_db_sync(db) == OK);
		map_db_close(&db);
	}
	close(fd);
	CHECK(rename(temp, path_of(name)) == 0);
	age(name, seconds_ago);
}

static void
write_made(const char *name, const char *key, const char *value, time_t seconds_ago)
{
	write_made_with(name, key, value, "", seconds_ago);
}

/* The same, too large to be kept in memory. */
static void
write_large(const char *name, const char *key, const char *value, time_t seconds_ago)
{
	char *filler = mem_new(LARGE + 1);

	for (int i = 0; i < LARGE; i++)
		filler[i] = 'x';
	write_made_with(name, key, value, filler, seconds_ago);
	free(filler);
}

static struct maps *
opened(const char *spec)
{
	struct maps *m = NULL;

	CHECK(maps_open(str_of(spec), "test_maps", dir, &m) == OK);
	return m;
}

/* The value of key; "-" when there is none, "!" when it cannot be told. */
static void
check_is(struct maps *m, const char *key, const char *want)
{
	struct buf value = { 0 };
	bool found;
	enum err e = maps_find(m, str_of(key), 0, &value, &found);

	if (e != OK || !found) {
		buf_clear(&value);
		buf_adds(&value, e != OK ? "!" : "-");
	}
	if (strcmp(buf_cstr(&value), want) != 0)
		printf("%s: %s, not %s; %s\n", key, buf_cstr(&value), want, e != OK ? err_why() : "");
	CHECK_STR(buf_str(&value), want);
	buf_free(&value);
}

static void
until_the_next_look(void)
{
	if (task_self() == NULL)
		usleep(LOOK_MS * 1000);
	else if (task_sleep(time_after_ms(time_now(), LOOK_MS)) != OK)
		CHECK(false);
}

static void
copy_from_postfix(const char *name, const char *as)
{
	struct buf all = { 0 }, from = { 0 };

	buf_printf(&from, "tests/unit/mail/postfix/%s", name);
	CHECK(proc_read_file(buf_cstr(&from), &all) == OK);
	CHECK(proc_write_file(path_of(as), buf_str(&all), 0644) == OK);
	buf_free(&all);
	buf_free(&from);
}

static void
files_that_postfix_made_are_read(void)
{
	static const struct {
		const char *file, *as, *spec;
	} cases[] = {
		{ "hash.db", "t.db", "hash:t" },       { "btree.db", "t.db", "btree:t" }, { "btree.db", "t.db", "hash:t" },
		{ "hash-n.db", "t.db", "hash:t" },     { "table.cdb", "t.cdb", "cdb:t" }, { "table", "t", "texthash:t" },
		{ "table", "t", "hash:t" },            { "table", "t", "cdb:t" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct maps *m;

		begin();
		copy_from_postfix(cases[i].file, cases[i].as);
		m = opened(cases[i].spec);
		check_is(m, "foo@bar", "one");
		check_is(m, "FOO@bar", "one");
		check_is(m, "x", "two words   more");
		check_is(m, "\"q k\"@d", "v");
		check_is(m, "none", "-");
		maps_close(&m);
		end();
	}
}

static void
a_forgotten_postmap_is_no_trouble(void)
{
	static const struct {
		const char *spec, *made;
	} cases[] = { { "hash:t", "t.db" }, { "cdb:t", "t.cdb" } };

	for (size_t i = 0; i < countof(cases); i++) {
		void (*const write[])(const char *, const char *, const char *, time_t) = { write_made, write_large };
		struct maps *m;

		begin();
		write_text("t", "k text-1\n", LONG_AGO);
		m = opened(cases[i].spec);
		check_is(m, "k", "text-1");            /* nothing but the text */
		write[0](cases[i].made, "k", "made-2", LONG_AGO - 10);
		until_the_next_look();
		check_is(m, "k", "made-2");
		write_text("t", "k text-3\n", LONG_AGO - 20);
		until_the_next_look();
		check_is(m, "k", "text-3");            /* the text is newer */
		check_is(m, "other", "-");
		write[1](cases[i].made, "k", "made-4", LONG_AGO - 30);
		until_the_next_look();
		check_is(m, "k", "made-4");
		maps_close(&m);
		end();
	}
}

static void
a_new_entry_in_a_large_replaced_file_is_seen_at_once(void)
{
	static const struct {
		const char *spec, *made;
	} cases[] = { { "hash:t", "t.db" }, { "cdb:t", "t.cdb" } };

	for (size_t i = 0; i < countof(cases); i++) {
		struct maps *m;

		begin();
		write_large(cases[i].made, "a", "1", LONG_AGO);
		m = opened(cases[i].spec);
		check_is(m, "a", "1");
		check_is(m, "b", "-");
		write_large(cases[i].made, "b", "2", LONG_AGO - 10);
		check_is(m, "b", "2");                 /* "not found" is not believed of a file that is no more */
		check_is(m, "a", "-");
		unlink(path_of(cases[i].made));
		check_is(m, "b", "2");
		check_is(m, "c", "!");
		maps_close(&m);
		end();
	}
}

static void
text_tables_follow_their_files(void)
{
	static const struct {
		const char *spec, *first, *second, *bad;
	} cases[] = {
		{ "texthash:t", "k 1\n", "k 2\n", "k 3\nmalformed\n" },
		{ "regexp:t", "/k/ 1\n", "/k/ 2\n", "/k/ 3\n/(/ x\n" },
		{ "pcre:t", "/k/ 1\n", "/k/ 2\n", "/k/ 3\nif /x/\n" },
		{ "hash:t", "k 1\n", "k 2\n", "k 3\nmalformed\n" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct maps *m;

		begin();
		m = opened(cases[i].spec);
		check_is(m, "k", "!");                 /* there is no file yet */
		write_text("t", cases[i].first, LONG_AGO);
		until_the_next_look();
		check_is(m, "k", "1");
		write_text("t", cases[i].second, LONG_AGO - 10);
		until_the_next_look();
		check_is(m, "k", "2");
		write_text("t", cases[i].bad, LONG_AGO - 20);
		until_the_next_look();
		check_is(m, "k", "2");                 /* the former version stays */
		file_table_settled_s = 60;
		write_text("t", "", 0);                /* may be half written: not believed yet */
		until_the_next_look();
		check_is(m, "k", "2");
		file_table_settled_s = 1;
		age("t", LONG_AGO - 30);
		until_the_next_look();
		check_is(m, "k", "-");
		maps_close(&m);
		end();
	}
}

static void
a_file_is_not_looked_at_before_its_time(void)
{
	struct maps *m;

	begin();
	file_table_look_ms = 60000;
	write_text("t", "k 1\n", LONG_AGO);
	m = opened("texthash:t");
	check_is(m, "k", "1");
	write_text("t", "k 2\n", LONG_AGO - 10);
	check_is(m, "k", "1");
	maps_close(&m);
	end();
}

static void
a_first_version_that_is_malformed_makes_mail_wait(void)
{
	struct maps *m;

	begin();
	write_text("t", "k 1\nmalformed\n", LONG_AGO);
	m = opened("texthash:t");
	check_is(m, "k", "!");
	CHECK(strstr(err_why(), "/t:2:1: expected: key, blank, value") != NULL);
	check_is(m, "k", "!");
	write_made("t.db", "k", "made", LONG_AGO + 10);
	maps_close(&m);
	m = opened("hash:t");
	check_is(m, "k", "made");                      /* older than the text, but there, and whole */
	maps_close(&m);
	end();
}

static void
what_is_wrong_is_logged_once(void)
{
	struct buf log = { 0 };
	struct maps *m;
	int fd, n = 0;

	begin();
	fd = open(path_of("log"), O_RDWR | O_CREAT | O_APPEND, 0600);
	log_open(fd, "postroad", "test", "host");
	m = opened("hash:gone");
	for (int i = 0; i < 5; i++)
		check_is(m, "k", "!");
	until_the_next_look();
	check_is(m, "k", "!");
	maps_close(&m);
	log_close();
	CHECK(proc_read_file(path_of("log"), &log) == OK);
	for (const char *p = buf_cstr(&log); (p = strstr(p, "warning: test_maps: hash:gone: ")) != NULL; p++)
		n++;
	CHECK(n == 1);
	close(fd);
	buf_free(&log);
	end();
}

static void
a_file_that_is_being_written_is_not_read(void)
{
	struct maps *m;
	int fd;

	begin();
	write_made("t.db", "k", "1", LONG_AGO);
	fd = open(path_of("t.db"), O_RDWR);
	CHECK(flock(fd, LOCK_EX) == 0);
	m = opened("hash:t");
	check_is(m, "k", "!");
	CHECK(strstr(err_why(), "locked") != NULL);
	close(fd);
	until_the_next_look();
	check_is(m, "k", "1");
	maps_close(&m);
	end();
}

static void
damaged_files_are_temporary_trouble(void)
{
	static const char *const specs[] = { "hash:t", "cdb:t" };
	struct maps *m;

	begin();
	write_text("t.db", "this is no database, whatever its name says\n", LONG_AGO);
	write_text("t.cdb", "nor is this one", LONG_AGO);
	CHECK(mkdir(path_of("d"), 0700) == 0);
	for (size_t i = 0; i < countof(specs); i++) {
		m = opened(specs[i]);
		check_is(m, "k", "!");
		maps_close(&m);
	}
	m = opened("texthash:d");
	check_is(m, "k", "!");
	maps_close(&m);
	rmdir(path_of("d"));
	end();
}

static void
alias_tables_have_their_own_text(void)
{
	struct maps *m = NULL;

	begin();
	write_text("aliases", "root: joe, \"|prog a\"\n\"with blank\": x\nList:\n  :include:/f\n", LONG_AGO);
	CHECK(maps_open_aliases(STR("hash:aliases"), "alias_maps", dir, &m) == OK);
	check_is(m, "root", "joe, \"|prog a\"");
	check_is(m, "with blank", "x");
	check_is(m, "list", ":include:/f");
	maps_close(&m);
	end();
}

struct crowd {
	struct maps *m;
	unsigned     asked, wrong;
	bool         over;
};

static void
one_of_the_crowd(void *arg)
{
	struct crowd *c = arg;
	struct buf value = { 0 };
	bool found;

	while (!c->over) {
		if (maps_find(c->m, STR("k"), 0, &value, &found) != OK || !found || !str_starts(buf_str(&value), STR("v")))
			c->wrong++;
		c->asked++;
		task_yield();
	}
	buf_free(&value);
}

/* Somebody else looks, and who asks meanwhile gets the former version. */
static WAITS void
until_it_is(struct maps *m, const char *key, const char *want)
{
	struct time end = time_after(time_now(), 30);
	struct buf value = { 0 };
	bool found;

	while (maps_find(m, str_of(key), 0, &value, &found) == OK && !str_eq(buf_str(&value), str_of(want)) &&
	       time_before(time_now(), end))
		if (task_sleep(time_after_ms(time_now(), 5)) != OK)
			break;
	CHECK_STR(buf_str(&value), want);
	buf_free(&value);
}

/* Many ask while versions come and go: each gets a whole answer from one of them. */
static void
versions_change_under_a_crowd(void)
{
	static const char *const specs[] = { "hash:t", "regexp:t", "texthash:t", "hash:t" };

	for (size_t s = 0; s < countof(specs); s++) {
		struct crowd c = { .over = false };
		struct tasks g;

		begin();
		tasks_init(&g);
		write_text("t", s == 1 ? "/k/ v0\n" : "k v0\n", LONG_AGO);
		c.m = opened(specs[s]);
		for (int i = 0; i < 20; i++)
			CHECK(task_start(&g, "asks", one_of_the_crowd, &c) != NULL);
		for (int i = 1; i <= 3; i++) {
			char text[32], want[16];

			snprintf(want, sizeof want, "v%d", i);
			snprintf(text, sizeof text, "%s %s\n", s == 1 ? "/k/" : "k", want);
			if (s == 0 && i == 2)
				write_made("t.db", "k", want, LONG_AGO - 10 * i);
			else if (s == 3)
				write_large("t.db", "k", want, LONG_AGO - 10 * i);
			else
				write_text("t", text, LONG_AGO - 10 * i);
			until_it_is(c.m, "k", want);
		}
		c.over = true;
		tasks_wait(&g);
		CHECK(c.asked > 100 && c.wrong == 0);
		maps_close(&c.m);
		end();
	}
}

SUITE(maps_file, TEST(files_that_postfix_made_are_read), TASK_TEST(files_that_postfix_made_are_read),
    TASK_TEST(a_forgotten_postmap_is_no_trouble), TEST(a_new_entry_in_a_large_replaced_file_is_seen_at_once),
    TASK_TEST(a_new_entry_in_a_large_replaced_file_is_seen_at_once), TASK_TEST(text_tables_follow_their_files),
    TEST(a_file_is_not_looked_at_before_its_time), TASK_TEST(a_file_is_not_looked_at_before_its_time),
    TEST(a_first_version_that_is_malformed_makes_mail_wait), TEST(what_is_wrong_is_logged_once),
    TASK_TEST(a_file_that_is_being_written_is_not_read), TEST(damaged_files_are_temporary_trouble),
    TEST(alias_tables_have_their_own_text), TASK_TEST(versions_change_under_a_crowd));
