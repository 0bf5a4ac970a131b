/* SPDX-License-Identifier: MIT */
/* Whether this machine's KVM can run what annex makes. */
#ifndef ANNEX_KVM_H
#define ANNEX_KVM_H

/* Why a domain of type kvm cannot start here, or NULL when it can. */
const char *kvm_missing(void);

/* The same for a domain whose kernel is the VMM: KVM must nest, on AMD. */
const char *kvm_missing_nested(void);

#endif
