# SPDX-License-Identifier: MIT
POLICY_TESTS := $(addprefix $(BUILD)/unit/,policy_test policy_store_test policy_fuzz)
UNIT_TESTS += $(POLICY_TESTS)

$(POLICY_TESTS): $(BUILD)/unit/%: tests/unit/%.c tests/unit/policy_fixture.c $(MEMSERVER_POLICY)
