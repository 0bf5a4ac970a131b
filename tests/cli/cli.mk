# SPDX-License-Identifier: MIT
.PHONY: cli

# A VMM's service without a machine, for the commands that ask the guest's agent.
$(BUILD)/cli/vmm: tests/cli/vmm.c tests/cli/vmm_report.c vmm/service/manage.c \
		vmm/service/emit.c vmm/service/view.c vmm/service/doorbell.c \
		$(BUILD)/host/log.o $(HOST_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -MMD -o $@ $(filter %.c %.o,$^) $(HOST_LIB)

-include $(BUILD)/cli/vmm.d

cli: all $(BUILD)/cli/vmm
	$(Q)tests/cli/run.sh
