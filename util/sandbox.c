/* SPDX-License-Identifier: Apache-2.0 */
#include "util/sandbox.h"

#include <sys/prctl.h>
#include <unistd.h>

#include "util/log.h"

bool
sandbox_is_built(void)
{
#ifdef NO_SANDBOX
	return false;
#else
	return true;
#endif
}

enum err
sandbox_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
		   ? OK
		   : fail_errno("prctl PR_SET_NO_NEW_PRIVS");
}

enum err
sandbox_enter(const struct sandbox *s)
{
	/* Set-id programs of users must stay what they are. */
	if (s->programs && geteuid() != 0)
		return OK;
	if (!s->programs)
		TRY(sandbox_no_new_privs());
	if (!sandbox_is_built()) {
		log_debug("this build knows no sandbox");
		return OK;
	}
	if (!s->programs)
		TRY(sandbox_files(s));
	return sandbox_calls(s);
}
