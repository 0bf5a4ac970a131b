/* SPDX-License-Identifier: MIT */
/* The appliance's network and its Soft-RoCE device. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <rdma/rdma_netlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "toolstack/appliance_init.h"

static struct ifreq request(const char *device)
{
	struct ifreq r;

	memset(&r, 0, sizeof(r));
	strncpy(r.ifr_name, device, sizeof(r.ifr_name) - 1);
	return r;
}

static bool up(int fd, const char *device)
{
	struct ifreq r = request(device);

	if (ioctl(fd, SIOCGIFFLAGS, &r))
		return false;
	r.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &r) == 0;
}

static bool set_address(int fd, unsigned long what, uint32_t address)
{
	struct ifreq r = request("eth0");
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};

	memcpy(&r.ifr_addr, &in, sizeof(in));
	return ioctl(fd, what, &r) == 0;
}

const char *init_network(uint32_t address, unsigned prefix, unsigned mtu)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = request("eth0");
	const char *failed = NULL;

	r.ifr_mtu = (int)mtu;
	if (fd < 0 || !up(fd, "lo"))
		failed = "cannot bring lo up";
	else if (ioctl(fd, SIOCSIFMTU, &r))
		failed = "cannot set the MTU";
	else if (!up(fd, "eth0") || !set_address(fd, SIOCSIFADDR, address) ||
		 !set_address(fd, SIOCSIFNETMASK, 0xffffffffu << (32 - prefix)))
		failed = "cannot set the address";
	if (fd >= 0)
		close(fd);
	return failed;
}

struct message {
	struct nlmsghdr header;
	char attributes[128];
};

static void attribute(struct message *m, uint16_t type, const char *text)
{
	struct nlattr *a = (struct nlattr *)((char *)m + NLMSG_ALIGN(m->header.nlmsg_len));

	a->nla_type = type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + strlen(text) + 1);
	memcpy((char *)a + NLA_HDRLEN, text, strlen(text) + 1);
	m->header.nlmsg_len = NLMSG_ALIGN(m->header.nlmsg_len) + NLA_ALIGN(a->nla_len);
}

const char *init_rxe(const char *name, const char *device)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_RDMA);
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct message m = {
		.header = {
			.nlmsg_len = NLMSG_HDRLEN,
			.nlmsg_type = RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, RDMA_NLDEV_CMD_NEWLINK),
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
			.nlmsg_seq = 1,
		}};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char more[512];
	} answer = {0};
	ssize_t n = -1;

	attribute(&m, RDMA_NLDEV_ATTR_DEV_NAME, name);
	attribute(&m, RDMA_NLDEV_ATTR_LINK_TYPE, "rxe");
	attribute(&m, RDMA_NLDEV_ATTR_NDEV_NAME, device);
	if (fd >= 0 && sendto(fd, &m, m.header.nlmsg_len, 0, (struct sockaddr *)&kernel,
			       sizeof(kernel)) > 0)
		n = recv(fd, &answer, sizeof(answer), 0);
	if (fd >= 0)
		close(fd);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) ||
		answer.header.nlmsg_type != NLMSG_ERROR)
		return "cannot ask for a Soft-RoCE device";
	errno = -answer.error.error;
	return answer.error.error ? "cannot make a Soft-RoCE device" : NULL;
}

bool init_answers(uint32_t address, uint16_t port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = fd >= 0 && connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0;

	if (fd >= 0)
		close(fd);
	return good;
}
