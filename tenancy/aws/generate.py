#!/usr/bin/env python3
"""Generate AWS's constraints on the values that Freehold sends, its regions, and those of CloudFormation resource types.

Reads the service models and partitions of botocore and the provider schemas of cfn-lint. Writes four files to
tenancy/src/:

  aws/constraints.rs        length, pattern and count of each field that Freehold sends
  aws/resource_types.txt    CloudFormation resource types, with the regions of Freehold that lack each type
  aws/resource_actions.txt  the IAM actions that create a resource of each type
  region/partitions.txt     partitions with their regions and places

Run it again after an update of tests/requirements.txt, or when Freehold sends another field. Quotas that are in no
service model are written by hand in tenancy/src/aws/quotas.rs.

Example, with the Python environment of the tests:
  target/venv/bin/python tenancy/aws/generate.py
  target/venv/bin/python tenancy/aws/generate.py --check
"""

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "tenancy/src/aws/constraints.rs"
RESOURCE_TYPES = ROOT / "tenancy/src/aws/resource_types.txt"
RESOURCE_ACTIONS = ROOT / "tenancy/src/aws/resource_actions.txt"
PARTITIONS = ROOT / "tenancy/src/region/partitions.txt"

NAME = "contain only letters, digits and the characters _ + = , . @ -"
TAG = "contain only letters, digits, spaces and the characters _ . : / = + - @"
TEXT = "contain only letters, marks, digits, punctuation, symbols, spaces and line breaks"
DIGITS = "be 12 digits"

# Constant, service, request or structure, member, and the meaning of the pattern in words.
STRINGS = [
    ("ACCOUNT_NAME", "organizations", "CreateAccountRequest", "AccountName", "contain only printable ASCII characters"),
    ("ACCOUNT_EMAIL", "organizations", "CreateAccountRequest", "Email", "be an e-mail address without spaces"),
    ("ACCOUNT_ROLE_NAME", "organizations", "CreateAccountRequest", "RoleName", NAME),
    ("ORGANIZATIONS_TAG_KEY", "organizations", "Tag", "Key", TAG),
    ("ORGANIZATIONS_TAG_VALUE", "organizations", "Tag", "Value", TAG),
    ("OU_NAME", "organizations", "CreateOrganizationalUnitRequest", "Name", ""),
    ("OU_PARENT_ID", "organizations", "CreateOrganizationalUnitRequest", "ParentId",
     "be the id of a root or OU, such as ou-abcd-11112222"),
    ("POLICY_NAME", "organizations", "CreatePolicyRequest", "Name", ""),
    ("POLICY_DESCRIPTION", "organizations", "CreatePolicyRequest", "Description", ""),
    ("POLICY_CONTENT", "organizations", "CreatePolicyRequest", "Content", ""),
    ("ACCOUNT_TO_MOVE", "organizations", "MoveAccountRequest", "AccountId", DIGITS),
    ("SERVICE_PRINCIPAL", "organizations", "EnableAWSServiceAccessRequest", "ServicePrincipal", NAME),
    ("PERMISSION_SET_NAME", "sso-admin", "CreatePermissionSetRequest", "Name", NAME),
    ("PERMISSION_SET_DESCRIPTION", "sso-admin", "CreatePermissionSetRequest", "Description",
     "contain only Latin-1 characters (no typographic quotes or dashes)"),
    ("SESSION_DURATION", "sso-admin", "CreatePermissionSetRequest", "SessionDuration",
     "be an ISO 8601 duration, such as PT4H"),
    ("MANAGED_POLICY_ARN", "sso-admin", "AttachManagedPolicyToPermissionSetRequest", "ManagedPolicyArn",
     "be the ARN of a policy that AWS manages, such as arn:aws:iam::aws:policy/ReadOnlyAccess"),
    ("INLINE_POLICY", "sso-admin", "PutInlinePolicyToPermissionSetRequest", "InlinePolicy", "contain only Latin-1 characters"),
    ("INSTANCE_ARN", "sso-admin", "CreateAccountAssignmentRequest", "InstanceArn",
     "be the ARN of an Identity Center instance, such as arn:aws:sso:::instance/ssoins-1111222233334444"),
    ("ASSIGNMENT_TARGET", "sso-admin", "CreateAccountAssignmentRequest", "TargetId", DIGITS),
    ("IDENTITY_STORE_ID", "identitystore", "CreateGroupRequest", "IdentityStoreId",
     "be the id of an identity store, such as d-1111222233"),
    ("USER_NAME", "identitystore", "CreateUserRequest", "UserName",
     "contain only letters, marks, digits, punctuation and symbols, without spaces"),
    ("USER_DISPLAY_NAME", "identitystore", "CreateUserRequest", "DisplayName", TEXT),
    ("GIVEN_NAME", "identitystore", "Name", "GivenName", TEXT),
    ("FAMILY_NAME", "identitystore", "Name", "FamilyName", TEXT),
    ("USER_TYPE", "identitystore", "CreateUserRequest", "UserType", TEXT),
    ("USER_EMAIL", "identitystore", "Email", "Value", TEXT),
    ("GROUP_NAME", "identitystore", "CreateGroupRequest", "DisplayName", TEXT),
    ("GROUP_DESCRIPTION", "identitystore", "CreateGroupRequest", "Description", TEXT),
    ("STACK_TAG_KEY", "cloudformation", "Tag", "Key", ""),
    ("STACK_TAG_VALUE", "cloudformation", "Tag", "Value", ""),
    ("CLIENT_REQUEST_TOKEN", "cloudformation", "CreateStackInput", "ClientRequestToken", "contain only letters, digits and hyphens"),
    ("ROLE_ARN", "sts", "AssumeRoleRequest", "RoleArn", "be the ARN of a role"),
    ("ROLE_SESSION_NAME", "sts", "AssumeRoleRequest", "RoleSessionName", NAME),
    ("EXTERNAL_ID", "sts", "AssumeRoleRequest", "ExternalId", "contain only letters, digits and the characters _ + = , . @ : / -"),
    ("REGION_NAME", "account", "EnableRegionRequest", "RegionName", ""),
    ("ACCOUNT_OF_REGION", "account", "EnableRegionRequest", "AccountId", DIGITS),
]

# Constant, service, request or structure, member: greatest number of entries of a list.
COUNTS = [
    ("MAX_STACK_TAGS", "cloudformation", "CreateStackInput", "Tags"),
]

# Constant, service, request or structure, member: least and greatest value of a number.
NUMBERS = [
    ("ROLE_SESSION_SECONDS", "sts", "AssumeRoleRequest", "DurationSeconds"),
]


class Models:
    def __init__(self):
        from botocore.loaders import Loader

        self.loader = Loader()
        self.models = {}

    def member(self, service, shape, member):
        if service not in self.models:
            self.models[service] = self.loader.load_service_model(service, "service-2")["shapes"]
        shapes = self.models[service]
        return shapes[shapes[shape]["members"][member]["shape"]]


# The expressions of service models are those of Java, where these classes are ASCII.
CLASSES = {"w": "A-Za-z0-9_", "d": "0-9", "s": r" \t\n\x0B\x0C\r"}


def rust_pattern(pattern):
    """Translate a pattern of a service model into one of the crate regex, for a match of the whole value."""
    pattern = re.sub(r"\(\?=[^)]*\)", "", pattern)  # The crate has no lookahead; the value is parsed as well.
    if pattern in (r"[\s\S]*", ".*"):
        return None
    out, in_class, at = [], False, 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            escaped = pattern[at + 1]
            digits = re.match(r"u(10[0-9A-Fa-f]{4}|10000|[0-9A-Fa-f]{4})", pattern[at + 1:])
            if digits:
                out.append(f"\\x{{{digits[1]}}}")
                at += 1 + len(digits[0])
                continue
            if escaped in CLASSES:
                out.append(CLASSES[escaped] if in_class else f"[{CLASSES[escaped]}]")
            elif escaped == "S" or escaped == "W" or escaped == "D":
                raise ValueError(f"cannot translate \\{escaped} in {pattern}")
            elif escaped == "/":
                out.append("/")
            else:
                out.append(char + escaped)
            at += 2
            continue
        if char in "[]":
            in_class = char == "["
        out.append(char if char.isascii() else f"\\x{{{ord(char):04X}}}")
        at += 1
    text = "".join(out)
    return text if text.startswith("^") and "|" not in text else f"^(?:{text})$"


def rust_text(text):
    if len(text) > 80:
        return f"concat!({rust_text(text[:80])}, {rust_text(text[80:])})"
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'r"{text}"' if '"' not in text else f'r#"{text}"#'


def number(value):
    return f"{value:_}" if value > 9_999 else str(value)


def constraints():
    models = Models()
    version = importlib.metadata.version("botocore")
    lines = [
        "//! Constraints from AWS's service models on the values that Freehold sends.",
        "//!",
        f"//! Generated by `tenancy/aws/generate.py` from botocore {version}. Do not edit.",
        "",
        "use super::Constraint;",
        "",
    ]
    for constant, service, shape, member, words in STRINGS:
        model = models.member(service, shape, member)
        pattern = rust_pattern(model["pattern"]) if "pattern" in model else None
        if pattern and not words:
            raise ValueError(f"{constant} has a pattern, so it needs words: {pattern}")
        limits = f"{model.get('min', 0)}, {number(model['max']) if 'max' in model else 'usize::MAX'}"
        lines += [
            f"// {member} of {service}:{shape}",
            f"pub static {constant}: Constraint = Constraint::"
            + (f"with_pattern({limits}, {rust_text(pattern)}, {rust_text(words)});" if pattern else f"new({limits});"),
        ]
    lines += ["", "// Constraints by name, for tests.",
              f"pub static ALL: [(&str, &Constraint); {len(STRINGS)}] = ["]
    lines += [f'("{constant}", &{constant}),' for constant, *_ in STRINGS]
    lines += ["];", ""]
    for constant, service, shape, member in COUNTS:
        model = models.member(service, shape, member)
        lines += [f"// number of {member} of {service}:{shape}",
                  f"pub const {constant}: usize = {number(model['max'])};"]
    for constant, service, shape, member in NUMBERS:
        model = models.member(service, shape, member)
        lines += [f"// {member} of {service}:{shape}",
                  f"pub const {constant}: std::ops::RangeInclusive<u32> = {number(model['min'])}..={number(model['max'])};"]
    return rustfmt("\n".join(lines) + "\n")


def rustfmt(text):
    command = ["rustfmt", "--edition", "2024", "--config-path", str(ROOT), "--emit", "stdout"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def schema_folder():
    import cfnlint

    return Path(cfnlint.__file__).parent / "data/schemas"


def services(pairs):
    """Return one line per service with the items of its types."""
    lines = {}
    for kind, item in sorted(pairs):
        service, name = kind.split("::")[1], kind.split("::", 2)[2]
        lines.setdefault(service, []).append(name + item)
    return [f"{service} {' '.join(items)}" for service, items in sorted(lines.items())]


# Actions that do not create a resource by themselves.
READS = ("Describe", "Get", "List", "PassRole", "Search", "BatchGet", "Lookup", "CreateServiceLinkedRole")
KEYS = ("kms:Create", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncrypt")


def creating_actions(kind, schema):
    """Return the actions that change something when a resource is created, without those for tags and keys."""
    actions = schema.get("handlers", {}).get("create", {}).get("permissions", [])
    return sorted({
        action for action in actions
        if re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+", action)
        and not action.split(":")[1].startswith(READS)
        and "tag" not in action.lower()
        and (kind.startswith("AWS::KMS::") or not action.startswith(KEYS))
    })


def resource_actions():
    found = {}
    for region in sorted((schema_folder() / "providers").glob("*-*-*.json")):
        if not re.fullmatch(r"[a-z]{2}-[a-z]+-\d", region.stem) or region.stem.startswith("cn-"):
            continue
        for kind, digest in json.loads(region.read_text()).items():
            if kind.startswith("AWS::") and kind not in found:
                schema = json.loads((schema_folder() / f"resources/{digest}.json").read_text())
                found[kind] = creating_actions(kind, schema)
    lines = services((kind, "=" + ",".join(actions)) for kind, actions in found.items() if actions)
    return "\n".join([
        "# IAM actions that create a resource of each CloudFormation resource type, by service.",
        "# Generated by tenancy/aws/generate.py from the provider schemas of cfn-lint "
        f"{importlib.metadata.version('cfn-lint')}. Do not edit.",
        *lines,
    ]) + "\n"


def partition_data():
    """Return name, title, prefix of the regions, and places by region of each partition; first the commercial one."""
    from botocore.loaders import Loader

    titles = {one["partition"]: one["partitionName"] for one in Loader().load_data("endpoints")["partitions"]}
    found = []
    for partition in sorted(Loader().load_data("partitions")["partitions"], key=lambda one: one["id"]):
        pattern = re.compile(partition["regionRegex"])
        places = {code: region["description"] for code, region in partition["regions"].items() if pattern.match(code)}
        # The commercial partition has many prefixes; each other one has one, such as `us-gov-`.
        prefix = re.match(r"\^([a-z-]*)", partition["regionRegex"].replace("\\-", "-"))[1]
        found.append((partition["id"], titles[partition["id"]], prefix or "*", places))
    return found


def partitions():
    lines = [
        "# Regions with their places. A line that starts with - begins a partition: its name, the prefix of its regions,",
        "# and its title. The first partition is the commercial one, which has no prefix of its own.",
        f"# Generated by tenancy/aws/generate.py from botocore {importlib.metadata.version('botocore')}. Do not edit.",
    ]
    for name, title, prefix, places in partition_data():
        lines.append(f"- {name} {prefix} {title}")
        lines += [f"{code} {place}" for code, place in sorted(places.items())]
    return "\n".join(lines) + "\n"


def resource_types():
    regions = sorted(partition_data()[0][3])
    folder = schema_folder() / "providers"
    known = {}
    for region in regions:
        file = folder / f"{region}.json"
        if file.is_file():
            known[region] = {kind for kind in json.loads(file.read_text()) if kind.startswith("AWS::")}
    unknown = sorted(set(regions) - set(known))
    by_missing = {}
    for kind in sorted(set().union(*known.values())):
        missing = " ".join(sorted(region for region, kinds in known.items() if kind not in kinds))
        by_missing.setdefault(missing, []).append(kind)
    lines = [
        "# CloudFormation resource types. Each group names the regions that lack the types, then the types by service.",
        "# Generated by tenancy/aws/generate.py from the provider schemas of cfn-lint "
        f"{importlib.metadata.version('cfn-lint')}. Do not edit.",
        f"? {' '.join(unknown)}",
    ]
    for missing, kinds in sorted(by_missing.items()):
        lines.append(f"- {missing}".rstrip())
        lines += services((kind, "") for kind in kinds)
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is not up to date")
    check = parser.parse_args().check
    outdated = []
    files = [(CONSTRAINTS, constraints()), (RESOURCE_TYPES, resource_types()), (RESOURCE_ACTIONS, resource_actions()),
             (PARTITIONS, partitions())]
    for path, text in files:
        if path.is_file() and path.read_text() == text:
            continue
        outdated.append(path.relative_to(ROOT))
        if not check:
            path.write_text(text)
    for path in outdated:
        print(f"{path}: {'not up to date' if check else 'written'}")
    return 1 if check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
