#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian's Bochs with VMX, from an ISO image.
#
#   bochs.sh DIRECTORY ISO SECONDS PATTERN [BOCHSRC-LINE...]
#
# Ends well as soon as the serial port shows PATTERN (extended regular expression); badly when the
# time is over, Bochs ends, or the VMM stops. DIRECTORY keeps serial (the port's log), bochsrc and
# bochs.log. More bochsrc lines win over ours: a NIC ("e1000: ...", "pci: ..., slot1=e1000"),
# "cpu: ...", "megs: ...". Bochs' own exit code says nothing; one second of its virtual time costs
# about 3.5 G ticks, so a guest should not sleep.
# Environment: BOCHS (the program; a build without debugger takes no rc file: set BOCHS_NO_RC=1),
# BOCHS_DISPLAY (term).
set -u
[ $# -ge 4 ] || { sed -n 's/^#   bochs.sh/usage: bochs.sh/p' "$0" >&2; exit 2; }
directory=$1 iso=$(realpath "$2") limit=$3 pattern=$4
shift 4
bochs=${BOCHS:-bochs}
display=${BOCHS_DISPLAY:-term}
for tool in "$bochs" script; do
	command -v "$tool" >/dev/null || { echo "bochs.sh: no $tool here: run make deps" >&2; exit 1; }
done
mkdir -p "$directory" && cd "$directory" || exit 1
rm -f serial bochs.log bochsrc rc iso.lock

{
	cat <<-END
		config_interface: textconfig
		display_library: $display
		megs: 1024
		romimage: file=/usr/share/bochs/BIOS-bochs-latest
		vgaromimage: file=/usr/share/vgabios/vgabios.bin
		cpu: model=corei7_skylake_x, count=1, ips=25000000, reset_on_triple_fault=0
		clock: sync=none, time0=1700000000
		ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
		ata0-master: type=cdrom, path=$iso, status=inserted
		boot: cdrom
		com1: enabled=1, mode=file, dev=serial
		log: bochs.log
		panic: action=fatal
		error: action=report
		info: action=ignore
	END
	[ $# -eq 0 ] || printf '%s\n' "$@"
} >bochsrc
echo c >rc
run="exec $bochs -q -f bochsrc"
[ -n "${BOCHS_NO_RC:-}" ] || run+=' -rc rc'

# term wants a terminal and its size.
TERM=xterm setsid timeout -k 5 "$limit" script -qec "stty cols 80 rows 25; $run" /dev/null \
	</dev/null >terminal 2>&1 &
pid=$!
# A Bochs with debugger draws on a second terminal, also for each frame of a NIC; when that is full and
# nobody reads it, it stands still.
read_screen() {
	local screen=
	while [ -z "$screen" ] && kill -0 $pid 2>/dev/null; do
		sleep 0.2
		screen=$(tr -d '\r' <terminal | sed -n 's/.*connected to screen "\(.*\)".*/\1/p')
	done
	stty -F "$screen" raw -echo && exec cat "$screen" >/dev/null
}
read_screen </dev/null 2>/dev/null &
reader=$!
trap 'kill -- -$pid 2>/dev/null; kill $reader 2>/dev/null' EXIT
shown() { grep -aqE "$1" serial 2>/dev/null; }
until shown "$pattern"; do
	if ! kill -0 $pid 2>/dev/null || shown '^Annex VMM: |^Annex VMM panic|Kernel panic'; then
		sleep 1
		shown "$pattern" && break
		echo "bochs: the serial port did not show: $pattern" >&2
		tail -n 20 serial >&2
		tail -n 3 bochs.log >&2
		exit 1
	fi
	sleep 0.5
done
exit 0
