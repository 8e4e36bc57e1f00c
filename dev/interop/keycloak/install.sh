#!/usr/bin/env bash
# Puts a Keycloak that is ready to start into a folder, and does nothing when it
# is there already. Keycloak is an ordinary Maven artifact; Java and Maven are
# packages of Debian, called for only where the machine lacks them.
#   install.sh FOLDER
set -euo pipefail

version=26.7.3
java=17 # the least that this Keycloak runs on

# What is fixed when Keycloak is built, so that each start is a short one. The
# consoles are for people; nobody looks at them here.
options=(--db=dev-mem --https-client-auth=request --features-disabled=admin,account)

folder=$1/keycloak-$version
stamp=$folder/built-$(sha256sum "$0" | cut -c1-16)
[[ -e $stamp ]] && exit 0

. "$(dirname "$0")/../need.sh"
need java default-jre-headless Keycloak
need mvn maven Keycloak
need unzip unzip Keycloak

found=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p')
if ((${found%%.*} < java)); then
	echo "Keycloak $version needs Java $java or later; java on the PATH is $found" >&2
	exit 1
fi

mkdir -p "$1"
echo "fetching Keycloak $version"
if ! mvn -B -q -Dstyle.color=never dependency:copy \
	-Dartifact=org.keycloak:keycloak-quarkus-dist:$version:zip -DoutputDirectory="$1"; then
	echo "Keycloak could not be fetched: Maven's own message stands above" >&2
	exit 1
fi
rm -rf "$folder"
unzip -q "$1/keycloak-quarkus-dist-$version.zip" -d "$1"
rm "$1/keycloak-quarkus-dist-$version.zip"

echo "building Keycloak $version"
if ! "$folder/bin/kc.sh" build "${options[@]}" >"$1/build.log" 2>&1; then
	cat "$1/build.log" >&2
	exit 1
fi
touch "$stamp"
