# SPDX-License-Identifier: MIT
UNIT_TESTS += $(BUILD)/unit/policy_test
$(BUILD)/unit/policy_test: tests/unit/policy_test.c tests/unit/policy_fixture.c $(MEMSERVER_POLICY)
