#!/bin/sh
# Make the Orthanc of a newer Debian release usable for the tests, as root.
# Usage: newer-orthanc.sh RELEASE FOLDER        then: PATH=FOLDER/bin:$PATH pytest …
#
# FOLDER/root is the release's own system; FOLDER/bin/Orthanc starts its Orthanc with the project, its interpreter and
# /tmp in their usual places, in a mount namespace of its own, so that nothing stays mounted.
set -eu
release=$1
folder=$(mkdir -p "$2" && realpath "$2")
root=$folder/root
mirror=${MIRROR:-http://deb.debian.org/debian}
# bookworm's debootstrap has no script for forky yet; that of sid serves any release.
script=/usr/share/debootstrap/scripts/$release
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid

if [ ! -x "$root/usr/sbin/Orthanc" ]; then
    debootstrap --variant=minbase "$release" "$root" "$mirror" "$script" >"$folder/debootstrap.log"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        orthanc orthanc-python orthanc-dicomweb python3 >>"$folder/debootstrap.log"
fi

python=$(.venv/bin/python -c 'import sys; print(sys.base_prefix)')
environment=$(realpath .venv)
if [ "$python" = /usr ]; then
    echo "The service would run with $release's own /usr; make .venv with another Python than Debian's" >&2
    exit 1
fi
mkdir -p "$folder/bin"
cat >"$folder/bin/Orthanc" <<END
#!/bin/sh
exec unshare --mount sh -c '
    root=\$1
    shift
    for path in /proc /dev /tmp "$PWD" "$environment" "$python"; do
        mkdir -p "\$root\$path"
        mount --rbind "\$path" "\$root\$path"
    done
    exec chroot "\$root" sh -c "cd \"$PWD\" && exec /usr/sbin/Orthanc \"\\\$@\"" sh "\$@"' sh "$root" "\$@"
END
chmod 755 "$folder/bin/Orthanc"
