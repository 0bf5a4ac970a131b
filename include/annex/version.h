/* SPDX-License-Identifier: MIT */
#ifndef ANNEX_VERSION_H
#define ANNEX_VERSION_H

#define ANNEX_VERSION "0.1.0"

#endif
