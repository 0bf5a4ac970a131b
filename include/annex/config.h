/* SPDX-License-Identifier: MIT */
/*
 * What the VMM is given: fw_cfg files (libvirt) or the boot loader's modules (GRUB, told apart by the
 * first word of a module's string), and the lines of the one named config.
 *
 * A config line is `key = value`; `#` starts a comment; blank lines are skipped; keys appear once,
 * `server` up to CONFIG_SERVERS times. SIZE is a number with K, M or G behind it (powers of 1024).
 */
#ifndef ANNEX_CONFIG_H
#define ANNEX_CONFIG_H

#define CONFIG_FILE_KERNEL  "opt/org.annex/kernel" /* stock bzImage; none with boot = disk */
#define CONFIG_FILE_INITRD  "opt/org.annex/initrd" /* optional */
#define CONFIG_FILE_CMDLINE "opt/org.annex/cmdline" /* of the guest's kernel */
#define CONFIG_FILE_CONFIG  "opt/org.annex/config"

#define CONFIG_MODULE_KERNEL "kernel" /* the rest of its string is the kernel's command line */
#define CONFIG_MODULE_INITRD "initrd" /* optional */
#define CONFIG_MODULE_CONFIG "config"

#define CONFIG_SERVERS  4
#define CONFIG_NAME_MAX 32

#define CONFIG_KEY_FAR     "far" /* SIZE of the far window, multiple of 16M; required */
#define CONFIG_KEY_PINNED  "pinned" /* SIZE of the guest's pinned memory; required */
#define CONFIG_KEY_NIC     "nic" /* fabric NIC's PCI address, BB:DD.F; required */
#define CONFIG_KEY_ADDRESS "address" /* our A.B.C.D/PREFIX on the fabric; required */
#define CONFIG_KEY_GATEWAY "gateway" /* A.B.C.D, when a server is not on-link */
#define CONFIG_KEY_SERVER  "server" /* NAME A.B.C.D[:PORT]; at least one */
#define CONFIG_KEY_TENANT  "tenant" /* 16 hexadecimal digits; required */
#define CONFIG_KEY_DOMAIN  "domain" /* UUID of the libvirt domain; required */
#define CONFIG_KEY_MTU     "mtu" /* link MTU, 1500..9216; default: what the NIC says, else 1500 */
#define CONFIG_KEY_LOG     "log" /* error, warning, info (default) or debug */
#define CONFIG_KEY_WAKEUP  "wakeup" /* of the guest's other CPUs: sipi (default) or mailbox (ACPI) */
#define CONFIG_KEY_BOOT    "boot" /* kernel (default), or disk: the BIOS's first one boots itself */
#define CONFIG_KEY_PCACHE  "pcache" /* SIZE cap of the page cache; default: all other local memory */
#define CONFIG_KEY_PIN     "pin" /* SIZE of far memory that the guest's agent may pin; default 0 */
#define CONFIG_KEY_PREFETCH                                                                        \
	"prefetch" /* pages filled ahead of a stream of faults at a time, 0..32; default 32 */

#endif
