# SPDX-License-Identifier: MIT
UNIT_TESTS += $(BUILD)/unit/shootdown_test

$(BUILD)/unit/shootdown_test: tests/unit/shootdown_test.c vmm/slat/shootdown.c
