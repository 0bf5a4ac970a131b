/* SPDX-License-Identifier: MIT */
/*
 * A host for annex guest define without libvirt: three servers in its registry, kernel and initrd
 * in a directory of its own, and one good domain to change.
 */
#ifndef ANNEX_TESTS_DOMAIN_FIXTURE_H
#define ANNEX_TESTS_DOMAIN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "toolstack/domain.h"
#include "toolstack/error.h"
#include "toolstack/size.h"
#include "toolstack/xml.h"

#define UUID  "0a1b2c3d-1111-4222-8333-444455556666"
#define STATE "/var/lib/annex-test"

/* Files that are a bzImage, an initrd, and neither. */
extern char fixture_kernel[64], fixture_initrd[64], fixture_text[64];

/* A domain that define takes, but that its files are still called KERNEL and INITRD. */
extern const char fixture_template[];

/* cmocka setup and teardown of a whole group. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* malloc()ed copy with the first `from` replaced; a text without it fails the test. */
char *fixture_replaced(const char *text, const char *from, const char *to);
/* The template with its files named, malloc()ed. */
char *fixture_example(void);

/* An exit code of domain_transform(); with `out`, the document (xmlFree()) if that was 0. */
int fixture_define(const char *text, const char *kvm, struct domain_plan *plan, char **out);
/* The output of a document that must be taken. */
char *fixture_define_good(const char *text, struct domain_plan *plan);

#endif
