/* SPDX-License-Identifier: MIT */
#include "nic/card.h"
#include "nic/e1000.h"
#include "nic/virtio.h"
#include "nic/virtio_net.h"

static const struct card {
	uint16_t vendor;
	uint16_t device;
	const char *name;
	int (*bind)(struct nic *nic, pci_address address, const char **reason);
} cards[] = {
	{VIRTIO_VENDOR, VIRTIO_NET_DEVICE, "virtio-net", virtio_net_bind},
	{E1000_VENDOR, E1000_82540EM, "e1000", e1000_bind},
	{E1000_VENDOR, E1000_82545EM, "e1000", e1000_bind},
};

static const struct card *find(uint16_t vendor, uint16_t device)
{
	for (unsigned i = 0; i < sizeof(cards) / sizeof(cards[0]); i++)
		if (cards[i].vendor == vendor && cards[i].device == device)
			return &cards[i];
	return NULL;
}

const char *card_find(uint16_t vendor, uint16_t device)
{
	const struct card *card = find(vendor, device);

	return card ? card->name : NULL;
}

int card_bind(struct nic *nic, pci_address address, const char **reason)
{
	const struct card *card = find(pci_read16(address, 0), pci_read16(address, 2));

	if (!card) {
		*reason = "there is no driver for it";
		return -1;
	}
	return card->bind(nic, address, reason);
}
