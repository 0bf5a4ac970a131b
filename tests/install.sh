#!/bin/bash
# SPDX-License-Identifier: MIT
# install.sh BUILD DESTDIR PREFIX [PACKAGE]: what `make install` does; with PACKAGE, that package's part.
#
# What goes where is in the files PART/deb/files, lines of PACKAGE MODE SOURCE DESTINATION. @build is
# BUILD; a pattern may match nothing. A destination is below PREFIX, or below / if it begins with /; it is
# a directory if it ends with /. @libdir is lib, or the machine's own directory in it below /usr. A source
# with .in at its end has @PREFIX@, @LIBDIR@ and @VERSION@ filled in. MODE link makes a symbolic link.
set -eu
build=$1 root=$2 prefix=$3 wanted=${4:-}
libdir=lib
[ "$prefix" != /usr ] || libdir=lib/$(gcc -print-multiarch)
version=$(sed -n 's/^#define ANNEX_VERSION "\(.*\)"/\1/p' include/annex/version.h)

# put MODE SOURCE DESTINATION
put() {
	local mode=$1 source=$2 target=$3 name
	name=$(basename "$source")
	[ "${target%/}" = "$target" ] || target+=${name%.in}
	if [ "$mode" = link ]; then
		mkdir -p "$(dirname "$target")"
		ln -sf "$source" "$target"
	elif [ "$name" != "${name%.in}" ]; then
		mkdir -p "$(dirname "$target")"
		sed -e "s|@PREFIX@|$prefix|" -e "s|@LIBDIR@|$prefix/$libdir|" \
			-e "s|@VERSION@|$version|" "$source" >"$target"
		chmod "$mode" "$target"
	elif [[ $target == "$root"/etc/* && -e $target && -z $wanted ]]; then
		echo "install: $target is kept as it is"
	else
		install -D -m "$mode" "$source" "$target"
	fi
}

while read -r package mode source target; do
	case $package in '' | '#'*) continue ;; esac
	[ -z "$wanted" ] || [ "$package" = "$wanted" ] || continue
	source=${source/#@build/$build}
	target=${target/#@libdir/$libdir}
	case $target in
	/*) target=$root$target ;;
	*) target=$root$prefix/$target ;;
	esac
	if [[ $source == *'*'* ]]; then
		for page in $source; do
			[ ! -e "$page" ] || put "$mode" "$page" "$target"
		done
	else
		put "$mode" "$source" "$target"
	fi
done < <(cat {vmm,memserver,toolstack,guest-agent}/deb/files)
