#!/bin/bash
# SPDX-License-Identifier: MIT
# The annex command against a real libvirtd (its own, in its own namespaces): what it answers, and
# for each wrong input its message and exit code. Needs root. No guest is booted here.
set -u
here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
build=$(realpath "${BUILD:-$top/build}")
work=$(mktemp -d "${TMPDIR:-/tmp}/annex-cli-XXXXXX")
lv=$work/lv
export ANNEX_STATE=$work/state
passed=0 failed=0 skipped=0
. "$here/ssh.sh"
. "$here/host.sh"
. "$here/agent.sh"
. "$here/deb.sh"

finish() {
	[ -n "${lv_up:-}" ] && "$top/tests/lab/libvirt.sh" down "$lv"
	rm -rf "$work"
}
trap finish EXIT

pass() { passed=$((passed + 1)) && echo "ok $((passed + failed)) - $1"; }
fail() {
	failed=$((failed + 1))
	echo "not ok $((passed + failed)) - $1"
	shift
	printf '    # %s\n' "$@"
}
skip() { skipped=$((skipped + 1)) && echo "skip: $1"; }

inside() { "$top/tests/lab/libvirt.sh" in "$lv" "$@"; }
virsh() { inside timeout 60 virsh -q "$@"; }
# run ARGUMENT...: sets rc, out, err. A VMM that is not silent may be slow on a loaded machine: with
# tries=N it is asked again.
run() {
	local try
	for ((try = 1; ; try++)); do
		inside timeout 120 "$build/annex" "$@" >"$work/out" 2>"$work/err"
		rc=$?
		[ "$try" -lt "${tries:-1}" ] && grep -q 'silent: no answer in 2 s' "$work/out" "$work/err" ||
			break
	done
	out=$(cat "$work/out") err=$(cat "$work/err")
}

# expect NAME CODE TEXT ARGUMENT...: exit code, and TEXT on stderr (code not 0) or stdout; then the
# same with --json: one JSON document on stdout, with the same code in it.
expect() {
	local name=$1 code=$2 text=$3 where
	shift 3
	run "$@"
	where=$err
	[ "$code" -eq 0 ] && where=$out
	if [ $rc -ne "$code" ] || ! grep -qF -- "$text" <<<"$where"; then
		fail "$name" "annex $*" "exit code $rc, not $code; or no '$text' in:" "$out" "$err"
		return 1
	fi
	if [ "$code" -ne 0 ]; then
		run --json "$@"
		if [ $rc -ne "$code" ] || [ "$(jq -r '.error.exit' <<<"$out")" != "$code" ] ||
			! jq -r '.error.message' <<<"$out" | grep -qF -- "$text"; then
			fail "$name" "annex --json $*" "$rc" "$out" "$err"
			return 1
		fi
		case $err in annex:*) fail "$name: --json leaves stderr alone" "$err"; return 1 ;; esac
	fi
	pass "$name"
}

# json NAME FILTER ARGUMENT...: exit code 0 and a document for which the jq filter holds
json() {
	local name=$1 filter=$2
	shift 2
	run --json "$@"
	if [ $rc -eq 0 ] && jq -e "$filter" <<<"$out" >/dev/null; then
		pass "$name"
	else
		fail "$name" "annex --json $*" "exit code $rc" "$out" "$err"
	fi
}

same() { # same NAME FILE FILE
	if diff -u "$2" "$3" >"$work/diff"; then pass "$1"; else fail "$1" "$(cat "$work/diff")"; fi
}

# A bzImage of 64 bits whose setup code only halts: enough for define, and for QEMU to start.
make_kernel() {
	head -c 8192 /dev/zero >"$1"
	put() { printf "$2" | dd of="$1" bs=1 seek=$(($3)) conv=notrunc status=none; }
	put "$1" '\004' 0x1f1
	put "$1" '\125\252\353\146HdrS\017\002' 0x1fe
	put "$1" '\001' 0x211
	put "$1" '\001' 0x236
	put "$1" '\372\364\353\375' 0x268
}

kernel=$work/vmlinuz initrd=$work/initrd.img disk=$work/disk.qcow2
make_kernel "$kernel"
echo initrd >"$initrd"
sed -e "s|/srv/debian/vmlinuz|$kernel|" -e "s|/srv/debian/initrd.img|$initrd|" \
	-e "s|/srv/debian/disk.qcow2|$disk|" "$top/docs/examples/guest.xml" >"$work/guest.xml"
qemu-img create -q -f qcow2 "$disk" 64M

# refused NAME CODE TEXT SED...: guest define of the example changed by sed
refused() {
	local name=$1 code=$2 text=$3
	shift 3
	sed "$@" "$work/guest.xml" >"$work/bad.xml"
	if cmp -s "$work/guest.xml" "$work/bad.xml"; then
		fail "$name" "sed $* changed nothing"
		return
	fi
	expect "$name" "$code" "$text" guest define "$work/bad.xml"
}

commands=("server provision" "server add" "server list" "server show" "server remove" "server forget"
	"server restart"
	"guest define" "guest list" "guest show" "guest start" "guest stop" "guest undefine"
	"guest hint" "guest check" "host install-boot"
	exporter stat log doctor version)

usage() {
	local c
	expect "no command" 2 "no command"
	expect "unknown command" 2 "unknown command fly" fly
	expect "unknown second word" 2 "unknown command guest fly" guest fly
	expect "missing second word" 2 "needs a second word" guest
	expect "unknown option" 2 "unknown option --fast" guest list --fast
	expect "unknown short option" 2 "unknown option -x" guest list -x
	expect "missing argument" 2 "usage: annex guest show NAME" guest show
	expect "too many arguments" 2 "usage: annex guest list" guest list more
	expect "option without value" 2 "--pool needs a value" server provision s --pool
	expect "flag with value" 2 "takes no value" guest list --quiet=1
	expect "bad size" 2 "12Q is not a size" server provision s --pool 12Q
	expect "bad number" 2 "is not a number" server provision s --mtu fast
	expect "help" 0 "usage: annex COMMAND" --help
	expect "version" 0 "annex 0" --version
	run --help
	for c in "${commands[@]}"; do
		grep -qF "  $c " "$work/out" || fail "annex --help lists $c"
	done
	for c in "${commands[@]}"; do
		# shellcheck disable=SC2086
		expect "help of $c" 0 "usage: annex $c" $c --help
	done
	json "version in JSON" '.annex and .management == 1' version
}

unreachable() {
	local uri="qemu+unix:///system?socket=$work/none"
	expect "libvirt not reachable" 4 "cannot reach libvirt at $uri" guest list --connect "$uri"
	expect "libvirt not reachable: define" 4 "Start libvirtd" --connect "$uri" guest define \
		"$work/guest.xml"
	LIBVIRT_DEFAULT_URI="$uri" timeout 60 "$build/annex" guest list >"$work/out" 2>"$work/err"
	[ $? -eq 4 ] && pass "LIBVIRT_DEFAULT_URI is used" || fail "LIBVIRT_DEFAULT_URI is used"
}

servers() {
	json "no servers" '.servers == []' server list
	expect "unknown server" 3 "none is known" server show nobody
	expect "bad server name" 2 "no name for a server" server add a/b 10.0.0.1
	expect "bad address" 2 "no IPv4 address" server add one ten
	expect "bad port" 2 "port '0'" server add one 10.77.0.1:0
	expect "bad http port" 2 "is no port" server add one 10.77.0.1 --http 70000
	json "add a server" '.name == "memory1" and .reached == false' server add memory1 10.77.0.1 \
		--http 0
	json "add it again" '.port == 7000' server add memory1 10.77.0.1:7000 --http 0
	json "and back" '.port == 7471' server add memory1 10.77.0.1 --http 0
	expect "same address" 1 "is server 'memory1' already" server add memory2 10.77.0.1 --http 0
	expect "unreached server" 0 "added" server add memory2 10.77.0.9
	grep -q "status page of 'memory2' was not reached" "$work/err" &&
		pass "warned of it" || fail "warned of it" "$err"
	json "list" '[.servers[].name] == ["memory1", "memory2"]' server list
	json "show" '.address == "10.77.0.1" and .state == "not reached" and .status == null' \
		server show memory1
	expect "bad ssh destination" 2 "is no destination" server add memory2 10.77.0.9 --ssh -oProxy
	expect "forget: unknown server" 3 "no memory server 'nobody'" server forget nobody 1
	expect "restart: unknown server" 3 "no memory server 'nobody'" server restart nobody
	expect "restart: not provisioned here" 6 "systemctl restart annex-memserver" server restart memory1
	expect "forget: no tenant" 3 "neither a guest here nor a tenant" server forget memory1 debian
	json "ssh destination" '.reached == false' server add memory2 10.77.0.9 --http 0 \
		--ssh root@127.0.0.1
	json "is kept" '.ssh == "root@127.0.0.1"' server show memory2
	expect "ssh does not get there" 1 "Run by hand: ssh root@127.0.0.1 annex-memserver forget 00" \
		server forget memory2 0000000000000001
	expect "unknown among known" 3 "Known: memory1, memory2" server show nobody
	expect "remove unknown" 3 "no memory server 'nobody'" server remove nobody
	expect "remove" 0 "removed" server remove memory2
	mkdir -p "$work/broken" && echo '{"annex":1,"servers":[{}]}' >"$work/broken/servers.json"
	expect "broken registry" 1 "server 1 is malformed" server list --state "$work/broken"
	expect "state directory" 1 "cannot make" server add x 10.0.0.1 --state /proc/none
}

provision_errors() {
	expect "pool of no extents" 2 "no multiple of 16 MiB" server provision s --pool 17M
	expect "little memory" 2 "too little" server provision s --pool 64M --memory 100M
	expect "network address" 2 "no host address" server provision s --address 10.77.0.0/24
	expect "mtu" 2 "1500 to 9216" server provision s --mtu 100
	expect "bridge name" 2 "no bridge's name" server provision s --bridge a/b
	expect "type" 2 "not known" server provision s --virt-type xen
	expect "contradiction" 2 "contradict" server provision s --start --no-start
	expect "kernel missing" 3 "cannot read the kernel" server provision s --kernel /none/vmlinuz
	expect "modules alone" 2 "--modules belongs to --kernel" server provision s --modules /tmp
	expect "no kernel" 6 "no Linux bzImage" server provision s --kernel "$initrd"
	[ -n "${images:-}" ] || { skip "provision: no image of a kernel with rdma_rxe"; return; }
	local with=(--kernel "$images/vmlinuz" --modules "$images/modules/lib/modules" --pool 16M)
	expect "memory server missing" 3 "--memserver FILE or ANNEX_MEMSERVER" server provision s \
		"${with[@]}" --memserver /none/memserver
	expect "no program" 1 "cannot tell the shared libraries" server provision s "${with[@]}" \
		--memserver "$initrd" --address 10.77.0.8
	expect "bridge missing" 1 "ip link add nobridge type bridge" server provision s \
		"${with[@]}" --bridge nobridge --address 10.77.0.8
	json "and nothing is left of it" '[.servers[].name] == ["memory1"]' server list
	[ -z "$(virsh list --all --name)" ] && pass "no domain either" || fail "no domain either"
	json "provision without start" '.state == "defined" and .provisioned' server provision s \
		"${with[@]}" --address 10.77.0.8 --no-start
	expect "a server that is off is not restarted" 6 "virsh start annex-server-s" server restart s
	json "a server that is off holds nothing" '.known == false' server forget s 0000000000000001
	virsh dumpxml annex-server-s |
		grep -q "alias name='ua-annex-control'" && pass "it has a control port" ||
		fail "it has a control port"
	expect "provisioned twice" 1 "server 's' exists" server provision s "${with[@]}" \
		--address 10.77.0.8
	expect "address taken" 1 "is the address of server 's'" server provision t "${with[@]}" \
		--address 10.77.0.8
	expect "add over it" 1 "was provisioned by annex" server add s 10.77.0.8
	json "its state" '.state == "shut off"' server show s
	virsh dumpxml annex-server-s | grep -q 'annex.address=10.77.0.8/24 annex.mtu=9000' &&
		pass "the bridge's MTU is taken" || fail "the bridge's MTU is taken"
	gzip -dc "$ANNEX_STATE/servers/s/initrd.gz" | cpio -t --quiet 2>/dev/null >"$work/list"
	grep -qx init "$work/list" && grep -qx modules/rdma_rxe.ko "$work/list" &&
		grep -qx usr/sbin/annex-memserver "$work/list" && grep -q librxe "$work/list" &&
		pass "cpio reads its initramfs" || fail "cpio reads its initramfs" "$(cat "$work/list")"
	expect "remove it" 0 "removed" server remove s
	[ -z "$(virsh list --all --name)" ] && [ ! -e "$ANNEX_STATE/servers/s" ] &&
		pass "domain and files are gone" || fail "domain and files are gone"
}

define_errors() {
	expect "no such file" 3 "cannot open $work/none.xml" guest define "$work/none.xml"
	expect "no XML" 6 "is no XML" guest define "$initrd"
	echo '<network><name>x</name></network>' >"$work/network.xml"
	expect "no domain" 6 "root is <network>" guest define "$work/network.xml"
	expect "VMM missing" 3 "--vmm FILE or ANNEX_VMM" guest define "$work/guest.xml" \
		--vmm /none/vmm.elf
	refused "without the element" 6 "no <annex:far> element" '/<metadata>/,/<\/metadata>/d'
	refused "unknown server" 3 "no memory server 'm2'" 's/>memory1</>m2</'
	refused "size" 6 "multiple of 16 MiB" 's/>512</>500</'
	refused "little memory" 6 "<memory> 300 MiB is too small: 288 MiB pinned" \
		"s|<memory unit='MiB'>[0-9]*|<memory unit='MiB'>300|"
	refused "more than 16 CPUs" 6 "a guest can have 16 CPUs" 's/<vcpu>1</<vcpu>17</'
	refused "two CPUs without the VMM's own" 6 "<annex:service-core> is no" -e 's/<vcpu>1</<vcpu>2</' \
		-e 's|<annex:mtu>|<annex:service-core>no</annex:service-core>&|'
	refused "a small pcache for 16 CPUs" 6 "Give at least 8 MiB" -e 's/<vcpu>1</<vcpu>16</' \
		-e "s|<annex:pcache unit='MiB'>32|<annex:pcache unit='MiB'>7|"
	refused "CPU hot-plug" 6 "hot-plug slots" "s/<vcpu>1</<vcpu current='1'>2</"
	refused "memory hot-plug" 6 "<maxMemory>" \
		"s|<vcpu>|<maxMemory slots='1' unit='GiB'>2</maxMemory><vcpu>|"
	refused "balloon" 6 "memballoon model virtio is refused" "s/memballoon model='none'/memballoon model='virtio'/"
	refused "hostdev" 6 "hostdev is refused" \
		"s|<memballoon|<hostdev mode='subsystem' type='pci'/><memballoon|"
	refused "virtiofs" 6 "virtiofs" \
		"s|<memballoon|<filesystem type='mount'><driver type='virtiofs'/></filesystem><memballoon|"
	refused "vhost-user" 6 "vhostuser" "s|<interface type='bridge'>|<interface type='vhostuser'>|"
	refused "virtio-mem" 6 "virtio-mem" "s|<memballoon|<memory model='virtio-mem'/><memballoon|"
	refused "raw device" 6 "adds a -device" \
		"s|</domain>|<commandline xmlns='http://libvirt.org/schemas/domain/qemu/1.0'><arg value='-device'/></commandline></domain>|"
	refused "kernel missing" 3 "cannot read the guest's kernel" "s|$kernel|/none/vmlinuz|"
	refused "no kernel" 6 "no Linux bzImage" "s|$kernel|$initrd|"
	refused "initrd missing" 3 "cannot read the guest's initrd" "s|$initrd|/none/initrd|"
	refused "firmware" 6 "UEFI" "s|<os>|<os firmware='efi'>|"
	refused "server's own address" 6 "is the address of server 'memory1'" 's|10.77.0.2/24|10.77.0.1/24|'
	refused "another network" 6 "not in the network" 's|10.77.0.2/24|10.99.0.2/24|'
	if [ -z "$(sed -n '/^flags.*\bsvm\b/p;/^flags.*\bvmx\b/p' /proc/cpuinfo)" ]; then
		refused "kvm" 6 "type='kvm' is refused" "s/type='qemu'>/type='kvm'>/"
	else
		skip "type='kvm' is refused: this machine has SVM or VMX"
	fi
	[ -z "$(virsh list --all --name)" ] && [ ! -e "$ANNEX_STATE/guests" ] &&
		pass "nothing was defined or written" || fail "nothing was defined or written"
}

define() {
	json "define" '.name == "debian" and .far == 536870912' guest define "$work/guest.xml"
	virsh dumpxml debian >"$work/first.xml"
	json "define again" '.name == "debian"' guest define "$work/guest.xml"
	virsh dumpxml debian >"$work/again.xml"
	same "the file defined twice gives the same domain" "$work/first.xml" "$work/again.xml"
	json "define the dump" '.name == "debian"' guest define "$work/first.xml"
	virsh dumpxml debian >"$work/again.xml"
	same "the dump defined gives the same domain" "$work/first.xml" "$work/again.xml"
	expect "print" 0 "opt/org.annex/config" guest define --print "$work/guest.xml"
	json "print in JSON" '.config | contains("far = 512M")' guest define --print "$work/guest.xml"
	json "list" '.guests[0].name == "debian" and .guests[0].state == "shut off"' guest list
	expect "table" 0 "memory1" guest list
	json "show" '.vcpus == 1 and .vmm == null and (.tenant | length) == 16' guest show debian
	sed 's/<vcpu>1</<vcpu>16</' "$work/guest.xml" >"$work/many.xml"
	json "define with 16 CPUs" '.name == "debian"' guest define "$work/many.xml"
	json "show them" '.vcpus == 16' guest show debian
	virsh dumpxml debian | grep -q '<vcpu[^>]*>17<' && pass "the machine has one CPU more" ||
		fail "the machine has one CPU more"
	json "define with one again" '.name == "debian"' guest define "$work/guest.xml"
	expect "show in words" 0 "pinned:      288 MiB" guest show debian
	expect "unknown guest" 3 "no guest 'nobody'" guest show nobody
	sed -e 's/<name>debian</<name>other</' "$work/guest.xml" >"$work/other.xml"
	expect "an address twice, one is off" 0 "defined" guest define "$work/other.xml"
	grep -q "is that of guest 'debian' on the same bridge too" "$work/err" &&
		pass "warned of it" || fail "warned of it" "$err"
	inside virsh -q start --paused debian >/dev/null
	expect "an address twice, one runs" 6 "is that of guest 'debian'" guest define \
		"$work/other.xml"
	expect "start where the address is taken" 6 "is that of guest 'debian' too, which is paused" \
		guest start other
	expect "forget a running tenant" 6 "is guest 'debian', which is paused" server forget \
		memory1 debian
	unreadable
	expect "forget where there is no way" 6 "Run there as root: annex-memserver forget" \
		server forget memory1 debian
	json "undefine where there is no way" '.state == "undefined" and
		.servers == [{"name": "memory1", "free": false, "reason": .servers[0].reason}]' \
		guest undefine other
	grep -q "stays promised to it: annex has no way .* annex server forget memory1 [0-9a-f]" \
		"$work/err" && pass "warned with what to run" || fail "warned with what to run" "$err"
	expect "server in use" 6 "has far memory on server 'memory1'" server remove memory1
	expect "stat of a guest that is off" 5 "does not run" stat debian
	expect "log of a guest that is off" 5 "does not run" log debian
	expect "stop of a guest that is off" 1 "does not run" guest stop debian
	expect "count without watch" 2 "Add --watch" stat debian --count 3
	cat >"$work/plain.xml" <<-END
		<domain type='qemu'><name>plain</name><memory unit='MiB'>64</memory>
		<os><type arch='x86_64'>hvm</type></os></domain>
	END
	virsh define "$work/plain.xml" >/dev/null
	expect "an ordinary domain" 3 "is no Annex guest" guest show plain
	json "is not listed" '[.guests[].name] == ["debian"]' guest list
	virsh undefine plain >/dev/null
}

# A guest that runs while its definition has become unreadable: what it holds is not given away.
unreadable() {
	local tenant
	run guest show debian --json
	tenant=$(jq -r .tenant <<<"$out")
	virsh metadata debian urn:annex:domain:1 --config --key annex --set '<far/>' >/dev/null
	expect "the definition cannot be read" 6 "<annex:far>" guest show debian
	expect "forget the tenant of a running guest" 6 "is guest 'debian', which is paused" \
		server forget memory1 "$tenant"
	expect "forget a running guest by name" 6 "is guest 'debian', which is paused" \
		server forget memory1 debian
	expect "remove a running guest's server" 6 "(paused) has far memory on server 'memory1'" \
		server remove memory1
	virsh destroy debian
	expect "remove a server that may be in use" 6 "guest 'debian' (shut off) may have far memory" \
		server remove memory1
	expect "define it anew" 0 "defined" guest define "$work/guest.xml"
}

# The machine is started without letting it run, and then with a "VMM" that only halts.
silence() {
	sed -e 's/<name>debian</<name>lost</' -e 's/>annexbr0</>nobridge</' "$work/guest.xml" >"$work/lost.xml"
	expect "another bridge, the same address" 0 "defined" guest define "$work/lost.xml"
	expect "start without bridge" 1 "ip link show nobridge" guest start lost
	expect "undefine it" 0 "undefined" guest undefine lost
	virsh start --paused debian || { fail "the defined domain starts in QEMU"; return; }
	pass "the defined domain starts in QEMU"
	expect "start twice" 1 "is paused already" guest start debian
	expect "paused" 5 "is paused, so its VMM does not answer" stat debian
	json "show a paused guest" '.state == "paused" and .vmm == null' guest show debian
	expect "undefine while it is there" 1 "Stop it first" guest undefine debian
	refusal save "$work/save"
	refusal managedsave
	refusal snapshot-create
	refusal migrate --live --p2p --desturi "qemu+unix:///system?socket=$work/none"
	json "redefine while it is there" '.active' guest define "$work/guest.xml"
	json "stop by force" '.state == "shut off"' guest stop --force debian

	expect "define with another VMM" 0 "defined" guest define "$work/guest.xml" --vmm "$kernel"
	expect "start" 0 "started" guest start debian
	expect "silent" 5 "the VMM of guest 'debian' is silent: no answer in 2 s" stat debian
	expect "silent log" 5 "is silent" log debian
	expect "does not shut down" 1 "Wait longer with --timeout" guest stop debian --timeout 1
	busy
	expect "stop --force" 0 "stopped" guest stop debian --force
}

# While another client holds the port.
busy() {
	inside timeout 30 script -qec "virsh console debian --devname ua-annex-manage" /dev/null \
		>/dev/null 2>&1 &
	local holder=$!
	sleep 1.5
	expect "busy port" 5 "is busy" stat debian
	kill $holder 2>/dev/null
	wait $holder 2>/dev/null
}

refusal() { # refusal COMMAND [ARGUMENT...]: virsh refuses it
	local command=$1
	shift
	if virsh "$command" debian "$@" >"$work/out" 2>&1 || ! grep -q "ivshmem" "$work/out"; then
		fail "$command is refused" "$(cat "$work/out")"
	else
		pass "$command is refused"
	fi
}

away() {
	json "undefine, far memory kept" '.state == "undefined" and .servers == []' guest undefine \
		debian --keep-far
	grep -q memory1 "$work/err" && fail "no server is told" "$err" || pass "no server is told"
	[ -z "$(ls -A "$ANNEX_STATE/guests" 2>/dev/null)" ] && pass "its files are gone" ||
		fail "its files are gone" "$(find "$ANNEX_STATE/guests")"
	expect "undefine twice" 3 "no guest 'debian'" guest undefine debian
	json "no guests" '.guests == []' guest list
	expect "server free again" 0 "removed" server remove memory1
	run doctor --bridge annexbr0
	grep -q "bridge.*MTU 9000" <<<"$out" && pass "doctor sees the bridge" ||
		fail "doctor sees the bridge" "$out"
	run doctor --bridge nobridge
	[ $rc -eq 1 ] && grep -q "FAIL *bridge.*ip link add nobridge" <<<"$out" &&
		pass "doctor misses a bridge" || fail "doctor misses a bridge" "$rc" "$out"
	run doctor --bridge nobridge --json
	[ $rc -eq 1 ] && jq -e '.failed == 1' <<<"$out" >/dev/null &&
		pass "doctor in JSON" || fail "doctor in JSON" "$rc" "$out"
}

# What systemd says of the units; it ignores what it does not know, and ends with 0.
unit() {
	local said file name
	command -v systemd-analyze >/dev/null || { skip "the systemd units: no systemd-analyze"; return; }
	for file in memserver/annex-memserver toolstack/annex-exporter guest-agent/annex-agent; do
		name=$(basename "$file")
		sed -E "s#^(ExecStart=)/usr/s?bin/#\1$build/#" "$top/$file.service" >"$work/$name.service"
		said=$(systemd-analyze verify --man=no "$work/$name.service" 2>&1) && [ -z "$said" ] &&
			pass "the unit of $name is clean" || fail "the unit of $name is clean" "$said"
	done
	echo Surprise=yes >>"$work/annex-memserver.service"
	[ -n "$(systemd-analyze verify --man=no "$work/annex-memserver.service" 2>&1)" ] &&
		pass "and a wrong one is not" || fail "and a wrong one is not"
}

manual() {
	local page=$top/toolstack/annex.1 c o warnings
	warnings=$(man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
	[ -z "$warnings" ] && pass "the man page is clean" || fail "the man page is clean" "$warnings"
	for c in "${commands[@]}"; do
		grep -qF ".SS \"annex ${c//-/\\-}" "$page" || fail "the man page has $c"
		# shellcheck disable=SC2086
		for o in $("$build/annex" $c --help | grep -o '^  --[a-z-]*'); do
			grep -qF -- "${o//-/\\-}" "$page" || fail "the man page has $o of $c"
		done
	done
	pass "the man page has every command and option"
}

[ "$(id -u)" -eq 0 ] || { echo "cli: needs root"; exit 1; }
for program in annex annex-memserver annex-vmm.elf annex-appliance-init; do
	[ -e "$build/$program" ] || { echo "cli: no $build/$program; run make"; exit 1; }
done
"$top/tests/lab/libvirt.sh" up "$lv" || { echo "not ok - libvirtd starts"; exit 1; }
lv_up=1
images=$("$top/tests/lab/image.sh" server 2>"$work/image.log") || images=
# Without arguments all parts, in this order; some need what an earlier one has left.
[ $# -gt 0 ] || set -- usage unreachable servers by_ssh provision_errors define_errors define silence away \
	agent host_errors host_install host_newest host_here deb unit manual
for part in "$@"; do "$part"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
