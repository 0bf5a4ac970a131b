#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs the packages of packages.txt that are missing; does nothing when all are there.
set -u
list=$(dirname "$0")/packages.txt
mapfile -t wanted < <(sed 's/#.*//' "$list" | awk 'NF { print $1 }')

command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || {
	echo "deps: no apt-get here; install by hand what $list names" >&2
	exit 1
}
missing=()
installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${wanted[@]}" 2>/dev/null |
	awk '$1 == "ii" { print $2 }')
for package in "${wanted[@]}"; do
	grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "deps: root needed to install: ${missing[*]}" >&2
	echo "deps: run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi
echo "deps: installing ${#missing[@]} packages: ${missing[*]}"
log=$(mktemp)
install() {
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		-o Dpkg::Options::=--force-confold -o Acquire::Retries=3 "${missing[@]}"
}
# A fresh machine has no package lists yet; one that has them saves the update.
if ! install >"$log" 2>&1 && ! { apt-get update && install; } >"$log" 2>&1 &&
	! { sleep 30 && apt-get update && install; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "deps: apt-get failed, whole log: $log" >&2
	exit 1
fi
rm -f "$log"
echo "deps: done"
