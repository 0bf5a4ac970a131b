/* SPDX-License-Identifier: MIT */
/*
 * The first process of a memory-server appliance. Loads the modules, brings the network and a
 * Soft-RoCE device up, then runs annex-memserver for ever, again whenever it ends. Statically linked;
 * takes annex.address=A.B.C.D/P, annex.mtu=N, annex.pool=SIZE, annex.quota=SIZE, annex.port=N and
 * annex.http=N from the kernel's command line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include "toolstack/appliance_init.h"

#define SERVER "/usr/sbin/annex-memserver"

static char command_line[4096];

void init_say(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("annex-appliance: %s\n", text);
	fflush(stdout);
}

void init_give_up(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	init_say("failed: %s", text);
	sync();
	sleep(1); /* the console is slow, and the machine is gone after the next line */
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void mounts(void)
{
	static const struct {
		const char *type, *at, *data;
	} mount_points[] = {
		{"proc", "/proc", NULL},
		{"sysfs", "/sys", NULL},
		{"devtmpfs", "/dev", NULL},
		{"tmpfs", "/run", "mode=755"},
		{"tmpfs", "/tmp", NULL},
		{"tmpfs", "/dev/shm", NULL},
		{"hugetlbfs", "/dev/hugepages", "pagesize=2M"},
	};

	for (size_t i = 0; i < sizeof(mount_points) / sizeof(mount_points[0]); i++) {
		const char *type = mount_points[i].type, *at = mount_points[i].at;

		mkdir(at, 0755);
		if (mount(type, at, type, 0, mount_points[i].data))
			init_say("cannot mount %s on %s: %s", type, at, strerror(errno));
	}
}

static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd < 0)
		return;
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void read_command_line(void)
{
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, command_line, sizeof(command_line) - 1);

	if (n > 0)
		command_line[n] = '\0';
	if (fd >= 0)
		close(fd);
}

/* The value of annex.KEY=, copied into value; false when the command line has none. */
static bool parameter(const char *key, char *value, size_t size)
{
	char word[64];
	const char *at = command_line;
	size_t n;

	snprintf(word, sizeof(word), "annex.%s=", key);
	while ((at = strstr(at, word)) && at != command_line && at[-1] != ' ')
		at++;
	if (!at)
		return false;
	at += strlen(word);
	n = strcspn(at, " \n");
	if (n == 0 || n >= size)
		return false;
	memcpy(value, at, n);
	value[n] = '\0';
	return true;
}

static void load_one(const char *line)
{
	bool optional = line[0] == '?';
	const char *path = line + optional;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0)) {
		if (!optional && errno != EEXIST)
			init_give_up("module %s: %s", path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
}

static void load_modules(void)
{
	FILE *order = fopen("/modules/order", "re");
	char line[256];

	if (!order)
		init_give_up("no /modules/order: %s", strerror(errno));
	while (fgets(line, sizeof(line), order)) {
		line[strcspn(line, "\n")] = '\0';
		load_one(line);
	}
	fclose(order);
}

/* devtmpfs makes the nodes where the kernel names them; the others are made from sysfs. */
static void make_node(const char *sys, const char *node)
{
	unsigned major_number, minor_number;
	FILE *file;

	if (access(node, F_OK) == 0)
		return;
	file = fopen(sys, "re");
	if (!file || fscanf(file, "%u:%u", &major_number, &minor_number) != 2)
		init_give_up("no %s: the RDMA device is not there", sys);
	fclose(file);
	mkdir("/dev/infiniband", 0755);
	if (mknod(node, S_IFCHR | 0600, makedev(major_number, minor_number)))
		init_give_up("cannot make %s: %s", node, strerror(errno));
}

static void network(uint32_t address, unsigned prefix)
{
	char mtu[16] = "1500";
	const char *reason;

	parameter("mtu", mtu, sizeof(mtu));
	if (!init_wait_for("/sys/class/net/eth0", 10))
		init_give_up("no network card");
	reason = init_network(address, prefix, (unsigned)strtoul(mtu, NULL, 10));
	if (!reason)
		reason = init_rxe("rxe0", "eth0");
	if (reason)
		init_give_up("%s: %s", reason, strerror(errno));
	init_wait_for("/sys/class/infiniband_verbs/uverbs0/dev", 5);
	make_node("/sys/class/infiniband_verbs/uverbs0/dev", "/dev/infiniband/uverbs0");
	make_node("/sys/class/misc/rdma_cm/dev", "/dev/infiniband/rdma_cm");
}

bool init_wait_for(const char *path, unsigned seconds)
{
	for (unsigned i = 0; i < seconds * 20; i++) {
		if (access(path, F_OK) == 0)
			return true;
		usleep(50000);
	}
	return false;
}

struct server {
	char listen[64], http[64], pool[32], quota[32];
	uint32_t address;
	uint16_t port; /* of HTTP, to see that it serves */
	bool has_quota;
};

static void configure(struct server *s, char *own_address)
{
	char port[8] = "7471", http[8] = "7480";

	parameter("port", port, sizeof(port));
	parameter("http", http, sizeof(http));
	if (!parameter("pool", s->pool, sizeof(s->pool)))
		init_give_up("the command line has no annex.pool");
	s->has_quota = parameter("quota", s->quota, sizeof(s->quota));
	snprintf(s->listen, sizeof(s->listen), "%s:%s", own_address, port);
	snprintf(s->http, sizeof(s->http), "%s:%s", own_address, http);
	s->port = (uint16_t)strtoul(http, NULL, 10);
}

static pid_t start(const struct server *s)
{
	const char *argv[16] = {SERVER, "--listen", s->listen, "--pool", s->pool, "--http", s->http,
		"--foreground"};
	unsigned n = 8;
	pid_t pid = fork();

	if (pid < 0)
		init_give_up("cannot fork: %s", strerror(errno));
	if (pid > 0)
		return pid;
	if (s->has_quota) {
		argv[n++] = "--quota";
		argv[n++] = s->quota;
	}
	argv[n] = NULL;
	execv(SERVER, (char **)argv);
	fprintf(stderr, "annex-appliance: cannot run " SERVER ": %s\n", strerror(errno));
	_exit(127);
}

/* Reaps everything; true when the server itself has ended. */
static bool reap(pid_t server)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != server)
			continue;
		if (WIFSIGNALED(status))
			init_say("annex-memserver was ended by signal %d; starting it again",
				WTERMSIG(status));
		else
			init_say("annex-memserver ended with %d; starting it again",
				WEXITSTATUS(status));
		return true;
	}
	return false;
}

static _Noreturn void serve(struct server *s)
{
	for (;;) {
		pid_t pid = start(s);
		bool told = false;

		while (!reap(pid)) {
			if (!told && init_answers(s->address, s->port)) {
				init_say("ready, pool %s at %s", s->pool, s->listen);
				told = true;
			}
			if (init_control_turn(told ? 200 : 50))
				kill(pid, SIGKILL);
		}
		sleep(1);
	}
}

int main(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct server server = {0};
	char address[40], *slash;

	mounts();
	open_console();
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	read_command_line();
	if (!parameter("address", address, sizeof(address)) || !(slash = strchr(address, '/')))
		init_give_up("the command line has no annex.address=A.B.C.D/PREFIX");
	*slash = '\0';
	server.address = ntohl(inet_addr(address));
	init_say("loading modules");
	load_modules();
	init_say("bringing up the fabric at %s", address);
	network(server.address, (unsigned)strtoul(slash + 1, NULL, 10));
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	configure(&server, address);
	init_control_open();
	init_say("starting annex-memserver");
	serve(&server);
}
