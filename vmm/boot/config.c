/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "annex/rpc.h"
#include "boot/config.h"
#include "lib/log.h"
#include "lib/text.h"
#include "machine/pci.h"

#define LINE_MAX     256u
#define FAR_STEP     RPC_EXTENT_SIZE
#define FAR_MAX      (1ull << 44) /* pages are counted in 32 bits */
#define MTU_MIN      1500u
#define MTU_MAX      9216u
#define PREFETCH_MAX 32u
#define DOMAIN_TEXT  36u

struct parser {
	struct config *config;
	unsigned line;
	char key[32];
	char value[LINE_MAX];
	char *error;
	size_t size;
};

/* A setter returns NULL, or what a right value looks like. */
struct key {
	const char *name;
	const char *(*set)(struct config *config, const char *value);
	const char *missing; /* an example; NULL: optional */
};

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static const char *set_far(struct config *c, const char *value)
{
	if (!text_size(value, &c->far))
		return "not a size such as 512M";
	if (!c->far || c->far % FAR_STEP || c->far >= FAR_MAX)
		return "must be a multiple of 16M, from 16M up to less than 16384G";
	return NULL;
}

static const char *set_pinned(struct config *c, const char *value)
{
	if (!text_size(value, &c->pinned))
		return "not a size such as 512M";
	return c->pinned ? NULL : "must not be 0";
}

static const char *set_pcache(struct config *c, const char *value)
{
	if (!text_size(value, &c->pcache))
		return "not a size such as 512M";
	return c->pcache >= 4096 ? NULL
				 : "must be at least 4K; leave the key out for all local memory";
}

static const char *set_pin(struct config *c, const char *value)
{
	if (!text_size(value, &c->pin))
		return "not a size such as 256M";
	return c->pin % 4096 == 0 && c->pin < FAR_MAX ? NULL : "must be a multiple of 4K";
}

static const char *set_nic(struct config *c, const char *value)
{
	return pci_parse(value, &c->nic) ? NULL : "not a PCI address such as 00:10.0";
}

/* Addresses that one machine can have: not 0/8, loopback, multicast or broadcast. */
static bool unicast(uint32_t address)
{
	uint32_t first = address >> 24;

	return first != 0 && first != 127 && first < 224;
}

static const char *set_address(struct config *c, const char *value)
{
	static const char form[] = "not an address with prefix such as 10.0.0.2/24";
	const char *slash = strchr(value, '/');
	char address[16];
	uint64_t prefix;
	uint32_t host;

	if (!slash || (size_t)(slash - value) >= sizeof(address))
		return form;
	memcpy(address, value, (size_t)(slash - value));
	address[slash - value] = 0;
	if (!text_ipv4(address, &c->address) || !text_number(slash + 1, 10, &prefix))
		return form;
	if (prefix < 1 || prefix > 31)
		return "the prefix must be 1..31";
	c->prefix = (uint32_t)prefix;
	host = 0xffffffffu >> prefix;
	if (!unicast(c->address) ||
		(prefix < 31 && ((c->address & host) == 0 || (c->address & host) == host)))
		return "is no host's address";
	return NULL;
}

static const char *set_gateway(struct config *c, const char *value)
{
	if (!text_ipv4(value, &c->gateway) || !unicast(c->gateway))
		return "not an address such as 10.0.0.1";
	return NULL;
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

static const char *set_server_name(struct config *c, const char **value)
{
	struct config_server *s = &c->server[c->servers];
	size_t length = 0;

	while (name_char((*value)[length]))
		length++;
	if (!length || length >= sizeof(s->name) || !blank((*value)[length]))
		return "not NAME ADDRESS[:PORT]; NAME has 1..31 letters, digits, - _ .";
	memcpy(s->name, *value, length);
	s->name[length] = 0;
	for (unsigned i = 0; i < c->servers; i++) {
		if (!strcmp(c->server[i].name, s->name))
			return "this name is already taken by another server";
	}
	*value += length;
	while (blank(**value))
		(*value)++;
	return NULL;
}

static const char *set_server(struct config *c, const char *value)
{
	struct config_server *s = &c->server[c->servers];
	const char *colon, *wrong;
	char address[16];
	size_t length;
	uint64_t port = RPC_PORT;

	if (c->servers == CONFIG_SERVERS)
		return "more than 4 servers";
	wrong = set_server_name(c, &value);
	if (wrong)
		return wrong;
	colon = strchr(value, ':');
	length = colon ? (size_t)(colon - value) : strlen(value);
	if (length >= sizeof(address))
		return "the address is not of the form A.B.C.D[:PORT]";
	memcpy(address, value, length);
	address[length] = 0;
	if (!text_ipv4(address, &s->address) || !unicast(s->address))
		return "the address is not of the form A.B.C.D[:PORT]";
	if (colon && (!text_number(colon + 1, 10, &port) || port < 1 || port > 65535))
		return "the port must be 1..65535";
	s->port = (uint16_t)port;
	c->servers++;
	return NULL;
}

static const char *set_tenant(struct config *c, const char *value)
{
	if (strlen(value) != 16 || !text_number(value, 16, &c->tenant) || !c->tenant)
		return "must be 16 hexadecimal digits, not all 0";
	return NULL;
}

static const char *set_domain(struct config *c, const char *value)
{
	static const char form[] = "not a UUID such as 01234567-89ab-cdef-0123-456789abcdef";
	unsigned n = 0;
	uint64_t byte;
	char pair[3] = "";

	if (strlen(value) != DOMAIN_TEXT)
		return form;
	for (unsigned i = 0; i < DOMAIN_TEXT;) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (value[i++] != '-')
				return form;
			continue;
		}
		pair[0] = value[i];
		pair[1] = value[i + 1];
		if (!text_number(pair, 16, &byte))
			return form;
		c->domain[n++] = (uint8_t)byte;
		i += 2;
	}
	return NULL;
}

static const char *set_mtu(struct config *c, const char *value)
{
	uint64_t mtu;

	if (!text_number(value, 10, &mtu) || mtu < MTU_MIN || mtu > MTU_MAX)
		return "must be 1500..9216";
	c->mtu = (uint32_t)mtu;
	return NULL;
}

static const char *set_prefetch(struct config *c, const char *value)
{
	uint64_t pages;

	if (!text_number(value, 10, &pages) || pages > PREFETCH_MAX)
		return "must be 0..32";
	c->prefetch = (uint32_t)pages;
	return NULL;
}

static const char *set_log(struct config *c, const char *value)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};

	for (int i = 0; i <= LOG_DEBUG; i++) {
		if (!strcmp(value, names[i])) {
			c->log = i;
			return NULL;
		}
	}
	return "must be error, warning, info or debug";
}

static const char *set_boot(struct config *c, const char *value)
{
	c->boot_disk = !strcmp(value, "disk");
	return c->boot_disk || !strcmp(value, "kernel") ? NULL : "must be kernel or disk";
}

static const char *set_wakeup(struct config *c, const char *value)
{
	c->wakeup_mailbox = !strcmp(value, "mailbox");
	return c->wakeup_mailbox || !strcmp(value, "sipi") ? NULL : "must be sipi or mailbox";
}

static const struct key keys[] = {
	{CONFIG_KEY_FAR, set_far, "far = 4G"},
	{CONFIG_KEY_PINNED, set_pinned, "pinned = 512M"},
	{CONFIG_KEY_NIC, set_nic, "nic = 00:10.0"},
	{CONFIG_KEY_ADDRESS, set_address, "address = 10.0.0.2/24"},
	{CONFIG_KEY_GATEWAY, set_gateway, NULL},
	{CONFIG_KEY_SERVER, set_server, "server = one 10.0.0.1:7471"},
	{CONFIG_KEY_TENANT, set_tenant, "tenant = 0123456789abcdef"},
	{CONFIG_KEY_DOMAIN, set_domain, "domain = 01234567-89ab-cdef-0123-456789abcdef"},
	{CONFIG_KEY_MTU, set_mtu, NULL},
	{CONFIG_KEY_LOG, set_log, NULL},
	{CONFIG_KEY_PCACHE, set_pcache, NULL},
	{CONFIG_KEY_PIN, set_pin, NULL},
	{CONFIG_KEY_PREFETCH, set_prefetch, NULL},
	{CONFIG_KEY_WAKEUP, set_wakeup, NULL},
	{CONFIG_KEY_BOOT, set_boot, NULL},
};

#define KEYS (sizeof(keys) / sizeof(keys[0]))

static bool fail(struct parser *p, const char *what)
{
	/* What is quoted came from outside: one printable line of bounded length. */
	for (char *s = p->value; *s; s++) {
		if (*s < ' ' || *s > '~')
			*s = '?';
	}
	text_format(p->error, p->size, "config line %u: %s = %.*s: %s", p->line, p->key, 64,
		p->value, what);
	return false;
}

/* Splits one line into key and value; an empty key means a blank line. */
static const char *split(struct parser *p, const char *text, size_t length)
{
	const char *hash = memchr(text, '#', length), *equals;
	size_t n;

	p->key[0] = p->value[0] = 0;
	if (hash)
		length = (size_t)(hash - text);
	while (length && blank(text[0]))
		text++, length--;
	while (length && blank(text[length - 1]))
		length--;
	if (!length)
		return NULL;
	equals = memchr(text, '=', length);
	n = equals ? (size_t)(equals - text) : length;
	while (n && blank(text[n - 1]))
		n--;
	for (size_t i = 0; i < n && i < sizeof(p->key) - 1; i++) {
		p->key[i] = text[i] > ' ' && text[i] <= '~' ? text[i] : '?';
		p->key[i + 1] = 0;
	}
	if (!equals || !n)
		return "not of the form key = value";
	length -= (size_t)(equals + 1 - text);
	text = equals + 1;
	while (length && blank(text[0]))
		text++, length--;
	if (n >= sizeof(p->key))
		return "unknown key";
	if (length >= LINE_MAX)
		return "value longer than 255 characters";
	memcpy(p->value, text, length);
	p->value[length] = 0;
	return memchr(p->value, 0, length) ? "holds a NUL byte" : NULL;
}

static bool parse_line(struct parser *p, const char *text, size_t length, unsigned *seen)
{
	const char *wrong = split(p, text, length);

	if (wrong)
		return fail(p, wrong);
	if (!p->key[0])
		return true;
	for (unsigned k = 0; k < KEYS; k++) {
		if (strcmp(p->key, keys[k].name))
			continue;
		if (*seen & 1u << k && keys[k].set != set_server)
			return fail(p, "key appears twice");
		*seen |= 1u << k;
		wrong = keys[k].set(p->config, p->value);
		if (!wrong && keys[k].set == set_server)
			p->config->server[p->config->servers - 1].line = p->line;
		return wrong ? fail(p, wrong) : true;
	}
	return fail(p, "unknown key");
}

static bool check_servers(struct parser *p)
{
	const struct config *c = p->config;
	uint32_t mask = ~(0xffffffffu >> c->prefix);

	for (unsigned i = 0; i < c->servers; i++) {
		const struct config_server *s = &c->server[i];

		if (s->address == c->address) {
			text_format(p->error, p->size, "config: server %s has our own address",
				s->name);
			return false;
		}
		if (!c->gateway && (s->address ^ c->address) & mask) {
			text_format(p->error, p->size,
				"config: server %s is not on our network and no gateway is given",
				s->name);
			return false;
		}
		for (unsigned j = 0; j < i; j++) {
			if (c->server[j].address != s->address || c->server[j].port != s->port)
				continue;
			text_format(p->error, p->size,
				"config: servers %s and %s have the same address and port",
				c->server[j].name, s->name);
			return false;
		}
	}
	/* Each holds a share of the far window, in whole extents. */
	if (c->far / RPC_EXTENT_SIZE < c->servers) {
		text_format(p->error, p->size,
			"config: %u servers share the far window: far must be at least %luM",
			c->servers, (unsigned long)(c->servers * RPC_EXTENT_SIZE >> 20));
		return false;
	}
	return true;
}

/* What no single line can tell. */
static bool check_whole(struct parser *p, unsigned seen)
{
	const struct config *c = p->config;
	uint32_t mask = ~(0xffffffffu >> c->prefix);

	for (unsigned k = 0; k < KEYS; k++) {
		if (!keys[k].missing || seen & 1u << k)
			continue;
		text_format(p->error, p->size, "config: key %s is missing (example: %s)",
			keys[k].name, keys[k].missing);
		return false;
	}
	if (c->wakeup_mailbox && c->boot_disk) {
		text_format(p->error, p->size,
			"config: wakeup = mailbox needs a kernel that was handed over, not "
			"boot = disk");
		return false;
	}
	if (c->gateway && ((c->gateway ^ c->address) & mask || c->gateway == c->address)) {
		text_format(p->error, p->size,
			"config: gateway is not another address of our own network");
		return false;
	}
	return check_servers(p);
}

bool config_parse(const char *text, size_t length, struct config *config, char *error, size_t size)
{
	struct parser p = {.config = config, .error = error, .size = size};
	unsigned seen = 0;

	memset(config, 0, sizeof(*config));
	config->log = LOG_INFO;
	config->prefetch = PREFETCH_MAX;
	while (length) {
		const char *end = memchr(text, '\n', length);
		size_t n = end ? (size_t)(end - text) : length;

		p.line++;
		if (!parse_line(&p, text, n, &seen))
			return false;
		n += end ? 1 : 0;
		text += n;
		length -= n;
	}
	return check_whole(&p, seen);
}
