/* SPDX-License-Identifier: MIT */
/* Apart from pci.c because the configuration's parser also runs on the host. */
#include "machine/pci.h"

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int byte(const char *text)
{
	int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);

	return low < 0 ? -1 : high << 4 | low;
}

bool pci_parse(const char *text, pci_address *a)
{
	int bus, device;

	bus = byte(text);
	if (bus < 0 || text[2] != ':')
		return false;
	device = byte(text + 3);
	if (device < 0 || device > 31 || text[5] != '.')
		return false;
	if (text[6] < '0' || text[6] > '7' || text[7])
		return false;
	*a = (pci_address)(bus << 8 | device << 3 | (text[6] - '0'));
	return true;
}
