#!/usr/bin/env python3
"""Write the software bill of materials (SBOM) of a production build to standard output, as CycloneDX 1.6 JSON.

Lists the crates of `cargo build -p freehold --no-default-features`, as resolved by cargo, with the checksums of
Cargo.lock. Crates that only run during the build, such as macros, have the scope `excluded`. Apart from the timestamp,
which SOURCE_DATE_EPOCH sets, the output depends on the arguments and files only.

Example:
  deploy/sbom.py > freehold.cdx.json
  deploy/sbom.py --binary target/release/freehold --dpkg-status status > freehold.cdx.json
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import tomllib
import uuid
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
# Depth, name and version in a line of `cargo tree`, and the path of a crate of this repository.
TREE_LINE = re.compile(r"(\d+)(\S+) v(\S+)(?: \(proc-macro\))?(?: \((/.*)\))?(?: \(\*\))?")

Crate = tuple[str, str]


def cargo(*arguments: str) -> str:
    command = [os.environ.get("CARGO", "cargo"), *arguments, "--locked"]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed; if crates are missing, run `cargo fetch --locked`")
    return result.stdout


def dependencies(target: str, edges: str) -> dict[Crate, set[Crate]]:
    """Return the crates of a production build, each with the crates that it depends on."""
    tree = cargo("tree", "-p", "freehold", "--no-default-features", "--target", target, "--edges", edges,
                 "--prefix", "depth", "--format", "{p}")
    graph: dict[Crate, set[Crate]] = {}
    path: list[Crate] = []
    for line in tree.splitlines():
        match = TREE_LINE.fullmatch(line)
        if not match:
            sys.exit(f"cargo tree: unexpected line {line!r}")
        depth, crate = int(match[1]), (match[2], match[3])
        graph.setdefault(crate, set())
        del path[depth:]
        if path:
            graph[path[-1]].add(crate)
        path.append(crate)
    return graph


def host() -> str:
    version = subprocess.run(["rustc", "-vV"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return version.split("host: ")[1].split("\n")[0]


def reference(crate: Crate, checksums: dict[Crate, str]) -> str:
    # A crate of this repository is not on crates.io; a purl of the type cargo would name the crate of a stranger.
    kind = "cargo" if crate in checksums else "generic"
    return f"pkg:{kind}/{quote(crate[0], safe='')}@{quote(crate[1], safe='')}"


def licences(package: dict) -> list[dict]:
    # Old crates separate alternatives by a slash.
    expression = (package.get("license") or "").replace("/", " OR ")
    return [{"expression": re.sub(" +", " ", expression)}] if expression else []


def debian_packages(status: Path) -> list[dict]:
    """Return the packages of a file in the format of /var/lib/dpkg/status as components."""
    components = []
    for stanza in status.read_text().strip().split("\n\n"):
        fields = dict(re.findall(r"^(\S+): (.*)$", stanza, re.M))
        name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
        purl = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}?arch={architecture}"
        components.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "scope": "required",
                           "purl": purl})
    return components


def document(arguments: argparse.Namespace) -> dict:
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(entry["name"], entry["version"]): entry["checksum"] for entry in locked if "checksum" in entry}
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", arguments.target))
    packages = {(package["name"], package["version"]): package for package in metadata["packages"]}
    graph = dependencies(arguments.target, "normal,build")
    in_program = dependencies(arguments.target, "normal,no-proc-macro")

    components = []
    for crate in sorted(graph):
        component = {"type": "library", "bom-ref": reference(crate, checksums), "name": crate[0], "version": crate[1],
                     "scope": "required" if crate in in_program else "excluded"}
        if crate in checksums:
            component["hashes"] = [{"alg": "SHA-256", "content": checksums[crate]}]
        if licences(packages[crate]):
            component["licenses"] = licences(packages[crate])
        component["purl"] = component["bom-ref"]
        components.append(component)
    program = next(component for component in components if component["name"] == "freehold")
    components.remove(program)
    program["type"] = "application"
    del program["scope"]
    if arguments.binary:
        program["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(arguments.binary.read_bytes()).hexdigest()}]
    debian = debian_packages(arguments.dpkg_status) if arguments.dpkg_status else []

    depends_on = {reference(crate, checksums): {reference(other, checksums) for other in others}
                  for crate, others in graph.items()}
    depends_on[program["bom-ref"]] |= {component["bom-ref"] for component in debian}
    edges = [{"ref": ref, "dependsOn": sorted(others)} for ref, others in sorted(depends_on.items())]
    content = {"components": components + debian, "dependencies": edges}
    timestamp = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([program, content]))}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", timestamp),
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "deploy/sbom.py", "version": program["version"]}]},
            "component": program,
            "properties": [{"name": "freehold:target", "value": arguments.target}],
        },
        **content,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the SBOM of a production build, as CycloneDX 1.6 JSON.")
    parser.add_argument("--target", default=None, help="platform of the build [default: this machine]")
    parser.add_argument("--binary", type=Path, help="program whose hash is added")
    parser.add_argument("--dpkg-status", type=Path, help="file with the Debian packages of the image")
    arguments = parser.parse_args()
    arguments.target = arguments.target or host()
    print(json.dumps(document(arguments), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
