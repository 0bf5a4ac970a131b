# SPDX-License-Identifier: MIT
# The memory server: the policy (also built into the tests) and the program around it.

MEMSERVER_POLICY := $(sort $(wildcard memserver/policy*.c))
