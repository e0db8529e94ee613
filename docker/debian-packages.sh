#!/bin/sh
# Install Debian or Ubuntu packages that are missing, or say the one line that does.
# Usage: debian-packages.sh PACKAGE...
set -eu

missing=""
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "Missing packages, and no right to install them. Please run:" >&2
    echo "    sudo apt-get update && sudo $install" >&2
    exit 1
fi

# Debian starts a server as soon as it is installed; we start our own, on loopback, when it is needed.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
    trap '$as_root rm -f "$policy"' EXIT
fi
echo "Installing$missing"
$as_root apt-get update -qq
# shellcheck disable=SC2086 # the list is meant to be split
$as_root env DEBIAN_FRONTEND=noninteractive $install -qq >/dev/null
case "$missing" in
*" orthanc"*) $as_root systemctl disable orthanc 2>/dev/null || true ;;
esac
