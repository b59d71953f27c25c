#!/usr/bin/env bash
# Fills the root file system of the image. build.sh passes it to mmdebstrap as a hook; $1 is the root.
set -euo pipefail
root=$1
staging=$FREEHOLD_IMAGE_STAGING

# Everything that the program needs from Debian: the C library, the certificates of public authorities, and the name of
# the release, by which scanners choose the list of vulnerabilities.
packages=(base-files ca-certificates libc6 libgcc-s1)

# apt checks the packages against the signed index of the release.
downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT
cd "$downloads"
download() { APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q -q -o APT::Sandbox::User=root download "$@"; }
download "${packages[@]}"
# The licence of libgcc-s1 is in a package with the version of GCC in its name.
gcc_base=$(dpkg-deb --field libgcc-s1_*.deb Depends | grep -o 'gcc-[0-9]*-base')
download "$gcc_base"
packages+=("$gcc_base")

# Only the directories in which mmdebstrap has mounted something stay.
find "$root" -mindepth 1 -maxdepth 1 ! -name dev ! -name proc ! -name sys -exec rm -rf {} +
status=$root/var/lib/dpkg/status.d
# base-files first, because it has the links from /lib to /usr/lib.
for package in "${packages[@]}"; do
    archive=("${package}"_*.deb)
    dpkg-deb --fsys-tarfile "${archive[0]}" | tar -x --keep-directory-symlink -C "$root"
    # Scanners read the packages of images without dpkg in this directory. The empty line separates them for sbom.py.
    mkdir -p "$status"
    { dpkg-deb --field "${archive[0]}" && echo; } >"$status/$package"
done

# The script of ca-certificates, which is not run, would write this file.
mkdir -p "$root/etc/ssl/certs"
cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"

# Only what the program reads stays: libraries, certificates, licences.
cd "$root"
rm -rf boot home media mnt opt root run srv tmp var/{backups,cache,lib/misc,local,lock,log,mail,opt,run,spool,tmp} \
    usr/{games,include,src} usr/share/{base-files,ca-certificates,dict,info,lintian,man,menu,misc} \
    etc/{ca-certificates*,debian_version,default,dpkg,issue*,motd,opt,profile.d,skel,update-motd.d} \
    lib/*/{audit,gconv} usr/lib/*/{audit,gconv}
for programs in bin sbin usr/bin usr/sbin; do
    [ ! -d "$programs" ] || find "$programs/" -mindepth 1 -delete
done
rm -rf usr/share/doc/*/examples
find usr/share/doc -type f ! -name copyright -delete

printf 'root:x:0:0:root:/:/nonexistent\nfreehold:x:65532:65532:freehold:/:/nonexistent\n' >etc/passwd
printf 'root:x:0:\nfreehold:x:65532:\n' >etc/group
printf 'hosts: files dns\n' >etc/nsswitch.conf
# The mount point for a temporary file system, if a platform insists on one.
install -d -m 0755 tmp run usr/local/bin etc/freehold
install -m 0755 "$staging/freehold" usr/local/bin/freehold
install -m 0644 "$staging/freehold.toml" etc/freehold/freehold.toml
[ ! -e "$staging/rds.pem" ] || install -m 0644 "$staging/rds.pem" etc/freehold/rds.pem
for directory in etc run tmp usr var; do
    chown -R -h 0:0 "$directory"
    chmod -R go-w,a-s "$directory"
done

# A program that was built on a newer Debian release would not start.
if [ "$(dpkg --print-architecture)" = "$(sed -n 's/^Architecture: //p' "$status/libc6")" ]; then
    chroot . /usr/local/bin/freehold --version
fi
