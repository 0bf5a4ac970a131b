/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "toolstack/boot_entry.h"
#include "toolstack/error.h"
#include "toolstack/files.h"
#include "toolstack/guestos.h"
#include "toolstack/kernel.h"
#include "vmm/boot/config.h"

#define LINE_LIMIT    65536u
#define CONFIG_LIMIT  16384u /* what the VMM takes */
#define KERNEL_PREFIX "/boot/vmlinuz-"
#define DIGITS        "0123456789"
#define NAME_LETTERS  DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._+~/-"

/* Pieces of the script around the two values that are filled in. */
static const char script_head[] =
	"#!/bin/sh\n"
	"# Written by `annex host install-boot`; `annex host install-boot remove` takes it away.\n"
	"# update-grub (grub-mkconfig) runs this and puts what it prints into GRUB's menu.\n"
	"set -e\n";

static const char script_body[] =
	". \"${pkgdatadir:-/usr/share/grub}/grub-mkconfig_lib\"\n"
	"[ -r /boot/annex/annex-vmm.elf ] && [ -r /boot/annex/config ] || exit 0\n"
	"if [ -z \"$kernel\" ]; then\n"
	"	list=\n"
	"	for file in /boot/vmlinuz-*; do\n"
	"		case $file in\n"
	"		*[!A-Za-z0-9._+~/-]*) continue ;;\n"
	"		*.dpkg-*|*.rpmsave|*.rpmnew|*.sig|*.bak|*'~') continue ;;\n"
	"		esac\n"
	"		if [ -f \"$file\" ]; then list=\"$list $file\"; fi\n"
	"	done\n"
	"	kernel=$(printf '%s\\n' $list | sed -e 's/\\.old$/ 1/; / 1$/! s/$/ 2/' |\n"
	"		LC_ALL=C sort -V | sed -e 's/ 1$/.old/; s/ 2$//' | tail -n 1)\n"
	"fi\n"
	"[ -r \"$kernel\" ] || exit 0\n"
	"version=${kernel##*/}\n"
	"version=${version#vmlinuz-}\n"
	"initrd=\n"
	"for file in \"/boot/initrd.img-$version\" \"/boot/initramfs-$version.img\" "
	"\"/boot/initrd-$version\"; do\n"
	"	if [ -z \"$initrd\" ] && [ -r \"$file\" ]; then initrd=$file; fi\n"
	"done\n"
	"in_grub() { make_system_path_relative_to_its_root \"$1\"; }\n"
	"echo \"Found Annex VMM for: $kernel\" >&2\n"
	"echo \"menuentry 'Linux $version on Annex' --class annex --id annex {\"\n"
	"prepare_grub_to_access_device \"$(${grub_probe} --target=device /boot)\" | sed "
	"'s/^/\\t/'\n"
	"cat <<END\n"
	"	if [ \"\\$grub_platform\" = efi ]; then insmod all_video; fi\n"
	"	multiboot2 $(in_grub /boot/annex/annex-vmm.elf)\n"
	"	if [ \"\\$grub_platform\" = pc ]; then set gfxpayload=text; fi\n"
	"	module2 $(in_grub \"$kernel\") kernel $line\n"
	"END\n"
	"if [ -n \"$initrd\" ]; then echo \"	module2 $(in_grub \"$initrd\") initrd\"; fi\n"
	"echo \"	module2 $(in_grub /boot/annex/config) config\"\n"
	"echo '}'\n";

/* As in the script: what packages and editors leave, and what would not be one word of GRUB's. */
static bool is_garbage(const char *name)
{
	static const char *const ends[] = {".rpmsave", ".rpmnew", ".sig", ".bak", "~"};
	size_t length = strlen(name);

	if (name[strspn(name, NAME_LETTERS)] || strstr(name, ".dpkg-"))
		return true;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (length >= strlen(ends[i]) && !strcmp(name + length - strlen(ends[i]), ends[i]))
			return true;
	return false;
}

/* Between numbers: '~' before the end, the end before letters, these before others. */
static int rank(unsigned char c)
{
	if (c == '\0' || isdigit(c))
		return 0;
	return c == '~' ? -1 : isalpha(c) ? c : c + 256;
}

/* The order of sort -V (coreutils, "Version sort ordering"), which the script uses. */
static int by_version(const char *a, const char *b)
{
	const char *const whole_a = a, *const whole_b = b;

	while (*a || *b) {
		size_t digits_a, digits_b;
		int order = 0;

		for (; rank((unsigned char)*a) || rank((unsigned char)*b); a++, b++)
			if (rank((unsigned char)*a) != rank((unsigned char)*b))
				return rank((unsigned char)*a) - rank((unsigned char)*b);
		a += strspn(a, "0");
		b += strspn(b, "0");
		digits_a = strspn(a, DIGITS);
		digits_b = strspn(b, DIGITS);
		if (digits_a != digits_b)
			return digits_a > digits_b ? 1 : -1;
		order = strncmp(a, b, digits_a);
		if (order)
			return order;
		a += digits_a;
		b += digits_b;
	}
	return strcmp(whole_a, whole_b);
}

/* What is compared: FILE.old is older than FILE, newer than what is older than FILE. */
static char *sort_key(const char *name)
{
	size_t length = strlen(name);

	if (length > 4 && !strcmp(name + length - 4, ".old"))
		return files_path("%.*s 1", (int)length - 4, name);
	return files_path("%s 2", name);
}

static bool is_file(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static int newest_kernel(const char *root, char **kernel)
{
	char *pattern = files_path("%s" KERNEL_PREFIX "*", root), *best = NULL;
	glob_t found = {0};

	*kernel = NULL;
	if (glob(pattern, 0, NULL, &found))
		found.gl_pathc = 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *name = found.gl_pathv[i] + strlen(root);
		char *key = sort_key(name);

		if (is_garbage(name) || !is_file(found.gl_pathv[i]) ||
			(best && by_version(key, best) < 0)) {
			free(key);
			continue;
		}
		free(best);
		free(*kernel);
		best = key;
		*kernel = error_memory(strdup(name));
	}
	globfree(&found);
	free(best);
	free(pattern);
	return *kernel ? 0
		       : error_set(ERROR_NOT_FOUND, "there is no kernel " KERNEL_PREFIX
						    "* here. Name one below /boot with --kernel");
}

/* Where Debian, Fedora and SUSE put it: as in the script. */
static char *initrd_of(const char *root, const char *kernel)
{
	static const char *const forms[] = {
		"%s/boot/initrd.img-%s", "%s/boot/initramfs-%s.img", "%s/boot/initrd-%s"};
	const char *version = strrchr(kernel, '/') + 1;

	if (!strncmp(version, "vmlinuz-", 8))
		version += 8;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		char *path = files_path(forms[i], root, version);

		if (access(path, R_OK) == 0) {
			char *inside = error_memory(strdup(path + strlen(root)));

			free(path);
			return inside;
		}
		free(path);
	}
	return NULL;
}

static int check_kernel(const char *root, const char *kernel)
{
	char *path = files_path("%s%s", root, kernel);
	int code;

	if (access(path, R_OK))
		code = error_set(ERROR_NOT_FOUND,
			"cannot read the kernel %s: %m. Name another with --kernel", path);
	else
		code = kernel_check(path);
	free(path);
	return code;
}

/* Words that a boot loader adds are not the next one's. */
static char *without_loader(const char *line)
{
	char *out = error_memory(malloc(strlen(line) + 1)), *end = out;

	while (*line) {
		size_t n = strcspn(line, " \n");

		if (n && strncmp(line, "BOOT_IMAGE=", 11) && strncmp(line, "initrd=", 7)) {
			if (end != out)
				*end++ = ' ';
			memcpy(end, line, n);
			end += n;
		}
		line += n + (line[n] != '\0');
	}
	*end = '\0';
	return out;
}

static int running_line(const char *root, char **line)
{
	char *path = files_path("%s/proc/cmdline", root), *data = NULL;
	size_t length;
	int code = files_read(path, LINE_LIMIT, &data, &length);

	if (code)
		code = error_set((enum error_code)code,
			"%s does not say how the running kernel was started. Give its command "
			"line, "
			"root= above all, with --cmdline",
			path);
	else
		*line = without_loader(data);
	free(data);
	free(path);
	return code;
}

static int find_line(struct boot_entry *entry, const char *root, const char *given)
{
	char *line = NULL;
	const char *wrong;
	int code = 0;

	if (given)
		line = error_memory(strdup(given));
	else
		code = running_line(root, &line);
	if (code || !line)
		return code;
	wrong = strpbrk(line, "'\"\\$;{}|&<>#*?[");
	if (wrong)
		code = error_set(ERROR_REFUSED,
			"the kernel's command line has a %c, which GRUB would take for its own. "
			"Give another with --cmdline",
			*wrong);
	else if (guestos_cmdline(line, &entry->line)) {
		/* Its texts begin with the element of a domain that it came from. */
		char *text = error_memory(strdup(error_text()));

		code = error_set(error_code(), "the kernel's command line%s",
			!strncmp(text, "<cmdline>", 9) ? text + 9 : text);
		free(text);
	}
	free(line);
	return code;
}

int boot_entry_find(
	struct boot_entry *entry, const char *root, const char *kernel, const char *line)
{
	int code = 0;

	memset(entry, 0, sizeof(*entry));
	entry->pinned = kernel;
	if (kernel && strncmp(kernel, "/boot/", 6))
		code = error_set(ERROR_REFUSED,
			"the kernel %s does not lie below /boot, where GRUB would find it", kernel);
	else if (kernel && strpbrk(kernel, "' \t\"\\$"))
		code = error_set(ERROR_REFUSED, "%s is no file name that GRUB takes", kernel);
	else if (kernel)
		entry->kernel = error_memory(strdup(kernel));
	else
		code = newest_kernel(root, &entry->kernel);
	if (!code)
		code = check_kernel(root, entry->kernel);
	if (!code)
		code = find_line(entry, root, line);
	if (!code && entry->kernel)
		entry->initrd = initrd_of(root, entry->kernel);
	if (code)
		boot_entry_free(entry);
	return code;
}

void boot_entry_free(struct boot_entry *entry)
{
	free(entry->kernel);
	free(entry->initrd);
	free(entry->line);
	memset(entry, 0, sizeof(*entry));
}

char *boot_entry_script(const struct boot_entry *entry)
{
	/* An empty kernel is the newest there is when update-grub runs. */
	return files_path("%skernel='%s'\nline='%s'\n%s", script_head,
		entry->pinned ? entry->kernel : "", entry->line, script_body);
}

int boot_entry_check_config(const char *path, const char *text, size_t length)
{
	struct config config;
	char wrong[256];

	if (length > CONFIG_LIMIT)
		return error_set(ERROR_REFUSED, "%s: %zu bytes are more than %u", path, length,
			CONFIG_LIMIT);
	if (!config_parse(text, length, &config, wrong, sizeof(wrong)))
		return error_set(ERROR_REFUSED, "%s: the VMM would refuse it: %s", path, wrong);
	return 0;
}
