# SPDX-License-Identifier: Apache-2.0
# make [V=release|debug|asan|tsan|cov] [TASKS=thread] [target]
#   all demo run check lint unit e2e asan bench torture fuzz install clean     see README.md and INSTALL
V        ?= release
TASKS    ?= fiber
B        ?= build/$(V)$(if $(filter thread,$(TASKS)),-thread)
CC       ?= cc
PREFIX   ?= /usr/local
SYSCONF  ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)/postroad
# What tools/deps unpacked for those who may not install: programs, perhaps the compiler itself.
DEPS     := $(abspath .deps/usr)
ifneq ($(wildcard $(DEPS)/bin),)
export PATH := $(DEPS)/bin:$(PATH)
export LD_LIBRARY_PATH := $(DEPS)/lib/$(shell uname -m)-linux-gnu
endif
ifneq ($(wildcard $(DEPS)/bin/gcc),)
CC       := $(DEPS)/bin/gcc -B$(DEPS)/lib/$(shell uname -m)-linux-gnu
endif
TRIPLET  := $(shell $(CC) -print-multiarch 2>/dev/null)
VERSION  := 0.1

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
            -Wconversion -Wwrite-strings -Wimplicit-fallthrough -Werror
MODE_release := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE \
            -ftrivial-auto-var-init=zero -fcf-protection=branch
MODE_debug   := -O0 -DDEBUG -fPIE
MODE_asan    := -O1 -DDEBUG -fsanitize=address,undefined -fno-sanitize-recover=all -fPIE -DNO_SANDBOX
MODE_tsan    := -O1 -fsanitize=thread -fPIE -DNO_SANDBOX
MODE_cov     := -O0 --coverage -fPIE -DNO_SANDBOX
LINK_release := -pie -Wl,-z,relro,-z,now
LINK_debug   := -pie
LINK_asan    := -fsanitize=address,undefined -pie
LINK_tsan    := -fsanitize=thread -pie
LINK_cov     := --coverage -pie
CPPFLAGS += -I. -D_GNU_SOURCE -DPOSTROAD_VERSION='"$(VERSION)"' -DPOSTROAD_SYSCONF='"$(SYSCONF)"' -DPOSTROAD_LIBEXEC='"$(PREFIX)/libexec/postroad"' -MMD -MP
CPPFLAGS += $(if $(filter thread,$(TASKS)),-DTASKS_THREAD)
CFLAGS   += -std=gnu17 -g -fno-omit-frame-pointer $(WARN) $(MODE_$(V))
LDFLAGS  += $(LINK_$(V)) -pthread
# Packages that tools/deps unpacked because nobody could install them.
ifneq ($(wildcard $(DEPS)),)
CPPFLAGS += -isystem $(DEPS)/include -isystem $(DEPS)/include/$(TRIPLET)
LDFLAGS  += -L$(DEPS)/lib/$(TRIPLET) -Wl,-rpath,$(DEPS)/lib/$(TRIPLET)
endif

LIBS     := util mail spool intake agent
DAEMONS  := master smtpd qmgr smtp bounce resolver pickup local virtual pipe error discard
PROGRAMS := $(DAEMONS) cmd postdrop deliver
bin_cmd  := postroad
bin       = $(B)/bin/$(or $(bin_$(1)),$(1))
lib       = $(foreach d,$(1),$(B)/lib$(d).a)
objs      = $(patsubst %.c,$(B)/%.o,$(filter-out $(1)/main.c,$(wildcard $(1)/*.c)))
# Lookup tables, wherever mail/maps is used; the sandbox (util/sandbox.h).
mail_libs     := -Wl,--as-needed -ldb -lcdb -lpcre2-8 -lseccomp
resolver_libs := -lunbound
UNITS    := $(filter $(LIBS) $(PROGRAMS),$(notdir $(patsubst %/,%,$(dir $(wildcard tests/unit/*/*_test.c)))))
UNITS    := $(sort $(UNITS))

all: programs

# What is compiled with the places of an installation is compiled anew when they change.
PLACES := $(PREFIX) $(SYSCONF)
$(shell mkdir -p $(B); [ "$$(cat $(B)/places 2>/dev/null)" = "$(PLACES)" ] || echo "$(PLACES)" >$(B)/places)
$(patsubst %.c,$(B)/%.o,$(shell grep -lE 'POSTROAD_(SYSCONF|LIBEXEC)' */*.c)): $(B)/places

programs: $(foreach p,$(PROGRAMS),$(call bin,$(p))) $(B)/man/postroad.cf.5 $(B)/bin/lmtp
# The same program, which looks at its name.
$(B)/bin/lmtp: $(call bin,smtp)
	ln -sf smtp $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

define archive
$(B)/lib$(1).a: $(call objs,$(1))
	@mkdir -p $$(@D); rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach d,$(LIBS) $(PROGRAMS),$(eval $(call archive,$(d))))

define program
$(call bin,$(1)): $(B)/$(1)/main.o $(call lib,$(1) agent intake spool mail util)
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $(mail_libs) $$($(1)_libs)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# The page of settings is made from their table.
$(B)/mkman: $(B)/tools/mkman.o $(call lib,mail util)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(mail_libs)
$(B)/man/postroad.cf.5: man/postroad.cf.5.in $(B)/mkman
	@mkdir -p $(@D)
	$(B)/mkman >$(@D)/settings
	sed -e '/@SETTINGS@/{r $(@D)/settings' -e 'd}' $< >$@

# One CUnit program per directory of tests/unit.
define unit_program
$(B)/unit/$(1): $(patsubst %.c,$(B)/%.o,$(wildcard tests/unit/$(1)/*_test.c)) $(B)/tests/unit/main.o \
		$(call lib,$(filter-out $(LIBS),$(1)) agent intake spool mail util)
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $(mail_libs) -lcunit $$($(1)_libs)
endef
$(foreach u,$(UNITS),$(eval $(call unit_program,$(u))))
unit-%: $(B)/unit/%
	$<

-include Makefile.checks

clean:
	rm -rf build

.PHONY: all programs clean
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
