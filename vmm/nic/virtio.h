/* SPDX-License-Identifier: MIT */
/*
 * What the virtio 1.1 specification fixes and we use (its sections in brackets). All fields are
 * little-endian, as is the machine.
 */
#ifndef ANNEX_VIRTIO_H
#define ANNEX_VIRTIO_H

#include <stdint.h>

#define VIRTIO_VENDOR     0x1af4u
#define VIRTIO_NET_DEVICE 0x1041u /* modern: 0x1040 + 1 [4.1.2.1] */

/* Device status [2.1]. */
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER      2u
#define VIRTIO_STATUS_DRIVER_OK   4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_FAILED      128u

/* Features [5.1.3, 6]. */
#define VIRTIO_NET_F_MTU         (1ull << 3)
#define VIRTIO_NET_F_MAC         (1ull << 5)
#define VIRTIO_F_VERSION_1       (1ull << 32)
#define VIRTIO_F_ACCESS_PLATFORM (1ull << 33)

/* Vendor capability that says where a structure lies [4.1.4]. */
#define VIRTIO_CAP_ID            0x09u
#define VIRTIO_CAP_TYPE          3u /* offsets of the fields in the capability */
#define VIRTIO_CAP_BAR           4u
#define VIRTIO_CAP_OFFSET        8u
#define VIRTIO_CAP_LENGTH        12u
#define VIRTIO_CAP_NOTIFY_FACTOR 16u

enum virtio_cap_type {
	VIRTIO_CAP_COMMON = 1,
	VIRTIO_CAP_NOTIFY = 2,
	VIRTIO_CAP_ISR = 3,
	VIRTIO_CAP_DEVICE = 4,
	VIRTIO_CAP_TYPES,
};

/* Common configuration [4.1.4.3]. */
struct virtio_common {
	uint32_t device_feature_select;
	uint32_t device_feature;
	uint32_t driver_feature_select;
	uint32_t driver_feature;
	uint16_t config_vector;
	uint16_t queues;
	uint8_t status;
	uint8_t generation;
	uint16_t queue_select;
	uint16_t queue_size;
	uint16_t queue_vector;
	uint16_t queue_enable;
	uint16_t queue_notify_offset;
	uint32_t queue_descriptors[2];
	uint32_t queue_driver[2];
	uint32_t queue_device[2];
};

#define VIRTIO_NO_VECTOR 0xffffu

/* Device configuration of a network card [5.1.4]. */
struct virtio_net_config {
	uint8_t mac[6];
	uint16_t status;
	uint16_t queue_pairs;
	uint16_t mtu;
};

#define VIRTIO_NET_RECEIVE 0u /* queue numbers [5.1.2] */
#define VIRTIO_NET_SEND    1u

/* In front of every frame [5.1.6]; all zero: nothing is offloaded. */
struct virtio_net_header {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t header_length;
	uint16_t gso_size;
	uint16_t checksum_start;
	uint16_t checksum_offset;
	uint16_t buffers;
};

/* Split virtqueues [2.6]. */
#define VIRTIO_DESC_WRITE         2u
#define VIRTIO_AVAIL_NO_INTERRUPT 1u
#define VIRTIO_USED_NO_NOTIFY     1u

struct virtio_descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags;
	uint16_t next;
};

struct virtio_avail {
	uint16_t flags;
	uint16_t index;
	uint16_t ring[];
};

struct virtio_used_element {
	uint32_t id;
	uint32_t length;
};

struct virtio_used {
	uint16_t flags;
	uint16_t index;
	struct virtio_used_element ring[];
};

#endif
