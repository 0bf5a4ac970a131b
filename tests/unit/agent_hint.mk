# SPDX-License-Identifier: MIT
# Unit tests of guest-agent's check, report and socket.

UNIT_TESTS += $(BUILD)/unit/agent_check_test

$(BUILD)/unit/agent_check_test: tests/unit/agent_check_test.c tests/unit/agent_tree.c \
		$(wildcard guest-agent/check*.c guest-agent/check*.h) guest-agent/nodes.c guest-agent/tree.c \
		guest-agent/report_kernel.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Itests/unit -o $@ $(filter %.c,$^) -ljansson -lcmocka

UNIT_TESTS += $(BUILD)/unit/agent_report_test

$(BUILD)/unit/agent_report_test: tests/unit/agent_report_test.c tests/unit/agent_tree.c \
		$(wildcard guest-agent/report*.c guest-agent/report*.h) guest-agent/nodes.c guest-agent/tree.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Itests/unit -o $@ $(filter %.c,$^) -lcmocka

HINT_TESTS := $(BUILD)/unit/agent_socket_test $(BUILD)/unit/agent_hostile_test
UNIT_TESTS += $(HINT_TESTS)

$(HINT_TESTS): $(BUILD)/unit/%: tests/unit/%.c tests/unit/agent_client.c guest-agent/annex_hint.c \
		$(wildcard guest-agent/socket*.c guest-agent/socket*.h) guest-agent/annex_hint.h \
		$(BUILD)/annex-hint
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_HOST) $(SANITIZE) -Wl,--wrap=setsockopt \
		-Itests/unit -o $@ $(filter %.c,$^) -lcmocka
