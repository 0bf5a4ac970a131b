/* SPDX-License-Identifier: MIT */
/* annex host install-boot */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "toolstack/boot_entry.h"
#include "toolstack/files.h"
#include "toolstack/output.h"

#define VMM_INSTALLED  "/usr/lib/annex/annex-vmm.elf"
#define CONFIG_DEFAULT "/etc/annex/boot.conf"
#define VMM_LIMIT      (16u << 20)
#define CONFIG_LIMIT   (1u << 20)
#define EFI_VARIABLE   5u /* four bytes of attributes, then the value */
#define UPDATE_GRUB    "update-grub"

static const char *vmm_option, *kernel_option, *line_option, *root_option = "";
static bool dry_run;

static const struct option_spec options[] = {
	{"kernel", "FILE", "a kernel below /boot (default: the newest, also after upgrades)",
		OPTION_TEXT, &kernel_option},
	{"cmdline", "TEXT", "its command line (default: the running kernel's)", OPTION_TEXT,
		&line_option},
	{"vmm", "FILE", "the VMM (default: ANNEX_VMM or " VMM_INSTALLED ")", OPTION_TEXT,
		&vmm_option},
	{"root", "DIR", "do it to the system below DIR; update-grub is not run", OPTION_TEXT,
		&root_option},
	{"dry-run", NULL, "show everything that would be done, do nothing", OPTION_FLAG, &dry_run},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

/* One file that is written, at its place in the system. */
struct file {
	const char *path;
	char *data;
	size_t length;
	mode_t mode;
};

static const char *const ours[] = {BOOT_ENTRY_SCRIPT, BOOT_ENTRY_VMM, BOOT_ENTRY_CONFIG};

static int check_machine(void)
{
	char *grub = files_path("%s/etc/grub.d", root_option);
	int code = 0;

	if (access(grub, X_OK))
		code = error_set(ERROR_NOT_FOUND,
			"there is no %s: GRUB is not installed here. Install your distribution's "
			"(Debian: grub-pc or grub-efi-amd64)",
			grub);
	else if (!dry_run && geteuid() && access(grub, W_OK))
		code = error_set(ERROR_FAILED,
			"cannot write to %s: only root can. Run annex as root; --dry-run shows "
			"what "
			"it would do",
			grub);
	free(grub);
	return code;
}

/* Under Secure Boot GRUB starts signed kernels only, and has no multiboot2. */
static void warn_secure_boot(const struct annex *annex)
{
	char *pattern = files_path("%s/sys/firmware/efi/efivars/SecureBoot-*", root_option), *data;
	size_t length;
	glob_t found;

	if (glob(pattern, 0, NULL, &found) == 0) {
		if (files_read(found.gl_pathv[0], 64, &data, &length) == 0) {
			if (length == EFI_VARIABLE && data[length - 1] == 1)
				output_warning(annex, "Secure Boot is on: GRUB will refuse the "
						      "VMM. Switch it off "
						      "in the firmware's set-up");
			free(data);
		}
		error_clear();
		globfree(&found);
	}
	free(pattern);
}

static int read_vmm(struct file *file)
{
	const char *given = vmm_option ? vmm_option : getenv("ANNEX_VMM");
	char *path = given && *given ? error_memory(strdup(given))
				     : files_beside("annex-vmm.elf", VMM_INSTALLED);
	int code = files_read(path, VMM_LIMIT, &file->data, &file->length);

	if (code)
		code = error_set((enum error_code)code,
			"cannot read the VMM %s: %m. Give --vmm FILE, or install annex", path);
	else if (file->length < 4 || memcmp(file->data,
					     "\x7f"
					     "ELF",
					     4))
		code = error_set(ERROR_REFUSED, "%s is no VMM: not an ELF file", path);
	free(path);
	return code;
}

static int read_config(struct file *file, const char *given)
{
	char *path = given ? error_memory(strdup(given))
			   : files_path("%s%s", root_option, CONFIG_DEFAULT);
	int code = files_read(path, CONFIG_LIMIT, &file->data, &file->length);

	if (code)
		code = error_set((enum error_code)code,
			"cannot read the configuration %s: %m. Write it, or name another file: "
			"annex host install-boot CONFIG",
			path);
	else
		code = boot_entry_check_config(path, file->data, file->length);
	free(path);
	return code;
}

/* The program's path in PATH or sbin, malloc()ed, or NULL: with --root it is not looked for. */
static char *find_update_grub(void)
{
	const char *variable = getenv("PATH");
	char *list = files_path("%s:/usr/sbin:/sbin", variable ? variable : "/usr/bin");
	char *save = NULL, *found = NULL;

	for (char *d = strtok_r(list, ":", &save); d && !found && !*root_option;
		d = strtok_r(NULL, ":", &save)) {
		found = files_path("%s/" UPDATE_GRUB, d);
		if (access(found, X_OK)) {
			free(found);
			found = NULL;
		}
	}
	free(list);
	return found;
}

/* Its output goes to stderr: stdout is the answer's. */
static int run_update_grub(const char *program)
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child < 0)
		return error_set(ERROR_FAILED, "cannot start %s: %m", program);
	if (child == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return error_set(ERROR_FAILED,
			"%s failed; what it said stands above. The files are in place: run it "
			"again",
			program);
	return 0;
}

static void print_script(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		printf("    %.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void print_answer(const char *state, const struct boot_entry *entry, const struct file *file,
	size_t files, const char *update)
{
	const char *would = dry_run ? "would write" : "wrote";

	printf("kernel        %s%s\ninitrd        %s\ncommand line  %s\n", entry->kernel,
		entry->pinned ? "" : " (and its successors)",
		entry->initrd ? entry->initrd : "none", entry->line);
	for (size_t i = 0; i < files; i++) {
		printf("%s %s%s (%zu bytes)\n", would, root_option, file[i].path, file[i].length);
		if (dry_run && !strcmp(file[i].path, BOOT_ENTRY_SCRIPT))
			print_script(file[i].data);
	}
	if (update)
		printf("%s %s\n", dry_run ? "would run" : "ran", update);
	else
		puts("no " UPDATE_GRUB " here: make GRUB's menu anew (grub-mkconfig -o "
		     "/boot/grub/grub.cfg)");
	printf("%s: the menu has \"Linux ... on Annex\"; once: grub-reboot annex\n", state);
}

static json_t *files_json(const struct file *file, size_t files)
{
	json_t *list = json_array();

	for (size_t i = 0; i < files; i++)
		json_array_append_new(
			list, json_pack("{s:s+,s:I}", "path", root_option, file[i].path, "bytes",
				      (json_int_t)file[i].length));
	return list;
}

static int write_files(const struct file *file, size_t files)
{
	int code = 0;

	for (size_t i = 0; i < files && !code; i++) {
		char *path = files_path("%s%s", root_option, file[i].path);

		code = files_write(path, file[i].data, file[i].length, file[i].mode);
		free(path);
	}
	return code;
}

static int install(struct annex *annex, const char *config)
{
	/* The script last: it is what makes update-grub look. */
	struct file file[] = {{BOOT_ENTRY_VMM, NULL, 0, 0644}, {BOOT_ENTRY_CONFIG, NULL, 0, 0600},
		{BOOT_ENTRY_SCRIPT, NULL, 0, 0755}};
	const size_t files = sizeof(file) / sizeof(file[0]);
	struct boot_entry entry = {0};
	char *update = NULL;
	int code = check_machine();

	if (!code)
		code = read_config(&file[1], config);
	if (!code)
		code = read_vmm(&file[0]);
	if (!code)
		code = boot_entry_find(&entry, root_option, kernel_option, line_option);
	if (!code) {
		warn_secure_boot(annex);
		file[2].data = boot_entry_script(&entry);
		file[2].length = strlen(file[2].data);
		update = find_update_grub();
		if (!dry_run)
			code = write_files(file, files);
	}
	if (!code && update && !dry_run)
		code = run_update_grub(update);
	if (!code && !output_answer(annex, json_pack("{s:s,s:s,s:s?,s:s,s:b,s:o,s:s,s:s?}", "state",
						   dry_run ? "dry-run" : "installed", "kernel",
						   entry.kernel, "initrd", entry.initrd, "cmdline",
						   entry.line, "follows_newest", !entry.pinned,
						   "files", files_json(file, files), "script",
						   file[2].data, "ran", update)))
		print_answer(
			dry_run ? "nothing was done" : "installed", &entry, file, files, update);
	for (size_t i = 0; i < files; i++)
		free(file[i].data);
	boot_entry_free(&entry);
	free(update);
	return code;
}

static int remove_files(json_t *removed)
{
	char *directory = files_path("%s/boot/annex", root_option);
	int code = 0;

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]) && !code; i++) {
		char *path = files_path("%s%s", root_option, ours[i]);

		if (access(path, F_OK) == 0) {
			if (!dry_run && unlink(path))
				code = error_set(
					ERROR_FAILED, "cannot remove %s: %m. Run as root", path);
			else
				json_array_append_new(removed, json_string(path));
		}
		free(path);
	}
	if (!code && !dry_run)
		rmdir(directory);
	free(directory);
	return code;
}

static int take_away(struct annex *annex)
{
	json_t *removed = json_array();
	char *update = find_update_grub();
	int code = remove_files(removed);

	if (!code && !json_array_size(removed))
		code = error_set(ERROR_NOT_FOUND,
			"there is nothing to remove: no boot entry of Annex is installed%s%s",
			*root_option ? " below " : "", root_option);
	if (!code && update && !dry_run)
		code = run_update_grub(update);
	if (!code && !output_answer(annex,
			     json_pack("{s:s,s:O,s:s?}", "state", dry_run ? "dry-run" : "removed",
				     "files", removed, "ran", update))) {
		for (size_t i = 0; i < json_array_size(removed); i++)
			printf("%s %s\n", dry_run ? "would remove" : "removed",
				json_string_value(json_array_get(removed, i)));
		if (update)
			printf("%s %s\n", dry_run ? "would run" : "ran", update);
	}
	json_decref(removed);
	free(update);
	return code;
}

static int run(struct annex *annex, int count, char **arguments)
{
	if (count && !strcmp(arguments[0], "remove"))
		return take_away(annex);
	return install(annex, count ? arguments[0] : NULL);
}

const struct command cmd_host_install_boot = {
	.name = "host install-boot",
	.arguments = "[CONFIG | remove]",
	.summary = "Put this machine's Linux on the VMM, as an entry of GRUB's menu",
	.details = "CONFIG is the VMM's configuration (default: " CONFIG_DEFAULT
		   ").\n\"remove\" takes the entry and its files away again.\n",
	.options = options,
	.minimum = 0,
	.maximum = 1,
	.run = run,
};
