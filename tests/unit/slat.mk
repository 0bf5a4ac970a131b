# SPDX-License-Identifier: MIT
UNIT_TESTS += $(BUILD)/unit/slat_test

$(BUILD)/unit/slat_test: tests/unit/slat_test.c vmm/slat/slat.c vmm/slat/build.c
