# SPDX-License-Identifier: MIT
# Annex: build, tests, lab, demo. `make help` lists the targets.

BUILD ?= build
V ?= 0
Q := $(if $(filter 0,$(V)),@,)
CC := gcc
LD := ld
PKG_CONFIG ?= pkg-config

CFLAGS_COMMON := -std=c11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wno-unused-parameter -fno-common
CFLAGS_HOST := $(CFLAGS_COMMON) -D_GNU_SOURCE -O2 -g -fstack-protector-strong -Iinclude -I.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

.DEFAULT_GOAL := all
.PHONY: all help clean deps unit sim model lab check check-all demo bench tidy format format-check install deb

PROGRAMS :=

include vmm/vmm.mk
include $(wildcard memserver/memserver.mk toolstack/toolstack.mk guest-agent/guest-agent.mk guest-agent/annex_hint.mk)
include $(wildcard tests/tests.mk)

#? all            build the VMM, the memory server and the tools (default)
all: $(PROGRAMS)

#? deps           install the Debian packages that are missing (root)
deps:
	$(Q)tests/lab/deps.sh

#? demo           a Debian guest on remote memory, from libvirt XML to summary table (root)
#? check          every test: unit, simulation, command line, emulated machines (root)
#? check-all      check, then the tests that take hours (root)
#? unit           unit tests (cmocka, under ASan and UBSan)
#? sim            random simulation of the engine: SEED=n EVENTS=n, else many seeds
#? model          the shootdown's protocol, every state of it (Spin)
#? lab            tests on emulated machines only (root)
#? bench          the numbers, printed beside their goals (root)

#? install        install below $(DESTDIR)$(PREFIX)
PREFIX ?= /usr
install: all
	$(Q)tests/install.sh "$(BUILD)" "$(DESTDIR)" "$(PREFIX)"

#? deb            Debian packages of all parts, in $(BUILD)/deb (no root)
deb: all
	$(Q)tests/deb.sh "$(BUILD)"

#? tidy           clang-tidy over all C sources
tidy:
	$(Q)tests/tidy.sh

FORMAT_FILES = $(shell find vmm guest-agent memserver toolstack include tests -name '*.[ch]')

#? format         clang-format all C sources in place
format:
	$(Q)clang-format -i $(FORMAT_FILES)

#? format-check   fail if clang-format would change a source
format-check:
	$(Q)clang-format --dry-run -Werror $(FORMAT_FILES)

#? clean          remove $(BUILD)
clean:
	$(Q)rm -rf $(BUILD)

#? help           this list
help:
	@sed -n 's/^#? /  make /p' Makefile vmm/vmm.mk
