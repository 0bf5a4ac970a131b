/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "toolstack/error.h"
#include "toolstack/kernel.h"

/* The setup header of Linux's x86 boot protocol, offsets from the start of the file. */
#define HEADER_BYTES     0x268
#define HEADER_BOOT_FLAG 0x1fe
#define HEADER_MAGIC     0x202
#define HEADER_PROTOCOL  0x206
#define HEADER_VERSION   0x20e /* file offset of the version string, less 0x200 */
#define HEADER_XLOAD     0x236
#define XLOAD_64BIT      1

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static int open_file(const char *what, const char *path)
{
	struct stat st;
	int fd;

	if (path[0] != '/') {
		error_set(ERROR_REFUSED, "<%s> %s is no absolute path. libvirt needs one", what,
			path);
		return -1;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		error_set(errno == ENOENT ? ERROR_NOT_FOUND : ERROR_FAILED,
			"cannot read the guest's %s %s: %m. Put the file there, or change <%s>",
			what, path, what);
		return -1;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size == 0) {
		error_set(
			ERROR_REFUSED, "the guest's %s %s is empty or no regular file", what, path);
		close(fd);
		return -1;
	}
	return fd;
}

static int read_header(const char *path, int fd, uint8_t header[HEADER_BYTES])
{
	if (pread(fd, header, HEADER_BYTES, 0) != HEADER_BYTES ||
		get16(header + HEADER_BOOT_FLAG) != 0xaa55 ||
		memcmp(header + HEADER_MAGIC, "HdrS", 4) || get16(header + HEADER_PROTOCOL) < 0x20c)
		return error_set(ERROR_REFUSED,
			"%s is no Linux bzImage of this decade. Give the file that a distribution "
			"installs as /boot/vmlinuz-...",
			path);
	if (!(get16(header + HEADER_XLOAD) & XLOAD_64BIT))
		return error_set(
			ERROR_REFUSED, "%s is a 32-bit kernel; the VMM starts 64-bit ones", path);
	return 0;
}

int kernel_check(const char *path)
{
	uint8_t header[HEADER_BYTES];
	int fd = open_file("kernel", path), code;

	if (fd < 0)
		return (int)error_code();
	code = read_header(path, fd, header);
	close(fd);
	return code;
}

int kernel_check_initrd(const char *path)
{
	int fd = open_file("initrd", path);

	if (fd < 0)
		return (int)error_code();
	close(fd);
	return 0;
}

int kernel_version(const char *path, char *version, size_t size)
{
	uint8_t header[HEADER_BYTES];
	char text[128] = "";
	int fd = open_file("kernel", path), code;

	if (fd < 0)
		return (int)error_code();
	code = read_header(path, fd, header);
	if (!code && pread(fd, text, sizeof(text) - 1, 0x200 + get16(header + HEADER_VERSION)) <= 0)
		code = error_set(ERROR_FAILED, "cannot read the version of %s", path);
	close(fd);
	text[strcspn(text, " ")] = '\0';
	if (!code)
		snprintf(version, size, "%s", text);
	return code;
}
