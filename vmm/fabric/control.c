/* SPDX-License-Identifier: MIT */
#include "fabric/control.h"

#include <string.h>

void control_init(struct control *c)
{
	memset(c, 0, sizeof(*c));
}

void control_reset(struct control *c, uint16_t version)
{
	c->version = version;
	c->asked = 0;
	c->sent = c->received = 0;
}

static struct control_item *item(struct control *c, unsigned index)
{
	return &c->item[index % CONTROL_QUEUE];
}

bool control_enqueue(struct control *c, uint16_t type, uint32_t index)
{
	for (unsigned i = c->tail; i != c->head; i--) {
		const struct control_item *last = item(c, i - 1);

		if (last->index != index)
			continue;
		if (last->type == type)
			return true;
		break;
	}
	if (c->tail - c->head == CONTROL_QUEUE)
		return false;
	*item(c, c->tail++) = (struct control_item){.type = type, .index = index};
	return true;
}

const struct control_item *control_first(const struct control *c)
{
	return c->head == c->tail ? NULL : &c->item[c->head % CONTROL_QUEUE];
}

void control_drop(struct control *c)
{
	if (c->head != c->tail)
		c->head++;
}

bool control_releasing(const struct control *c, uint32_t index)
{
	for (unsigned i = c->head; i != c->tail; i++) {
		const struct control_item *waiting = &c->item[i % CONTROL_QUEUE];

		if (waiting->type == RPC_RELEASE && waiting->index == index)
			return true;
	}
	return false;
}

size_t control_request(struct control *c, uint16_t type, const void *body, size_t length,
	uint8_t *message, uint64_t now)
{
	struct rpc_header header = {
		.magic = be32_make(RPC_MAGIC),
		.version = be16_make(c->version),
		.type = be16_make(type),
		.id = be32_make(++c->id),
		.length = be32_make(length),
		.counter = be64_make(++c->sent),
	};

	memcpy(message, &header, sizeof(header));
	if (length != 0)
		memcpy(message + sizeof(header), body, length);
	c->asked = type;
	c->asked_at = now;
	return sizeof(header) + length;
}

const char *control_answer(struct control *c, const uint8_t *message, size_t total,
	const uint8_t **body, size_t *length, enum rpc_error *error)
{
	struct rpc_header header;
	struct rpc_error_body refusal;
	uint16_t type;

	if (total < sizeof(header))
		return "answer shorter than its header";
	memcpy(&header, message, sizeof(header));
	if (be32_get(header.magic) != RPC_MAGIC || be16_get(header.version) != c->version)
		return "answer of another protocol or version";
	if (be32_get(header.length) != total - sizeof(header))
		return "answer's length contradicts itself";
	if (be64_get(header.counter) <= c->received)
		return "answer's counter went back";
	if (c->asked == 0 || be32_get(header.id) != c->id)
		return "answer to nothing that was asked";
	c->received = be64_get(header.counter);
	type = be16_get(header.type);
	*body = message + sizeof(header);
	*length = total - sizeof(header);
	*error = RPC_ERROR_NONE;
	if (type == RPC_ERROR) {
		if (*length != sizeof(refusal))
			return "malformed refusal";
		memcpy(&refusal, *body, sizeof(refusal));
		*error = be32_get(refusal.code);
		if (*error == RPC_ERROR_NONE)
			return "refusal without a reason";
	} else if (type != (c->asked | RPC_ANSWER)) {
		return "answer of another type";
	}
	c->asked = 0;
	return NULL;
}

void control_text(char *to, size_t size, const char *from, size_t length)
{
	size_t i;

	for (i = 0; i + 1 < size && i < length && from[i] != '\0'; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = '\0';
}
