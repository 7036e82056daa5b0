/* SPDX-License-Identifier: Apache-2.0 */
#include "pipe/pipe.h"

#include "pipe/macro.h"

static const struct {
	char letter;
	unsigned flag;
} letters[] = {
	{'B',  PIPE_BLANK_END  },
	{ 'D', PIPE_DELIVERED  },
	{ 'F', PIPE_FROM       },
	{ 'O', PIPE_ORIGINAL   },
	{ 'R', PIPE_RETURN_PATH},
	{ 'X', PIPE_FINAL      },
	{ 'h', PIPE_FOLD_DOMAIN},
	{ 'u', PIPE_FOLD_USER  },
	{ 'q', PIPE_QUOTE      },
	{ '.', PIPE_DOTS       },
	{ '>', PIPE_QUOTE_FROM },
};

static enum err
set_flags(struct pipe_service *s, struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		size_t at = 0;

		while (at < countof(letters) && letters[at].letter != value.p[i])
			at++;
		if (at == countof(letters))
			return fail(E_SYNTAX, "unknown flag: %c", value.p[i]);
		s->flags |= letters[at].flag;
	}
	return OK;
}

static enum err
set_user(struct pipe_service *s, struct str value)
{
	size_t colon = str_find(value, ':');

	s->user = str_sub(value, 0, colon);
	s->group = str_sub(value, colon + 1, value.n);
	if (s->user.n == 0 || (colon < value.n && s->group.n == 0))
		return fail(
		    E_SYNTAX, "user=%.*s: expected user=NAME or user=NAME:GROUP", STR_ARG(value));
	return OK;
}

static enum err
set_eol(struct pipe_service *s, struct str value)
{
	s->crlf = str_eq(value, STR("\\r\\n"));
	return s->crlf || str_eq(value, STR("\\n"))
		   ? OK
		   : fail(E_SYNTAX, "eol=%.*s: expected \\n or \\r\\n", STR_ARG(value));
}

static enum err
set_size(struct pipe_service *s, struct str value)
{
	return str_u64(value, &s->size)
		   ? OK
		   : fail(E_SYNTAX, "size=%.*s: expected a number of bytes", STR_ARG(value));
}

static enum err
set_path(struct str *path, const char *what, struct str value)
{
	*path = value;
	return str_starts(value, STR("/"))
		   ? OK
		   : fail(E_SYNTAX, "%s=%.*s: expected an absolute path", what, STR_ARG(value));
}

static enum err
set_directory(struct pipe_service *s, struct str value)
{
	return set_path(&s->directory, "directory", value);
}

static enum err
set_chroot(struct pipe_service *s, struct str value)
{
	return set_path(&s->chroot, "chroot", value);
}

static enum err
set_null_sender(struct pipe_service *s, struct str value)
{
	s->null_sender = value;
	return OK;
}

/* What an argument of master.cf says, by the name before its "=". */
static enum err
set(struct pipe_service *s, struct str arg)
{
	static const struct {
		struct str name;
		enum err (*set)(struct pipe_service *s, struct str value);
	} settings[] = {
		{STR("flags="),        set_flags      },
		{ STR("user="),        set_user       },
		{ STR("eol="),         set_eol        },
		{ STR("size="),        set_size       },
		{ STR("directory="),   set_directory  },
		{ STR("chroot="),      set_chroot     },
		{ STR("null_sender="), set_null_sender},
	};

	for (size_t i = 0; i < countof(settings); i++)
		if (str_starts(arg, settings[i].name))
			return settings[i].set(s, str_sub(arg, settings[i].name.n, arg.n));
	return fail(E_SYNTAX, "unknown argument: %.*s", STR_ARG(arg));
}

enum err
pipe_service_parse(struct pipe_service *s, char **args)
{
	*s = (struct pipe_service){ .null_sender = STR("MAILER-DAEMON") };
	for (; *args && !str_starts(str_of(*args), STR("argv=")); args++)
		TRY(set(s, str_of(*args)));
	if (*args == NULL || (*args)[5] == '\0')
		return fail(E_SYNTAX, "missing argv= with a command");
	if (s->user.n == 0)
		return fail(E_SYNTAX, "missing user=");
	*args += 5;
	s->argv = args;
	for (; *args; args++)
		TRY(macro_check(str_of(*args), &s->envelope));
	return OK;
}
