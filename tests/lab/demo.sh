#!/bin/bash
# SPDX-License-Identifier: MIT
# make demo: a stock Debian on remote memory, from libvirt XML to a summary table.
set -u
. "$(dirname "$0")/lab.sh"

title() {
	echo
	say "== $*"
}

title "images (made once, kept in ${ANNEX_CACHE:-~/.cache/annex})"
lab_images || fail "images"

title "a private libvirt; one of the system is left alone"
lab_begin demo
[ -S /run/libvirt/libvirt-sock ] && say "the system's libvirt runs and is not used"
virsh version | sed 's/^/       /'

title "a memory server: stock Debian kernel, Soft-RoCE, annex-memserver"
lab_server memory1 10.77.0.1 640M || fail "annex server provision"
annex server list | sed 's/^/       /'

title "a guest from docs/examples/guest.xml"
lab_peer || fail "the network peer does not build"
lab_disk debian
lab_xml debian all peer:10.78.0.1
annex guest define "$work/debian.xml" || fail "annex guest define"
virsh start debian || fail "virsh start"
began=$SECONDS
say "started; its console: virsh -c 'qemu+unix:///system?socket=$lv/run/libvirt/libvirt-sock' console debian"

# The console, and what the VMM counts, until the workloads are over.
while ! lab_wait_quietly debian 30 LAB-END; do
	[ $((SECONDS - began)) -lt 560 ] || { lab_tails; fail "not done after 560 s"; }
	[ "$(virsh domstate debian)" = running ] || { lab_tails; fail "the guest is not running"; }
	lab_stat_line debian
	annex stat debian >"$logs/stat.new" 2>&1 && mv "$logs/stat.new" "$logs/stat"
done
lab_off debian 60 || fail "the guest did not power off"

title "summary"
lab_table debian
[ ! -f "$logs/stat" ] || sed 's/^/       /' "$logs/stat"
bad=$(lab_results debian | awk -F'\t' '$2 != "ok"' | wc -l)
good=$(lab_results debian | awk -F'\t' '$2 == "ok"' | wc -l)
[ "$bad" -eq 0 ] && [ "$good" -ge 9 ] || fail "$bad of $((good + bad)) workloads failed"
say "$good programs ran on remote memory, every byte right, in $((SECONDS - began)) s"
