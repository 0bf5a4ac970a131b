#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs in the guest, from the second disk (mounted on /mnt): does what the serial console says, a line
# each: "NUMBER COMMAND...". Answers with the command's output, each line behind "| ", and with
# "LAB-DONE NUMBER EXITCODE".
PATH=/mnt:/usr/lib/annex-lab:/usr/sbin:/usr/bin:/sbin:/bin
export PATH DEBIAN_FRONTEND=noninteractive
out=/run/annex-lab/said
exec 3</dev/ttyS0
stty -echo <&3
echo LAB-READY >/dev/console
while read -r number command <&3; do
	case $number in '' | *[!0-9]*) continue ;; esac
	timeout 600 sh -c ". /mnt/lib.sh; $command" >$out 2>&1 3<&-
	rc=$?
	{ tail -n 40 $out | tr -cd '[:print:]\n\t' | sed 's/^/| /'; echo "LAB-DONE $number $rc"; } >/dev/console
done
