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
.PHONY: all help clean deps unit sim lab check demo bench tidy format format-check install

PROGRAMS :=

include vmm/vmm.mk
include $(wildcard memserver/memserver.mk toolstack/toolstack.mk guest-agent/guest-agent.mk)
include $(wildcard tests/tests.mk)

all: $(PROGRAMS)

deps:
	$(Q)tests/lab/deps.sh

help:
	@sed -n 's/^#? //p' $(MAKEFILE_LIST)

clean:
	rm -rf $(BUILD)

FORMAT_FILES = $(shell git ls-files '*.c' '*.h')

format:
	clang-format -i $(FORMAT_FILES)

format-check:
	clang-format --dry-run -Werror $(FORMAT_FILES)
