#!/bin/bash
# SPDX-License-Identifier: MIT
# clang-tidy over all C sources, with the flags of the part that each belongs to.
set -u
cd "$(dirname "$0")/.."
common=(-std=c11 -D_GNU_SOURCE -Iinclude -I. -Ivmm)
libraries=$(pkg-config --cflags libxml-2.0 jansson libvirt libcurl libmicrohttpd 2>/dev/null)
freestanding=(-ffreestanding -mno-red-zone -mgeneral-regs-only -fno-pic)
failed=0
check() { # check FLAGS... -- FILES...
	local flags=()
	while [ "$1" != -- ]; do
		flags+=("$1")
		shift
	done
	shift
	[ $# -eq 0 ] && return
	printf '%s\0' "$@" | xargs -0 -P 2 -I{} clang-tidy --quiet {} -- "${flags[@]}" \
		2>/dev/null || failed=1
}
mapfile -t vmm < <(find vmm -name '*.c' | grep -v '^vmm/lib/crc_sse')
# The machine's registers are theirs.
faked=(tests/unit/mtrr_test.c tests/unit/vmx_test.c tests/unit/leaves_test.c)
apic=(tests/unit/apic_trap_test.c tests/unit/apic_test.c)
mapfile -t host < <(find guest-agent memserver toolstack tests -name '*.c' | grep -vxF "$(printf '%s\n' "${faked[@]}" \
	"${apic[@]}")")
check "${common[@]}" "${freestanding[@]}" -- "${vmm[@]}"
check "${common[@]}" -msse4.2 -mpclmul -- vmm/lib/crc_sse.c
check -Itests/unit/fake_vmx "${common[@]}" -- "${faked[@]}"
check -Itests/unit/fake_apic "${common[@]}" -- "${apic[@]}"
# shellcheck disable=SC2086
check "${common[@]}" -Itests $libraries -- "${host[@]}"
[ $failed -eq 0 ] && echo "tidy: nothing to say"
exit $failed
