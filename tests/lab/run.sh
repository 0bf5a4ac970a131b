#!/bin/bash
# SPDX-License-Identifier: MIT
# make lab: the demo's workloads with asserts, and what the demo does not show: a server that goes
# away and comes back, boots that must be refused, the plain guest without the VMM.
# Arguments: names of the parts below; default: all.
set -u
. "$(dirname "$0")/lab.sh"
. "$here/agent.sh"

# define NAME RUN SET: a guest with far memory. The parts take one name after another: a domain is a
# tenant, and its next boot frees on the servers what its last one held.
define() {
	lab_disk "$1"
	lab_xml "$1" "$2" "$3"
	annex guest define "$work/$1.xml" >"$logs/$1.define" 2>&1 || {
		cat "$logs/$1.define"
		return 1
	}
}

part_baseline() {
	lab_disk plain
	lab_baseline_xml plain all peer:10.78.0.1 1024
	virsh define "$work/plain.xml" && virsh start plain || { not_ok "plain guest starts"; return; }
	lab_wait plain 240 LAB-END
	expect_workloads plain 9 "without VMM"
	virsh destroy plain 2>/dev/null
}

stat_value() { # stat_value JSON FILTER: a number, 0 when it is not there
	jq -r "$2 // 0" <<<"$1" 2>/dev/null || echo 0
}

check_counters() {
	local json
	json=$(annex stat guest --json) || { not_ok "annex stat --json answers"; return; }
	echo "$json" >"$logs/stat.json"
	for key in remote_fills zero_fills victim_hits evictions writebacks batches; do
		check "annex stat: $key > 0" [ "$(stat_value "$json" ".counters.far.$key")" -gt 0 ]
	done
	check "annex stat: the states of far pages add up to all of them" [ "$(jq '.status.far |
		.zero + .remote + .filling + .resident + .unsettled + .victim_clean + .victim_dirty +
		.cleaning + .moving == .pages' "$logs/stat.json")" = true ]
	check "no fill had a wrong checksum" [ "$(stat_value "$json" .counters.far.fill_corrupt)" -eq 0 ]
}

part_workloads() {
	define guest all peer:10.78.0.1 || { not_ok "annex guest define"; return; }
	virsh dumpxml guest --inactive >"$work/first.dump"
	annex guest define "$work/guest.xml" >/dev/null 2>&1
	virsh dumpxml guest --inactive >"$work/second.dump"
	check "define twice gives the same domain" cmp -s "$work/first.dump" "$work/second.dump"
	virsh start guest || { not_ok "virsh start"; return; }
	lab_wait guest 420 'LAB dict' && check_counters
	check "save is refused" refused_save
	lab_wait guest 600 LAB-END
	expect_workloads guest 9 "far memory"
	check "the guest's kernel complains of nothing" \
		not_says guest 'Dazed and confused|BUG:|Oops|WARNING:|soft lockup|detected stalls'
	check "the guest powers off" lab_off guest 60
}

refused_save() {
	! virsh save guest "$work/guest.save" >"$logs/save" 2>&1 && [ "$(virsh domstate guest)" = running ]
}

# The server stands still for 8 s, then is cut off for 14 s: longer than a queue pair lives.
part_stall() {
	local port
	define guest pattern,dict,word_count x:1 || { not_ok "annex guest define"; return; }
	virsh start guest || { not_ok "virsh start"; return; }
	lab_wait guest 180 'LAB-START pattern' || { not_ok "guest boots"; return; }
	virsh destroy guest
	lab_shown[guest]=0
	check "a destroyed guest starts again" virsh start guest
	lab_wait guest 180 'LAB-START pattern' || { not_ok "guest boots again"; return; }
	sleep 3
	virsh suspend annex-server-memory1 && sleep 8
	lab_stat_line guest
	virsh resume annex-server-memory1
	say "server suspended for 8 s and resumed"
	lab_wait guest 300 'LAB-START dict' || { not_ok "goes on after the stall"; return; }
	sleep 3
	port=$(virsh domiflist annex-server-memory1 | awk 'NF > 1 { print $1; exit }')
	virsh domif-setlink annex-server-memory1 "$port" down && sleep 14
	virsh domif-setlink annex-server-memory1 "$port" up
	say "server cut off for 14 s"
	for _ in 1 2; do
		sleep 5
		check "the server's process is ended and starts again" annex server restart memory1
	done
	check "it was ended by a signal" served_again 2
	sleep 3
	annex stat guest --json >"$logs/restarted.json"
	check "no page went with it" [ "$(jq .status.extents.lost "$logs/restarted.json")" = 0 ]
	lab_wait guest 400 LAB-END
	expect_workloads guest 3 "server away"
	virsh destroy guest 2>/dev/null
}

# served_again TIMES: the appliance's init has started its server so often after a signal
served_again() {
	local i
	for i in {1..20}; do
		[ "$(grep -ac 'ended by signal 9' "$ANNEX_STATE/servers/memory1/console.log")" -ge \
			"$1" ] && return 0
		sleep 0.5
	done
	return 1
}

part_shutdown() {
	define guest hello,hidden,firmware x:1 || { not_ok "annex guest define"; return; }
	sed -i 's/annex.run=hello,hidden,firmware/& annex.stay/' "$work/guest.xml"
	annex guest define "$work/guest.xml" >/dev/null 2>&1
	virsh start guest || { not_ok "virsh start"; return; }
	lab_wait guest 180 LAB-END || { not_ok "guest boots"; return; }
	expect_workloads guest 3 "what is hidden"
	check "the server's promise is the guest's far memory" promised 32
	check "a running tenant is not forgotten" refused_forget
	virsh shutdown guest
	check "virsh shutdown ends the guest" lab_off guest 60
	check "the promise outlives the run" promised 32
	annex guest undefine guest --json >"$logs/undefine.json"
	check "annex guest undefine, and the server is told" [ "$(jq -c '[.state, .servers[].free]' \
		"$logs/undefine.json")" = '["undefined",true]' ]
	check "the domain is gone" gone guest
	check "and nothing of it is left on the server" promised 0
}
# promised EXTENTS: what memory1 has promised to all tenants, and holds for no other
promised() {
	annex server show memory1 --json >"$logs/memory1.json" && [ "$1" -eq "$(jq '.status |
		([.sessions[].promised] | add // 0) as $sum |
		if .pool.promised == $sum then $sum else -1 end' "$logs/memory1.json")" ]
}
refused_forget() {
	! annex server forget memory1 guest >"$logs/forget" 2>&1 && grep -q running "$logs/forget"
}
gone() { ! virsh dominfo "$1" >/dev/null 2>&1; }

# other NAME MIB ADDRESS: one more guest, of another size, on the same servers.
other() {
	lab_disk "$1"
	lab_xml "$1" hello x:1
	sed -i -e "s|<annex:size unit='MiB'>512|<annex:size unit='MiB'>$2|" -e "s|10.77.0.2|$3|" \
		"$work/$1.xml"
	annex guest define "$work/$1.xml" >"$logs/$1.define" 2>&1
}

# The guest's only CPU turns the VMM's loop: also while it computes for seconds, and while it idles.
part_one_cpu() { one_cpu 6 pattern,cpu,cpu,cpu,cpu,pattern; }
part_one_cpu_all() { one_cpu 6 numa,dict,word_count,fork_storm,pattern,disk_io; }
one_cpu() { # one_cpu COUNT RUN
	local json
	lab_disk guest
	lab_xml guest "$2" limit:1500
	sed -i -e 's|<annex:mtu>|<annex:service-core>no</annex:service-core>&|' \
		-e 's/annex.run=[^ ]*/& annex.stay/' "$work/guest.xml"
	annex guest define "$work/guest.xml" >"$logs/guest.define" 2>&1 || {
		not_ok "annex guest define"
		return
	}
	virsh start guest || { not_ok "virsh start"; return; }
	lab_wait guest 1800 LAB-END
	expect_workloads guest "$1" "one CPU"
	sleep 10
	json=$(annex stat guest --json) || { not_ok "annex stat answers while the guest idles"; json={}; }
	echo "$json" >"$logs/guest.json"
	check "one CPU: its interrupts gave the loop turns" \
		[ "$(stat_value "$json" .counters.virt.interrupt)" -gt 0 ]
	check "one CPU: pages came from the server" \
		[ "$(stat_value "$json" .counters.far.remote_fills)" -gt 0 ]
	check "one CPU: the session held" [ "$(jq '.status.servers[0].reconnects' <<<"$json")" = 0 ]
	virsh shutdown guest
	check "one CPU: virsh shutdown ends the guest" lab_off guest 60
	virsh destroy guest 2>/dev/null
}

# own_boot SED...: the guest's own disk; true when it is started.
own_boot() {
	disk_dir=$("$here/image.sh" disk) || { not_ok "the disk's image"; return 1; }
	lab_grub guest "$boot_run" "$boot_set" && sed -i "$@" "$work/guest.xml" &&
		annex guest define "$work/guest.xml" >"$logs/guest.define" 2>&1 || {
		cat "$logs/guest.define"
		not_ok "annex guest define"
		return 1
	}
	virsh start guest || { not_ok "virsh start"; return 1; }
}

# The guest's own GRUB, on its own disk, under the VMM.
part_grub() {
	boot_run=hello,numa,pattern boot_set=x:1
	own_boot -e '' || return
	lab_wait guest 300 LAB-END
	expect_workloads guest 3 "own GRUB"
	check "own GRUB: the guest powers off" lab_off guest 60
	lab_grub guest hello x:1 && lab_ungrub guest swiotlb=force && virsh start guest
	check "own GRUB: a kernel without swiotlb=force is stopped" lab_wait_quietly guest 120 \
		'boot stopped: the guest.s command line lacks .swiotlb=force'
	check "own GRUB: and has not begun" not_says guest 'LAB-BEGIN|Linux version'
	virsh destroy guest
	qemu-img create -q -f qcow2 "$work/guest.qcow2" 64M
	: >"$(console guest)"
	virsh start guest
	check "own GRUB: a disk without boot sector is named" lab_wait_quietly guest 60 \
		'Annex VMM: boot stopped: the first disk .0x80. has no boot sector'
	virsh destroy guest 2>/dev/null
}

# The fabric NIC is an Intel one, which the service core looks at by a timer; jumbo frames.
part_e1000() {
	local json
	lab_disk guest
	lab_xml guest hidden,pattern x:1
	sed -i -e 's|<annex:mtu>|<annex:model>e1000</annex:model>&|' \
		-e 's/annex.run=[^ ]*/& annex.stay/' "$work/guest.xml"
	annex guest define "$work/guest.xml" >"$logs/guest.define" 2>&1 || {
		not_ok "annex guest define"
		return
	}
	virsh start guest || { not_ok "virsh start"; return; }
	lab_wait guest 420 LAB-END
	expect_workloads guest 2 "e1000"
	json=$(annex stat guest --json) || json={}
	echo "$json" >"$logs/e1000.json"
	check "e1000: pages came from the server" \
		[ "$(stat_value "$json" .counters.far.remote_fills)" -gt 0 ]
	check "e1000: in whole frames" [ "$(stat_value "$json" .counters.nic.receive_errors)" -eq 0 ]
	check "e1000: the session held" [ "$(jq '.status.servers[0].reconnects' <<<"$json")" = 0 ]
	virsh destroy guest 2>/dev/null
}

# define_cpus CPUS RUN SET [SED...]: the guest with so many CPUs, its file changed by sed first.
define_cpus() {
	local cpus=$1 run=$2 set=$3
	shift 3
	lab_disk guest
	lab_xml guest "$run" "$set"
	sed -i -e "s|<vcpu>1<|<vcpu>$cpus<|" "$@" "$work/guest.xml"
	annex guest define "$work/guest.xml" >"$logs/guest.define" 2>&1 || {
		cat "$logs/guest.define"
		not_ok "annex guest define"
		return 1
	}
	virsh start guest || { not_ok "virsh start"; return 1; }
}

complaints='Dazed and confused|Uhhuh|BUG:|Oops|WARNING:|soft lockup|detected stalls|CPU[0-9]+: failed'

# smp_guest CPUS COUNT RUN SET SECONDS [SED...]: COUNT workloads on so many CPUs.
smp_guest() {
	local cpus=$1 count=$2 run=$3 set=$4 seconds=$5 json
	shift 5
	define_cpus "$cpus" "$run" "$set" -e 's/annex.run=[^ ]*/& annex.stay/' "$@" || return
	lab_wait guest "$seconds" LAB-END
	expect_workloads guest "$count" "$cpus CPUs"
	json=$(annex stat guest --json) || { not_ok "annex stat answers"; json={}; }
	echo "$json" >"$logs/guest.json"
	check "$cpus CPUs: pages came from the server" \
		[ "$(stat_value "$json" .counters.far.remote_fills)" -gt 0 ]
	check "$cpus CPUs: CPUs were kicked" [ "$(stat_value "$json" .counters.service.kicks)" -gt 0 ]
	check "$cpus CPUs: no fill had a wrong checksum" \
		[ "$(stat_value "$json" .counters.far.fill_corrupt)" -eq 0 ]
	check "$cpus CPUs: the guest's kernel complains of nothing" not_says guest "$complaints"
	virsh shutdown guest
	check "$cpus CPUs: virsh shutdown ends the guest" lab_off guest 60
	virsh destroy guest 2>/dev/null
}

part_smp() {
	smp_guest 2 7 numa,stress_nmi,hotplug,word_count,fork_storm,dict,disk_io \
		stress:128,seconds:60,rounds:5,dict:150000 1200
}

# The guest's other CPU starts by ACPI's mailbox, also when it was taken off meanwhile.
part_mailbox() {
	define_cpus 2 mp_wakeup,hotplug,nmi pattern:40,rounds:3 \
		-e 's|<annex:mtu>|<annex:wakeup>mailbox</annex:wakeup>&|' || return
	lab_wait guest 400 LAB-END
	expect_workloads guest 3 "mailbox"
	check "mailbox: the guest powers off" lab_off guest 60
	check "mailbox: the guest's kernel complains of nothing" not_says guest "$complaints"
	virsh destroy guest 2>/dev/null
}

# What takes long: four CPUs, and ten minutes of the worst with NMIs (STRESS: other seconds).
part_smp_all() {
	local seconds=${STRESS:-600}
	smp_guest 4 7 numa,nmi,hotplug,word_count,fork_storm,dict,disk_io \
		rounds:2,dict:150000,limit:1500 3600
	smp_guest 4 1 stress_nmi "stress:128,seconds:$seconds,limit:$((3 * seconds + 600))" \
		$((3 * seconds + 900))
}

# The guest reboots: its next boot finds far memory as new, and the servers hold nothing of the last.
part_reboot() {
	define_cpus 2 hello,pattern pattern:48 -e 's/annex.run=[^ ]*/& annex.reboot/' || return
	lab_wait guest 300 LAB-END
	expect_workloads guest 2 "before the reboot"
	check "the guest comes up again" lab_wait guest 300 LAB-END 2
	check "the guest reboots and is right again" [ "$(lab_results guest | wc -l)" -eq 4 ]
	check "all workloads of the second boot passed" \
		[ "$(lab_results guest | tail -n 2 | awk '$2 == "ok"' | wc -l)" -eq 2 ]
	check "the guest powers off" lab_off guest 60
	check "no kernel complained" not_says guest "$complaints"
}

# lab_ungrub NAME WORD: takes a word out of what GRUB gives the guest's kernel.
lab_ungrub() {
	local from=$(($(cat "$disk_dir/options.offset") - 400)) at
	at=$(tail -c +$((from + 1)) "$disk_dir/disk.img" | head -c 400 | grep -obUa "$2" | head -n 1)
	[ -n "$at" ] && qemu-io -c "write -q -P 0x78 $((from + ${at%%:*})) ${#2}" "$work/$1.qcow2"
}

# What else a BIOS boots from, and on what.
part_grub_machines() {
	boot_run=hello boot_set=x:1
	own_boot -e "s|dev='vda' bus='virtio'|dev='sda' bus='sata'|" || return
	check "own GRUB: from a SATA disk" lab_wait guest 120 'GRUB starts'
	virsh destroy guest 2>/dev/null
	own_boot -e "s|dev='vda' bus='virtio'|dev='hda' bus='ide'|; s|'q35'|'pc'|" || return
	check "own GRUB: from an IDE disk of an i440fx" lab_wait guest 120 'GRUB starts'
	virsh destroy guest 2>/dev/null
}

# A kernel upgrade inside the guest: it comes up with the new one, still under the VMM.
part_upgrade() {
	boot_run=hello,upgrade boot_set="limit:1500 annex.reboot"
	own_boot -e 's|<vcpu>1|<vcpu>2|' || return
	lab_wait guest 1800 'LAB-END' || { not_ok "the guest is upgraded"; return; }
	lab_wait guest 120 'reboot: Restarting system' || { not_ok "it reboots"; return; }
	check "upgrade: the newer kernel runs" \
		lab_wait guest 400 'LAB hello ok .* on 6\.1[2-9].*-cloud-amd64'
	lab_wait guest 400 LAB-END 2
	expect_workloads guest 5 "upgrade"
	check "upgrade: the older kernel ran before" says guest 'LAB hello ok .* on 6\.1\.0-'
	check "upgrade: the VMM started twice" [ "$(grep -ac 'Annex VMM 0' "$(console guest)")" -eq 2 ]
	check "upgrade: the guest powers off" lab_off guest 60
	virsh destroy guest 2>/dev/null
}

# Other stock kernels, on the machine type that is not the example's too.
part_kernels() {
	local row dir
	for row in 'bookworm amd64 q35' 'trixie cloud-amd64 pc' 'trixie amd64 q35'; do
		set -- $row
		dir=$("$here/image.sh" kernel "$1" "$2") || { not_ok "kernel $1 $2"; continue; }
		lab_disk guest
		lab_xml guest hello,hidden,numa,pattern,fork_storm children:10
		sed -i -e "s|'q35'|'$3'|" -e "s|$guest_dir/vmlinuz|$dir/vmlinuz|" \
			-e "s|$guest_dir/initrd.img|$dir/initrd.img|" "$work/guest.xml"
		annex guest define "$work/guest.xml" >"$logs/guest.define" 2>&1 ||
			{ cat "$logs/guest.define"; not_ok "define $1 $2"; continue; }
		virsh start guest || { not_ok "start $1 $2"; continue; }
		lab_wait guest 400 LAB-END
		expect_workloads guest 5 "$1 $2 on $3"
		check "$1 $2 on $3: its kernel complains of nothing" \
			not_says guest "$complaints"
		virsh destroy guest 2>/dev/null
	done
}

# Boots that must not happen, with the reason on the console.
part_refusals() {
	define guest hello x:1 && virsh start guest || { not_ok "a first guest starts"; return; }
	lab_wait guest 180 LAB-BEGIN || { not_ok "a first guest boots"; return; }
	other huge 2048 10.77.0.3
	check "more than the whole pool is refused by define" grep -qi pool "$logs/huge.define"
	check "a second guest is defined" other greedy 256 10.77.0.4
	virsh start greedy >/dev/null 2>&1
	check "a full pool refuses the boot, with the numbers" \
		lab_wait greedy 60 'boot stopped: .*256 MiB wanted, 128 MiB of the pool.s 640 MiB'
	check "annex guest show tells why" [ "$(annex guest show greedy --json | jq -r \
		'.vmm.state + " " + (.vmm.reason | contains("256 MiB wanted") | tostring)')" = \
		"refused true" ]
	check "annex stat tells why" told_by_stat greedy 'refused to start it: .*256 MiB wanted'
	check "the refused guest's kernel never started" not_says greedy 'LAB-BEGIN|Linux version'
	virsh destroy greedy 2>/dev/null
	check "the first guest is not disturbed" lab_wait guest 180 'LAB hello ok'
	virsh destroy guest 2>/dev/null
	virsh destroy annex-server-memory1
	other orphan 64 10.77.0.5
	virsh start orphan >/dev/null 2>&1
	check "a missing server is named and stops the boot" \
		lab_wait orphan 120 'boot stopped: config line [0-9]+: server memory1'
	check "its kernel never started" not_says orphan 'LAB-BEGIN|Linux version'
	virsh destroy orphan 2>/dev/null
}
told_by_stat() {
	! annex stat "$1" >"$logs/$1.stat" 2>&1 && grep -q "$2" "$logs/$1.stat"
}

parts=${*:-baseline workloads smp mailbox reboot stall shutdown one_cpu e1000 grub agent refusals}
lab_images || { echo "lab: images failed" >&2; exit 1; }
lab_begin lab
lab_peer || fail "the network peer does not build"
for part in $parts; do
	say "-- $part"
	if [ "$part" != baseline ] && [ -z "${server_up:-}" ]; then
		lab_server memory1 10.77.0.1 640M || { not_ok "annex server provision"; break; }
		server_up=1
	fi
	"part_$part"
done
echo "lab: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
