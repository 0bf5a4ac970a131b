/* SPDX-License-Identifier: MIT */
/* The toolstack's files: the registry of servers, the initramfs archive, kernel modules. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>
#include "toolstack/cpio.h"
#include "toolstack/error.h"
#include "toolstack/files.h"
#include "toolstack/kernel.h"
#include "toolstack/modules.h"
#include "toolstack/provision.h"
#include "toolstack/registry.h"
#include "toolstack/size.h"
#include "toolstack/xml.h"

static char directory[] = "/tmp/annex-unit-XXXXXX";

static int set_up(void **state)
{
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	return files_remove(directory);
}

static void assert_same(const struct registry_server *a, const struct registry_server *b)
{
	assert_non_null(a);
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->address, b->address);
	assert_int_equal(a->port, b->port);
	assert_int_equal(a->http, b->http);
	assert_int_equal(a->provisioned, b->provisioned);
	assert_int_equal(a->pool, b->pool);
	assert_string_equal(a->ssh, b->ssh);
}

static void test_registry_round_trip(void **state)
{
	struct registry_server one = {"one", 0x0a000001, 7471, 7480, true, 64 * SIZE_MIB, ""};
	struct registry_server two = {"two-2", 0x0a000002, 9, 0, false, 0, "root@two"};
	struct registry registry;

	assert_int_equal(registry_load(&registry, directory), 0);
	assert_int_equal(registry.count, 0);
	assert_int_equal(registry_lock(&registry, directory), 0);
	registry_put(&registry, &one);
	registry_put(&registry, &two);
	one.port = 7;
	registry_put(&registry, &one); /* replaces */
	assert_int_equal(registry_save(&registry, directory), 0);
	registry_free(&registry);

	assert_int_equal(registry_load(&registry, directory), 0);
	assert_int_equal(registry.count, 2);
	assert_same(registry_get(&registry, "one"), &one);
	assert_same(registry_at(&registry, 0x0a000002), &two);
	assert_false(registry_ssh_ok("-oProxyCommand=x"));
	assert_false(registry_ssh_ok("a b"));
	assert_false(registry_ssh_ok(""));
	registry_drop(&registry, "one");
	assert_int_equal(registry.count, 1);
	assert_null(registry_get(&registry, "one"));
	assert_int_equal(error_code(), ERROR_NOT_FOUND);
	assert_non_null(strstr(error_text(), "Known: two-2"));
	registry_free(&registry);
}

static void test_registry_refuses_nonsense(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "{\"annex\":2,\"servers\":[]}",
		"{\"annex\":1,\"servers\":[{}]}",
		"{\"annex\":1,\"servers\":[{\"name\":\"a/"
		"b\",\"address\":\"10.0.0.1\",\"port\":1}]}",
		"{\"annex\":1,\"servers\":[{\"name\":\"a\",\"address\":\"10.0.0\",\"port\":1}]}",
		"{\"annex\":1,\"servers\":[{\"name\":\"a\",\"address\":\"10.0.0.1\",\"port\":0}]}",
		"{\"annex\":1,\"servers\":[{\"name\":\"a\",\"address\":\"10.0.0.1\",\"port\":70000}"
		"]}"};
	char *path = files_path("%s/servers.json", directory);
	struct registry registry;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(files_write(path, bad[i], strlen(bad[i]), 0644), 0);
		if (registry_load(&registry, directory) != ERROR_FAILED)
			fail_msg("'%s' was taken", bad[i]);
	}
	unlink(path);
	free(path);
	assert_true(registry_name_ok("a"));
	assert_false(registry_name_ok(""));
	assert_false(registry_name_ok("-a"));
	assert_false(registry_name_ok("a b"));
	assert_false(registry_name_ok("../a"));
	assert_false(registry_name_ok("abcdefghijklmnopqrstuvwxyz0123456789"));
}

static unsigned long field(const char *header, unsigned n)
{
	char text[9] = "";

	memcpy(text, header + 6 + 8 * n, 8);
	return strtoul(text, NULL, 16);
}

/* A reader of the newc format, written from its description: names with their data, in order. */
static size_t unpack(const char *path, char *list, size_t room, char *last, size_t last_room)
{
	gzFile in = gzopen(path, "rb");
	size_t used = 0, records = 0, at = 0;
	char header[110], name[256], data[4096];

	list[0] = '\0';
	for (;;) {
		unsigned long length, name_length;

		assert_int_equal(gzread(in, header, 110), 110);
		assert_memory_equal(header, "070701", 6);
		length = field(header, 6);
		name_length = field(header, 11);
		assert_true(name_length < sizeof(name) && length < sizeof(data));
		assert_int_equal(gzread(in, name, (unsigned)name_length), (int)name_length);
		at += 110 + name_length;
		gzread(in, data, (unsigned)(-at & 3));
		at += -at & 3;
		if (!strcmp(name, "TRAILER!!!"))
			break;
		records++;
		used += (size_t)snprintf(
			list + used, room - used, "%s:%lo:%lu ", name, field(header, 1), length);
		assert_int_equal(gzread(in, last, (unsigned)length), (int)length);
		assert_true(length < last_room);
		last[length] = '\0';
		at += length;
		gzread(in, data, (unsigned)(-at & 3));
		at += -at & 3;
	}
	gzclose(in);
	return records;
}

static void test_cpio(void **state)
{
	char *path = files_path("%s/a.cpio", directory), list[1024], last[64];
	struct cpio *cpio = cpio_open(path);

	assert_non_null(cpio);
	cpio_directory(cpio, "/dev");
	cpio_device(cpio, "/dev/console", S_IFCHR | 0600, 5, 1);
	cpio_file(cpio, "/a/b/c", 0755, "hello", 5);
	cpio_file(cpio, "/a/b/dd", 0644, "", 0);
	cpio_file(cpio, "/init", 0755, "run", 3);
	assert_int_equal(cpio_close(cpio), 0);
	assert_int_equal(unpack(path, list, sizeof(list), last, sizeof(last)), 7);
	assert_string_equal(list, "dev:40755:0 dev/console:20600:0 a:40755:0 a/b:40755:0 "
				  "a/b/c:100755:5 a/b/dd:100644:0 init:100755:3 ");
	assert_string_equal(last, "run");
	assert_null(cpio_open("/nowhere/at/all"));
	free(path);
}

/* A .ko with one .modinfo section, as small as it gets. */
static size_t make_module(char *out, const char *info, size_t info_length)
{
	static const char names[] = "\0.shstrtab\0.modinfo";
	Elf64_Ehdr header = {.e_ident = ELFMAG,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 3,
		.e_shstrndx = 1};
	Elf64_Shdr sections[3] = {{0}, {.sh_name = 1}, {.sh_name = 11}};
	size_t at = sizeof(header);

	header.e_ident[EI_CLASS] = ELFCLASS64;
	sections[1].sh_offset = at;
	sections[1].sh_size = sizeof(names);
	memcpy(out + at, names, sizeof(names));
	at += sizeof(names);
	sections[2].sh_offset = at;
	sections[2].sh_size = info_length;
	memcpy(out + at, info, info_length);
	at += info_length;
	header.e_shoff = at;
	memcpy(out + at, sections, sizeof(sections));
	memcpy(out, &header, sizeof(header));
	return at + sizeof(sections);
}

static void test_module_info(void **state)
{
	static const char info[] = "license=GPL\0depends=ib_core,udp_tunnel\0name=x";
	char *file = malloc(4096);
	size_t length = make_module(file, info, sizeof(info));

	assert_string_equal(modules_info(file, length, "depends"), "ib_core,udp_tunnel");
	assert_string_equal(modules_info(file, length, "name"), "x");
	assert_null(modules_info(file, length, "depend"));
	length = make_module(file, info, sizeof(info) - 1); /* the last string does not end */
	assert_null(modules_info(file, length, "name"));
	/* Every cut and every flipped byte is survived (the sanitizers watch). */
	length = make_module(file, info, sizeof(info));
	for (size_t n = 0; n < length; n++) {
		char *cut = malloc(n ? n : 1);

		memcpy(cut, file, n);
		modules_info(cut, n, "depends");
		free(cut);
		file[n] = (char)~file[n];
		modules_info(file, length, "depends");
		file[n] = (char)~file[n];
	}
	free(file);
}

static void write_module(const char *name, const char *info, size_t length)
{
	char *path = files_path("%s/%s", directory, name), file[4096];
	size_t n = make_module(file, info, length);

	assert_int_equal(files_write(path, file, n, 0644), 0);
	free(path);
}

static void test_module_order(void **state)
{
	struct module_list list = {0};
	char *builtin = files_path("%s/modules.builtin", directory);

	write_module("top-one.ko", "depends=middle,in_kernel", 25);
	write_module("middle.ko", "depends=low-one", 16);
	write_module("low_one.ko", "depends=", 9);
	write_module("ring1.ko", "depends=ring2", 14);
	write_module("ring2.ko", "depends=ring1", 14);
	assert_int_equal(files_write(builtin, "kernel/in-kernel.ko\n", 20, 0644), 0);
	assert_int_equal(modules_add(&list, directory, "top_one", false), 0);
	assert_int_equal(modules_add(&list, directory, "nothing", true), 0);
	assert_int_equal(list.count, 3);
	assert_string_equal(list.module[0].name, "low_one");
	assert_string_equal(list.module[1].name, "middle");
	assert_string_equal(list.module[2].name, "top_one");
	assert_int_equal(modules_add(&list, directory, "nothing", false), ERROR_NOT_FOUND);
	assert_int_equal(modules_add(&list, directory, "ring1", false), ERROR_FAILED);
	assert_true(modules_has(directory, "in_kernel"));
	assert_false(modules_has(directory, "nothing"));
	modules_free(&list);
	free(builtin);
}

/* Packed modules as distributions ship them, and damaged ones. */
static void test_packed_modules(void **state)
{
	char *plain = files_path("%s/packed.ko", directory), command[600];
	struct module_list list = {0};

	write_module("packed.ko", "depends=", 9);
	snprintf(command, sizeof(command),
		"cd %s && gzip -c packed.ko >zipped.ko.gz && "
		"xz -c packed.ko >tight.ko.xz && head -c 60 tight.ko.xz >cut.ko.xz && "
		"head -c 60 zipped.ko.gz >short.ko.gz && cp packed.ko other.ko.zst",
		directory);
	assert_int_equal(system(command), 0);
	assert_int_equal(modules_add(&list, directory, "packed", false), 0);
	assert_int_equal(modules_add(&list, directory, "zipped", false), 0);
	assert_int_equal(modules_add(&list, directory, "tight", false), 0);
	assert_int_equal(list.count, 3);
	for (size_t i = 1; i < 3; i++) {
		assert_int_equal(list.module[i].length, list.module[0].length);
		assert_memory_equal(
			list.module[i].data, list.module[0].data, list.module[0].length);
	}
	assert_int_equal(modules_add(&list, directory, "cut", false), ERROR_FAILED);
	assert_int_equal(modules_add(&list, directory, "short", false), ERROR_FAILED);
	assert_int_equal(modules_add(&list, directory, "other", false), ERROR_REFUSED);
	assert_non_null(strstr(error_text(), "zstd"));
	modules_free(&list);
	free(plain);
}

static void test_provision_xml(void **state)
{
	struct provision p = {.name = "m&m",
		.type = "qemu",
		.bridge = "br0",
		.directory = "/d<1>",
		.pool = 64 * SIZE_MIB,
		.memory = 224 * SIZE_MIB,
		.quota = 16 * SIZE_MIB,
		.address = 0x0a4d0001,
		.prefix = 24,
		.mtu = 9000};
	char *text = provision_xml(&p), line[512];
	xmlDoc *doc = xml_parse(text, strlen(text), "x");
	const xmlNode *os;

	assert_non_null(doc);
	os = xml_child(xmlDocGetRootElement(doc), "os");
	assert_true(xml_text(xml_child(os, "kernel"), line, sizeof(line)));
	assert_string_equal(line, "/d<1>/vmlinuz");
	assert_true(xml_text(xml_child(os, "cmdline"), line, sizeof(line)));
	assert_non_null(strstr(line, "hugepages=32 annex.address=10.77.0.1/24 annex.mtu=9000 "
				     "annex.pool=64M annex.quota=16M"));
	xmlFreeDoc(doc);
	xmlFree(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registry_round_trip),
		cmocka_unit_test(test_registry_refuses_nonsense),
		cmocka_unit_test(test_cpio),
		cmocka_unit_test(test_module_info),
		cmocka_unit_test(test_module_order),
		cmocka_unit_test(test_packed_modules),
		cmocka_unit_test(test_provision_xml),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
