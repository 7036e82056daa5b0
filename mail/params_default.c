/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults that depend on the host, on where the program lies, and on other settings. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mail/params_table.h"
#include "util/mem.h"
#include "util/proc.h"

enum { HOST_NAME_ROOM = 256, OWN_MAX = 256 };

bool
param_full_name(struct str hosts, struct str name, struct str *full)
{
	struct str line, word;

	while (str_cut(&hosts, '\n', &line)) {
		bool found = false, first = true;

		*full = STR("");
		line.n = str_find(line, '#');
		for (; str_word(&line, " \t\r", &word); first = false) {
			if (first)                     /* the address */
				continue;
			found = found || str_ieq(word, name);
			if (full->n == 0 && str_find(word, '.') < word.n)
				*full = word;
		}
		if (found && full->n > 0)
			return true;
	}
	return false;
}

/* Made fully qualified without asking the network: a host that cannot be named must still start. */
static char *
system_name(void)
{
	char name[HOST_NAME_ROOM] = "";
	struct buf hosts = { 0 }, made = { 0 };
	struct str full;

	if (gethostname(name, sizeof name - 1) < 0 || name[0] == '\0')
		strcpy(name, "localhost");
	if (strchr(name, '.') == NULL && proc_read_file("/etc/hosts", &hosts) == OK &&
	    param_full_name(buf_str(&hosts), str_of(name), &full))
		buf_add(&made, full);
	else
		buf_printf(&made, "%s%s", name, strchr(name, '.') ? "" : ".localdomain");
	buf_free(&hosts);
	return made.p;
}

static bool
is_program(const char *dir, const char *name)
{
	struct buf path = { 0 };
	struct stat st;
	bool is;

	buf_printf(&path, "%s/%s", dir, name);
	is = stat(buf_cstr(&path), &st) == 0 && S_ISREG(st.st_mode) && access(buf_cstr(&path), X_OK) == 0;
	buf_free(&path);
	return is;
}

/* A build tree has everything in one place; an installation has daemons below libexec and commands in sbin. */
static void
find_programs(struct param_env *env)
{
	struct str libexec = STR(POSTROAD_LIBEXEC), below = STR("/libexec/postroad");
	const char *here = proc_self_dir();
	struct buf sbin = { 0 };

	env->daemon_directory = is_program(here, "master") ? mem_dup(here) : str_dup(libexec);
	if (is_program(here, "postroad")) {
		env->command_directory = mem_dup(here);
		return;
	}
	if (str_ends(libexec, below))
		libexec.n -= below.n;
	buf_add(&sbin, libexec);
	buf_adds(&sbin, "/sbin");
	env->command_directory = sbin.p;
}

static char *
absolute_path(const char *path)
{
	char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
	struct buf full = { 0 };
	struct str trimmed = str_of(path);

	while (trimmed.n > 1 && trimmed.p[trimmed.n - 1] == '/')
		trimmed.n--;
	if (cwd)
		buf_printf(&full, "%s/", cwd);
	buf_add(&full, trimmed);
	free(cwd);
	return full.p;
}

static void
read_services(struct param_env *env)
{
	struct buf path = { 0 }, text = { 0 };
	struct conf_lines *lines;
	struct str line, name;
	unsigned at;

	buf_printf(&path, "%s/master.cf", env->config_directory);
	if (proc_read_file(buf_cstr(&path), &text) == OK) {
		lines = conf_lines_open(buf_str(&text));
		while (conf_lines_next(lines, &line, &at)) {
			if (str_word(&line, " \t", &name)) {
				buf_add(&env->services, name);
				buf_addc(&env->services, ' ');
			}
		}
		conf_lines_close(&lines);
	}
	buf_free(&text);
	buf_free(&path);
}

static char *
expanded(struct param_env *env, const char *text)
{
	struct buf out = { 0 };
	char *value = NULL;

	if (conf_expand(str_of(text), param_lookup, env, &out) == OK)
		value = str_dup(str_trim(buf_str(&out)));
	buf_free(&out);
	return value;
}

static char *
make_mydomain(struct param_env *env)
{
	char *host = expanded(env, "$myhostname");
	const char *dot = host ? strchr(host, '.') : NULL;
	char *domain = mem_dup(dot ? dot + 1 : "localdomain");

	free(host);
	return domain;
}

/* mynetworks_style = host: the loopback networks, and of this host's addresses those that inet_interfaces names. */
static char *
make_mynetworks(struct param_env *env)
{
	char *protocols = expanded(env, "$inet_protocols"), *interfaces = expanded(env, "$inet_interfaces");
	bool v4 = protocols == NULL || strcasecmp(protocols, "ipv6") != 0;
	bool v6 = protocols == NULL || strcasecmp(protocols, "ipv4") != 0;
	bool all = interfaces == NULL || strcasecmp(interfaces, "all") == 0;
	struct addr *own = mem_array(OWN_MAX, sizeof *own);
	size_t n = net_own_addresses(own, OWN_MAX);
	struct buf out = { 0 };

	buf_adds(&out, v4 ? "127.0.0.0/8" : "");
	buf_adds(&out, v6 ? v4 ? " [::1]/128" : "[::1]/128" : "");
	for (size_t i = 0; i < n; i++) {
		char text[ADDR_TEXT];
		bool is6 = own[i].sa.sa_family == AF_INET6;

		addr_text(&own[i], text);
		if ((is6 ? !v6 : !v4) || addr_is_loopback(&own[i]) || strchr(text, '%') != NULL ||
		    (!all && !list_has(str_of(interfaces), str_of(text), false)))
			continue;
		buf_printf(&out, is6 ? " [%s]/128" : " %s/32", text);
	}
	free(own);
	free(interfaces);
	free(protocols);
	return out.p;
}

/* NULL: it names no file. */
static char *
read_myorigin(struct param_env *env)
{
	char *path = expanded(env, "$myorigin"), *line = NULL;
	struct buf text = { 0 };
	struct str rest, first = STR("");

	if (path && path[0] == '/') {
		if (proc_read_file(path, &text) == OK) {
			rest = buf_str(&text);
			if (!str_cut(&rest, '\n', &first))
				first = STR("");
		}
		first = str_trim(first);
		line = first.n > 0 ? str_dup(first) : mem_dup("$myhostname");
	}
	buf_free(&text);
	free(path);
	return line;
}

void
param_env_init(struct param_env *env, const struct conf *c, const char *dir)
{
	*env = (struct param_env){ .conf = c };
	env->config_directory = absolute_path(dir);
	read_services(env);
	find_programs(env);
	env->myhostname = system_name();
	env->mydomain = make_mydomain(env);
	env->mynetworks = make_mynetworks(env);
	env->myorigin = read_myorigin(env);
}

void
param_env_fini(struct param_env *env)
{
	mem_free(&env->myhostname);
	mem_free(&env->mydomain);
	mem_free(&env->mynetworks);
	mem_free(&env->myorigin);
	mem_free(&env->daemon_directory);
	mem_free(&env->command_directory);
	mem_free(&env->config_directory);
	buf_free(&env->services);
}

/* Where the computed default of a setting is kept; NULL: it has a constant one. */
static char *const *
computed(const struct param_env *env, struct str name)
{
	const struct {
		struct str name;
		char *const *text;
	} all[] = {
		{ STR("myhostname"),        &env->myhostname        },
		{ STR("mydomain"),          &env->mydomain          },
		{ STR("mynetworks"),        &env->mynetworks        },
		{ STR("daemon_directory"),  &env->daemon_directory  },
		{ STR("command_directory"), &env->command_directory },
		{ STR("config_directory"),  &env->config_directory  },
	};

	for (size_t i = 0; i < countof(all); i++)
		if (str_eq(name, all[i].name))
			return all[i].text;
	return NULL;
}

const char *
param_computed(const struct param_env *env, const struct param *d)
{
	char *const *text = computed(env, d->name);

	return text ? *text : NULL;
}

const char *
param_lookup(void *arg, struct str name)
{
	struct param_env *env = arg;
	char *const *text = computed(env, name);
	const struct conf_entry *e = conf_get(env->conf, name);
	const struct param *d;
	const struct transport_param *t;

	if (e == NULL && str_eq(name, STR("stress"))) {
		env->stress_asked = true;
		return env->stress ? "yes" : "";
	}
	if (env->myorigin && str_eq(name, STR("myorigin")))
		return env->myorigin;
	/* mynetworks may be set to nothing, and then means it. */
	if (e && (e->value[0] != '\0' || text == NULL || text == &env->mynetworks))
		return e->value;
	if (text) {
		env->circular |= text == &env->mydomain && *text == NULL;
		return *text;
	}
	d = param_find(name);
	if (d)
		return d->def;
	t = param_of_transport(env, name);
	return t ? t->def : NULL;
}
