/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "toolstack/kvm.h"

static bool cpu_has(const char *flag)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[8192], word[32];
	bool found = false;

	snprintf(word, sizeof(word), " %s ", flag);
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = ' ';
		found = !strncmp(line, "flags", 5) && strstr(line, word);
	}
	if (file)
		fclose(file);
	return found;
}

static bool kvm_opens(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bool good = fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;

	if (fd >= 0)
		close(fd);
	return good;
}

const char *kvm_missing(void)
{
	if (!cpu_has("svm") && !cpu_has("vmx"))
		return "this machine's CPU offers no SVM or VMX";
	if (!kvm_opens())
		return "/dev/kvm does not work here";
	return NULL;
}

const char *kvm_missing_nested(void)
{
	const char *missing = kvm_missing();
	FILE *file;
	int answer;

	if (missing)
		return missing;
	if (!cpu_has("svm"))
		return "the VMM runs on AMD SVM so far, and this CPU is Intel's";
	file = fopen("/sys/module/kvm_amd/parameters/nested", "re");
	answer = file ? fgetc(file) : EOF;
	if (file)
		fclose(file);
	if (answer != '1' && answer != 'Y')
		return "KVM here does not nest (load kvm_amd with nested=1)";
	return NULL;
}
