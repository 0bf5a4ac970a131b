#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds Debian 13's Bochs for machines with several CPUs; prints the program's path, for
# BOCHS=... BOCHS_NO_RC=1 BOCHS_DISPLAY=nogui tests/lab/bochs.sh. Kept in ${ANNEX_CACHE:-~/.cache/annex}.
#
# The sources are Debian's, from the machine's own mirror, with one small change of ours: with several
# CPUs this Bochs does not note the instruction pointer after an exception, so that an exit by an NMI
# directly behind one saves an older one (docs/vmx.md). No debugger, no display: three times as fast.
set -euo pipefail
cache=${ANNEX_CACHE:-${HOME:-/root}/.cache/annex}
release=trixie
key=$(sha256sum "$0" | cut -c1-12)
out=$cache/bochs-$key
apt=$cache/apt-source-$release

note() { echo "bochs_build: $*" >&2; }
fail() {
	note "$*"
	exit 1
}

mkdir -p "$cache"
exec 9>"$cache/bochs.lock"
flock 9
if [ -x "$out/bochs" ]; then
	echo "$out/bochs"
	exit 0
fi
for tool in g++ make; do
	command -v $tool >/dev/null || fail "no $tool here: run make deps"
done

# The machine's own Debian mirror, that release's source packages.
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
site=$(apt-get indextargets --format '$(ORIGIN)|$(SITE)|$(RELEASE)' 'Created-By: Packages' |
	awk -F'|' -v c="$codename" '$1 == "Debian" && $3 == c { print $2; exit }')
[ -n "$site" ] || fail "apt has no Debian source for this release"
mkdir -p "$apt/lists/partial" "$apt/archives/partial"
echo "deb-src $site $release main" >"$apt/sources.list"
options=(-qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o APT::Sandbox::User=root -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt")
apt-get "${options[@]}" update >&2 || fail "the machine's mirror has no sources of $release"

work=$(mktemp -d "$cache/bochs-build.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
read -r uri name _ hash < <(apt-get "${options[@]}" source --print-uris bochs |
	grep -E "\.orig\.tar\.[a-z0-9]+ " | tr -d "'")
[ -n "${hash:-}" ] || fail "the mirror has no source of Bochs"
/usr/lib/apt/apt-helper download-file "$uri" "$name" "$hash" >&2 || fail "no $uri"
tar xf "$name"
cd bochs-*/

# insert FILE START LINE TEXT: behind the first LINE after START, both as regular expressions.
insert() {
	awk -v start="$2" -v line="$3" -v text="$4" '
		{ print }
		$0 ~ start { armed = 1 }
		armed && !done && $0 ~ line { print text; done = 1 }
		END { exit !done }' "$1" >"$1.new" || fail "$1 is not as expected"
	mv "$1.new" "$1"
}
note="BX_CPU_THIS_PTR prev_rip = RIP; BX_CPU_THIS_PTR speculative_rsp = false;"
insert cpu/cpu.cc '^void BX_CPU_C::cpu_run_trace' '^\{' "$note"
insert main.cc 'setjmp\(BX_CPU_C::jmp_buf_env\)' 'BX_CPU\(processor\)->icount\+\+' \
	"BX_CPU(processor)->prev_rip = BX_CPU(processor)->gen_reg[BX_64BIT_REG_RIP].rrx;
	BX_CPU(processor)->speculative_rsp = false;"
# What is read behind a longjmp must be in memory.
sed -i -E 's/^( *)(Bit32u executed = 0, processor = 0;|bool run = true;)/\1volatile \2/' main.cc
[ "$(grep -c 'volatile Bit32u executed\|volatile bool run' main.cc)" = 2 ] ||
	fail "main.cc is not as expected"

./configure --with-nogui --disable-docbook --disable-plugins --enable-cpu-level=6 --enable-x86-64 \
	--enable-smp --enable-vmx=2 --enable-avx --enable-evex --enable-fpu --enable-pci \
	--enable-e1000 --enable-all-optimizations --enable-repeat-speedups --enable-memtype \
	--enable-a20-pin >"$work/log" 2>&1 || { tail "$work/log" >&2; fail "configure failed"; }
make -j2 bochs >>"$work/log" 2>&1 || { tail "$work/log" >&2; fail "make failed"; }
mkdir -p "$out"
install -s -m 755 bochs "$out/bochs.part"
mv "$out/bochs.part" "$out/bochs"
note "built $name"
echo "$out/bochs"
