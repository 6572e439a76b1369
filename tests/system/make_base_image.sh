#!/usr/bin/env bash
# Ensure that the base image of this repository's Dockerfiles exists locally.
#
# If no image registry is reachable, build a substitute from Debian's archive
# (requires root): bookworm also has Python 3.11, with an older patch release.
# The substitute contains the package index settings and certificates of the
# build machine, so use it only for tests and never push it.
set -euo pipefail

suite=bookworm
image=python:3.11-slim-$suite
ca_bundle=/etc/ssl/certs/ca-certificates.crt
local_cas=/usr/local/share/ca-certificates

say() { echo "make_base_image: $*" >&2; }

if docker image inspect "$image" >/dev/null 2>&1; then
    say "$image exists"
    exit 0
fi
if timeout 60 docker pull --quiet "$image" >&2; then
    say "$image pulled"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    say "$image cannot be pulled; run as root to build it with debootstrap"
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
if ! command -v debootstrap >/dev/null; then
    apt-get install --yes --no-install-recommends debootstrap >&2
fi

root=$(mktemp -d)
# debootstrap mounts /proc there; do not delete through a mount left by a failed run.
trap 'rm -rf --one-file-system "$root"' EXIT
# mktemp creates a private directory, but it becomes / for all users of the image.
chmod 0755 "$root"

# One "deb URI SUITE COMPONENT" line per source. Querying apt instead of reading
# its files works with both formats of /etc/apt/sources.list*.
# shellcheck disable=SC2016  # apt expands these, not the shell
sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Origin: Debian' 'Created-By: Packages' 2>/dev/null |
    awk -v suite="$suite" 'index($3, suite) == 1' || true)
mirror=$(awk -v suite="$suite" '$3 == suite { print $2; exit }' <<<"$sources")

say "building $image with debootstrap"
debootstrap --variant=minbase \
    --include=ca-certificates,netbase,python3,python3-pip,python3-venv,tzdata \
    "$suite" "$root" ${mirror:+"$mirror"} >&2

# The real image has Python in /usr/local and allows pip to install packages.
ln -s /usr/bin/python3 "$root/usr/local/bin/python3"
ln -s /usr/bin/python3 "$root/usr/local/bin/python"
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED

# The network may only be reachable through a proxy with its own certificate.
# Local certificates are installed separately, so that they survive when a
# package installation regenerates the bundle; an edited bundle is copied.
copy_certificates() {
    if compgen -G "$local_cas/*.crt" >/dev/null; then
        cp "$local_cas"/*.crt "$root$local_cas/"
        chroot "$root" update-ca-certificates >&2
    fi
    if [ -e "$ca_bundle" ]; then
        cp "$ca_bundle" "$root$ca_bundle"
    fi
}
copy_certificates

if [ -n "$mirror" ]; then
    echo "$sources" >"$root/etc/apt/sources.list"
fi
apt-config dump | grep -E '^Acquire::(Check-(Date|Valid-Until)|https?::Proxy) ' \
    >"$root/etc/apt/apt.conf.d/99local" || true

pip_setting() {
    python3 -m pip config get ":env:.$1" 2>/dev/null ||
        python3 -m pip config get "global.$1" 2>/dev/null || true
}
{
    echo '[global]'
    # An upgraded pip has its own list of certificate authorities.
    echo "cert = $ca_bundle"
    for key in index-url extra-index-url trusted-host proxy timeout default-timeout; do
        # Skip local directories, which do not exist in the image.
        values=$(pip_setting "$key" | tr -s '[:space:]' '\n' |
            grep -v -e '^$' -e '^/' -e '^file:' | paste -sd ' ' || true)
        if [ -n "$values" ]; then echo "$key = $values"; fi
    done
} >"$root/etc/pip.conf"

# debootstrap installs from a single suite; security fixes are in another.
chroot "$root" apt-get update >&2
chroot "$root" apt-get upgrade --yes >&2
chroot "$root" apt-get clean
# The upgrade may have regenerated the bundle and restored EXTERNALLY-MANAGED.
copy_certificates
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/log/*.log \
    "$root/etc/hostname" "$root/etc/resolv.conf"

tar -C "$root" --numeric-owner -c . | docker import \
    --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8' \
    --change 'CMD ["python3"]' \
    --message 'substitute built with debootstrap' - "$image" >&2
say "$image built"
