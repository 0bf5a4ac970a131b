/* SPDX-License-Identifier: MIT */
/* The listener and the events of connections and of the device. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "memserver/log.h"
#include "memserver/verbs_state.h"

time_t verbs_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* The name of the interface that has the address, or an empty string. */
static void interface_of(const struct sockaddr_in *address, char *name, size_t size)
{
	struct ifaddrs *list, *i;

	name[0] = '\0';
	if (getifaddrs(&list) != 0)
		return;
	for (i = list; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
			continue;
		if (((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr ==
			address->sin_addr.s_addr)
			snprintf(name, size, "%s", i->ifa_name);
	}
	freeifaddrs(list);
}

static void explain_bind(const struct sockaddr_in *address, int error)
{
	char text[INET_ADDRSTRLEN], interface[64];

	inet_ntop(AF_INET, &address->sin_addr, text, sizeof(text));
	interface_of(address, interface, sizeof(interface));
	if (!interface[0])
		log_line(LOG_ERR, "no interface of this machine has the address %s", text);
	else if (error == ENODEV || error == 0)
		log_line(LOG_ERR,
			"no RDMA device has the address %s: use an RDMA NIC's address, or make a "
			"Soft-RoCE device: modprobe rdma_rxe; rdma link add rxe0 type rxe netdev "
			"%s",
			text, interface);
	else if (error == EADDRINUSE)
		log_line(LOG_ERR, "%s port %u is in use: is another annex-memserver running?", text,
			ntohs(address->sin_port));
	else
		log_line(
			LOG_ERR, "%s port %u: %s", text, ntohs(address->sin_port), strerror(error));
}

static bool any_device(void)
{
	int devices = 0;
	struct ibv_device **list = ibv_get_device_list(&devices);

	if (list)
		ibv_free_device_list(list);
	return devices > 0;
}

static bool listen_on(struct verbs *v, const struct sockaddr_in *address)
{
	struct sockaddr_in copy = *address;

	v->channel = rdma_create_event_channel();
	if (!v->channel && !any_device()) {
		explain_bind(address, ENODEV);
		return false;
	}
	if (!v->channel) {
		log_line(LOG_ERR,
			"no RDMA connection manager (%s): modprobe rdma_ucm, and see that "
			"/dev/infiniband/rdma_cm can be opened",
			strerror(errno));
		return false;
	}
	if (rdma_create_id(v->channel, &v->listener, NULL, RDMA_PS_TCP) != 0) {
		log_line(LOG_ERR, "no RDMA listener: %s", strerror(errno));
		return false;
	}
	if (rdma_bind_addr(v->listener, (struct sockaddr *)&copy) != 0) {
		explain_bind(address, errno);
		return false;
	}
	v->context = v->listener->verbs;
	if (!v->context) {
		explain_bind(address, 0);
		return false;
	}
	return true;
}

static bool nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static bool prepare(struct verbs *v)
{
	struct ibv_device_attr device;

	if (ibv_query_device(v->context, &device) != 0) {
		log_line(LOG_ERR, "%s cannot be asked for its limits",
			ibv_get_device_name(v->context->device));
		return false;
	}
	v->reads = VERBS_READS;
	if (device.max_qp_rd_atom < (int)v->reads)
		v->reads = (uint16_t)device.max_qp_rd_atom;
	v->completions = ibv_create_comp_channel(v->context);
	if (!v->completions || !verbs_memory_open(v)) {
		log_line(LOG_ERR, "out of memory");
		return false;
	}
	return nonblocking(v->channel->fd) && nonblocking(v->completions->fd) &&
	       nonblocking(v->context->async_fd);
}

struct verbs *verbs_open(const struct sockaddr_in *address, struct pool *pool)
{
	struct verbs *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->pool = pool;
	if (listen_on(v, address) && prepare(v))
		return v;
	verbs_close(v);
	return NULL;
}

uint16_t verbs_reads(const struct verbs *v)
{
	return v->reads;
}

bool verbs_serve(struct verbs *v, struct policy *policy)
{
	v->policy = policy;
	if (rdma_listen(v->listener, 64) == 0)
		return true;
	log_line(LOG_ERR, "cannot listen: %s", strerror(errno));
	return false;
}

void verbs_descriptors(const struct verbs *v, int fd[VERBS_DESCRIPTORS])
{
	fd[0] = v->channel->fd;
	fd[1] = v->completions->fd;
	fd[2] = v->context->async_fd;
}

/* False: the device is gone. */
static bool connection_event(struct verbs *v)
{
	struct rdma_cm_event *event;
	struct rdma_conn_param conn;
	enum rdma_cm_event_type type;
	uint8_t private_data[256];
	struct rdma_cm_id *id;
	struct link *link;
	size_t length;

	if (rdma_get_cm_event(v->channel, &event) != 0)
		return errno == EAGAIN || errno == EINTR;
	type = event->event;
	id = event->id;
	conn = event->param.conn;
	length = conn.private_data ? conn.private_data_len : 0;
	if (length > sizeof(private_data))
		length = sizeof(private_data);
	if (length > 0)
		memcpy(private_data, conn.private_data, length);
	/* Acknowledged before anything else: an id cannot be destroyed with an event pending. */
	rdma_ack_cm_event(event);
	link = id == v->listener ? NULL : id->context;
	switch (type) {
	case RDMA_CM_EVENT_CONNECT_REQUEST:
		verbs_link_request(v, id, &conn, private_data, length);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
	case RDMA_CM_EVENT_CONNECT_ERROR:
	case RDMA_CM_EVENT_UNREACHABLE:
	case RDMA_CM_EVENT_REJECTED:
		if (link) {
			log_line(LOG_INFO, "a queue pair is gone: %s", rdma_event_str(type));
			verbs_link_lost(link);
		}
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		log_line(LOG_CRIT, "the RDMA device was removed");
		return false;
	default:
		log_line(LOG_DEBUG, "connection manager: %s", rdma_event_str(type));
		break;
	}
	return true;
}

static bool completion_event(struct verbs *v)
{
	struct ibv_cq *cq;
	void *link;

	if (ibv_get_cq_event(v->completions, &cq, &link) != 0)
		return true;
	ibv_ack_cq_events(cq, 1);
	verbs_link_complete(link);
	return true;
}

static bool device_event(struct verbs *v)
{
	struct ibv_async_event event;
	enum ibv_event_type type;

	if (ibv_get_async_event(v->context, &event) != 0)
		return true;
	type = event.event_type;
	ibv_ack_async_event(&event);
	if (type == IBV_EVENT_DEVICE_FATAL) {
		log_line(LOG_CRIT, "the RDMA device has failed");
		return false;
	}
	log_line(LOG_DEBUG, "device: %s", ibv_event_type_str(type));
	return true;
}

bool verbs_event(struct verbs *v, unsigned which)
{
	static bool (*const handlers[VERBS_DESCRIPTORS])(struct verbs *) = {
		connection_event, completion_event, device_event};

	return handlers[which](v);
}

void verbs_tick(struct verbs *v)
{
	time_t now = verbs_seconds();
	struct link *link, *next;

	if (now == v->ticked)
		return;
	v->ticked = now;
	for (link = v->links; link; link = next) {
		next = link->next;
		if (policy_attached(link->policy) || now - link->since < VERBS_PATIENCE)
			continue;
		log_line(LOG_INFO, "a queue pair did not attach within %d s", VERBS_PATIENCE);
		verbs_link_lost(link);
	}
}

void verbs_close(struct verbs *v)
{
	while (v->links)
		verbs_link_lost(v->links);
	if (v->extent && v->owner)
		verbs_memory_close(v);
	if (v->completions)
		ibv_destroy_comp_channel(v->completions);
	if (v->listener)
		rdma_destroy_id(v->listener);
	if (v->channel)
		rdma_destroy_event_channel(v->channel);
	free(v);
}
