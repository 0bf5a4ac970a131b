/* SPDX-License-Identifier: MIT */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "toolstack/appliance.h"
#include "toolstack/cpio.h"
#include "toolstack/error.h"
#include "toolstack/files.h"
#include "toolstack/kernel.h"
#include "toolstack/modules.h"

#define FILE_LIMIT (256u << 20)
#define LOADER     "/lib64/ld-linux-x86-64.so.2"
#define PROVIDERS  "/usr/lib/x86_64-linux-gnu/libibverbs/librxe-rdmav*.so"
#define DRIVER     "/etc/libibverbs.d/rxe.driver"
#define UNWINDER   "/lib/x86_64-linux-gnu/libgcc_s.so.1" /* pthread_exit() opens it by name */

struct builder {
	struct cpio *cpio;
	char **path; /* put in so far */
	size_t paths;
};

static int find_memserver(struct appliance_parts *parts, const char *given)
{
	char *server = files_beside("annex-memserver", "/usr/sbin/annex-memserver");
	char *init = files_beside("annex-appliance-init", "/usr/lib/annex/annex-appliance-init");

	if (!given)
		given = getenv("ANNEX_MEMSERVER");
	parts->memserver = files_absolute(given && *given ? given : server, "the memory server",
		"Name it with --memserver FILE or ANNEX_MEMSERVER");
	if (parts->memserver)
		parts->init = files_absolute(init, "the appliance's init",
			"It is installed with annex; install annex anew");
	free(init);
	free(server);
	return parts->init ? 0 : (int)error_code();
}

/* --modules may name lib/modules/VERSION or the directory above it. */
static char *modules_tree(const char *given, const char *version)
{
	char *deeper = files_path("%s/%s", given, version);

	if (access(deeper, R_OK) == 0)
		return deeper;
	free(deeper);
	return files_absolute(
		given, "the modules' directory", "Give the lib/modules/VERSION of the kernel");
}

static int named_kernel(struct appliance_parts *parts, const char *kernel, const char *modules)
{
	char version[128];
	int code;

	parts->kernel = files_absolute(kernel, "the kernel", "Give a vmlinuz");
	if (!parts->kernel)
		return (int)error_code();
	code = kernel_version(parts->kernel, version, sizeof(version));
	if (code)
		return code;
	parts->modules = modules_tree(modules ? modules : "/lib/modules", version);
	if (!parts->modules)
		return (int)error_code();
	if (!modules_has(parts->modules, "rdma_rxe"))
		return error_set(ERROR_NOT_FOUND,
			"no module rdma_rxe for kernel %s in %s. Name its modules with --modules "
			"DIR, or "
			"take Debian's linux-image-amd64 (the cloud kernel lacks it)",
			version, parts->modules);
	return 0;
}

/* The newest kernel in /boot whose modules have rdma_rxe. */
static int own_kernel(struct appliance_parts *parts)
{
	glob_t found = {0};
	int code = -1;

	glob("/boot/vmlinuz-*", 0, NULL, &found);
	for (size_t i = found.gl_pathc; i-- > 0 && code;) {
		appliance_free(
			&(struct appliance_parts){parts->kernel, parts->modules, NULL, NULL});
		parts->kernel = parts->modules = NULL;
		code = named_kernel(parts, found.gl_pathv[i], NULL);
	}
	globfree(&found);
	if (code)
		return error_set(ERROR_NOT_FOUND,
			"no kernel with Soft-RoCE (rdma_rxe) in /boot. Install Debian's "
			"linux-image-amd64 (apt-get install linux-image-amd64), or name a kernel "
			"with "
			"--kernel FILE --modules DIR");
	error_clear();
	return 0;
}

int appliance_find(struct appliance_parts *parts, const char *kernel, const char *modules,
	const char *memserver)
{
	int code;

	*parts = (struct appliance_parts){0};
	if (modules && !kernel)
		return error_set(ERROR_USAGE, "--modules belongs to --kernel. Name both");
	code = kernel ? named_kernel(parts, kernel, modules) : own_kernel(parts);
	if (!code)
		code = find_memserver(parts, memserver);
	if (code)
		appliance_free(parts);
	return code;
}

void appliance_free(struct appliance_parts *parts)
{
	free(parts->kernel);
	free(parts->modules);
	free(parts->memserver);
	free(parts->init);
	*parts = (struct appliance_parts){0};
}

static bool have(const struct builder *b, const char *path)
{
	for (size_t i = 0; i < b->paths; i++)
		if (!strcmp(b->path[i], path))
			return true;
	return false;
}

static int put_file(struct builder *b, const char *from, const char *to, mode_t mode)
{
	char *data;
	size_t length;
	int code;

	if (have(b, to))
		return 0;
	code = files_read(from, FILE_LIMIT, &data, &length);
	if (code)
		return code;
	cpio_file(b->cpio, to, mode, data, length);
	free(data);
	b->path = error_memory(realloc(b->path, (b->paths + 1) * sizeof(*b->path)));
	b->path[b->paths++] = error_memory(strdup(to));
	return 0;
}

/* One line of `ld.so --list`: "\tlibc.so.6 => /lib/.../libc.so.6 (0x...)" or "\t/lib64/ld... (0x". */
static int put_listed(struct builder *b, char *line, const char *program)
{
	char *path = strstr(line, "=> "), *end;

	if (strstr(line, "not found"))
		return error_set(ERROR_FAILED, "%s: a shared library is missing: %.*s", program,
			(int)strcspn(line, "\n"), line + strspn(line, " \t"));
	path = path ? path + 3 : strchr(line, '/');
	end = path ? strstr(path, " (0x") : NULL;
	if (!end || path[0] != '/')
		return 0; /* the vdso */
	*end = '\0';
	return put_file(b, path, path, 0755);
}

/* The libraries of a program or library, as the host's own loader finds them. */
static int put_libraries(struct builder *b, const char *program)
{
	int pipes[2], status, code = 0;
	char line[4096];
	FILE *list;
	pid_t pid;

	if (pipe(pipes))
		return error_set(ERROR_FAILED, "cannot make a pipe: %m");
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], STDOUT_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		execl(LOADER, LOADER, "--list", program, (char *)NULL);
		_exit(127);
	}
	close(pipes[1]);
	list = pid < 0 ? NULL : fdopen(pipes[0], "r");
	if (!list) {
		close(pipes[0]);
		return error_set(ERROR_FAILED, "cannot run " LOADER ": %m");
	}
	while (fgets(line, sizeof(line), list))
		if (!code)
			code = put_listed(b, line, program);
	fclose(list);
	if (waitpid(pid, &status, 0) != pid || status)
		return code ? code
			    : error_set(ERROR_FAILED,
				      "cannot tell the shared libraries of %s. Is it a program for "
				      "x86_64?",
				      program);
	return code;
}

static int put_provider(struct builder *b)
{
	glob_t found = {0};
	int code;

	if (glob(PROVIDERS, 0, NULL, &found) || access(DRIVER, R_OK)) {
		globfree(&found);
		return error_set(ERROR_NOT_FOUND,
			"the Soft-RoCE provider of libibverbs is missing. Install Debian's "
			"ibverbs-providers (apt-get install ibverbs-providers)");
	}
	code = put_libraries(b, found.gl_pathv[0]);
	if (!code)
		code = put_file(b, found.gl_pathv[0], found.gl_pathv[0], 0644);
	if (!code)
		code = put_file(b, DRIVER, DRIVER, 0644);
	globfree(&found);
	return code;
}

static int put_modules(struct builder *b, const char *tree, bool emulated)
{
	static const struct {
		const char *name;
		bool optional;
		bool hardware; /* slower than its alternative where an emulator runs it */
	} wanted[] = {
		{"virtio_pci", false, false},
		{"virtio_net", false, false},
		{"crc32_generic", true, false}, /* rdma_rxe asks the crypto layer for "crc32" */
		{"crc32_pclmul", true, true},
		{"rdma_rxe", false, false},
		{"ib_uverbs", false, false},
		{"rdma_ucm", false, false},
	};
	struct module_list list = {0};
	char *order = NULL;
	size_t length, count = sizeof(wanted) / sizeof(wanted[0]);
	FILE *out;
	int code = 0;

	for (size_t i = 0; i < count && !code; i++)
		if (!emulated || !wanted[i].hardware)
			code = modules_add(&list, tree, wanted[i].name, wanted[i].optional);
	out = error_memory(open_memstream(&order, &length));
	for (size_t i = 0; i < list.count && !code; i++) {
		char *path = files_path("/modules/%s.ko", list.module[i].name);

		cpio_file(b->cpio, path, 0644, list.module[i].data, list.module[i].length);
		fprintf(out, "%s%s\n", list.module[i].optional ? "?" : "", path);
		free(path);
	}
	fclose(out);
	if (!code)
		cpio_file(b->cpio, "/modules/order", 0644, order, length);
	free(order);
	modules_free(&list);
	return code;
}

static int put_all(struct builder *b, const struct appliance_parts *parts, bool emulated)
{
	static const char *const directories[] = {
		"/dev", "/proc", "/sys", "/run", "/tmp", "/var/lib/annex-memserver"};
	int code;

	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		cpio_directory(b->cpio, directories[i]);
	cpio_device(b->cpio, "/dev/console", S_IFCHR | 0600, 5, 1);
	code = put_file(b, parts->init, "/init", 0755);
	if (!code)
		code = put_file(b, parts->memserver, "/usr/sbin/annex-memserver", 0755);
	if (!code)
		code = put_libraries(b, parts->memserver);
	if (!code && access(UNWINDER, R_OK) == 0)
		code = put_file(b, UNWINDER, UNWINDER, 0755);
	if (!code)
		code = put_provider(b);
	if (!code)
		code = put_modules(b, parts->modules, emulated);
	return code;
}

int appliance_build(const struct appliance_parts *parts, bool emulated, const char *path)
{
	struct builder b = {.cpio = cpio_open(path)};
	int code, closed;

	if (!b.cpio)
		return (int)error_code();
	code = put_all(&b, parts, emulated);
	closed = cpio_close(b.cpio);
	for (size_t i = 0; i < b.paths; i++)
		free(b.path[i]);
	free(b.path);
	if (code || closed)
		unlink(path);
	return code ? code : closed;
}
