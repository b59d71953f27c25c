"""Drives the sandbox with boto3: aws_cli.py ACCOUNT. Profiles and endpoint come from the environment."""

import json
import sys
import time

import boto3
from botocore.exceptions import ClientError

ACCOUNT = sys.argv[1]
passed = 0


def check(condition, message):
    global passed
    assert condition, message
    passed += 1


def code(call, **arguments):
    """Returns the error code of a call, or None if the call succeeds."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def policy(**fields):
    statement = {"Effect": "Deny", "Action": "gamelift:*", "Resource": "*", **fields}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


management = boto3.Session(profile_name="management")
organizations = management.client("organizations")

# Paginators of organizations.
created = [
    organizations.create_account(Email=f"b{number}@example.com", AccountName=f"b{number}")["CreateAccountStatus"]["Id"]
    for number in range(3)
]
deadline = time.monotonic() + 60
while any(
    organizations.describe_create_account_status(CreateAccountRequestId=id)["CreateAccountStatus"]["State"]
    == "IN_PROGRESS"
    for id in created
):
    assert time.monotonic() < deadline, "the accounts are not created"
    time.sleep(0.05)


def items(operation, key, **arguments):
    """Returns the number of pages and all items of a list."""
    pages = list(organizations.get_paginator(operation).paginate(PaginationConfig={"PageSize": 2}, **arguments))
    return len(pages), [item for page in pages for item in page[key]]


root = items("list_roots", "Roots")[1][0]["Id"]
pages, accounts = items("list_accounts", "Accounts")
check((pages, len(accounts)) == (3, 6), (pages, accounts))
check(len({account["Id"] for account in accounts}) == 6, accounts)
pages, children = items("list_accounts_for_parent", "Accounts", ParentId=root)
check((pages, len(children)) == (3, 6), (pages, children))
for number in range(5):
    organizations.create_organizational_unit(ParentId=root, Name=f"unit-{number}")
pages, units = items("list_organizational_units_for_parent", "OrganizationalUnits", ParentId=root)
check((pages, len(units)) == (3, 5), (pages, units))
pages, statuses = items("list_create_account_status", "CreateAccountStatuses")
check((pages, len(statuses)) == (2, 4), (pages, statuses))
organizations.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
for number in range(2):
    organizations.create_policy(
        Name=f"policy-{number}", Description="", Type="SERVICE_CONTROL_POLICY", Content=policy(Sid=f"a{number}")
    )
pages, policies = items("list_policies", "Policies", Filter="SERVICE_CONTROL_POLICY")
check((pages, len(policies)) == (2, 3), (pages, policies))

# Errors of AWS.
for content in [policy(Action="foo"), policy(Resource="bucket"), policy(Action=[]), policy().replace("2012", "2013")]:
    refused = code(
        organizations.create_policy, Name="bad", Description="", Type="SERVICE_CONTROL_POLICY", Content=content
    )
    check(refused == "MalformedPolicyDocumentException", (content, refused))
refused = code(management.client("ec2").describe_regions)
check(refused == "UnrecognizedServiceException", refused)
refused = code(management.client("dynamodb").list_tables)
check(refused == "UnrecognizedServiceException", refused)

# A role profile, and a session that managed policies limit.
tenant = boto3.Session(profile_name="tenant")
check(tenant.client("sts").get_caller_identity()["Account"] == ACCOUNT, "the profile is in another account")
role = management.client("sts").assume_role(
    RoleArn=f"arn:aws:iam::{ACCOUNT}:role/OrganizationAccountAccessRole",
    RoleSessionName="limited",
    PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}],
)["Credentials"]
limited = boto3.client(
    "cloudformation",
    region_name="eu-central-1",
    aws_access_key_id=role["AccessKeyId"],
    aws_secret_access_key=role["SecretAccessKey"],
    aws_session_token=role["SessionToken"],
)
template = "Resources: {Log: {Type: 'AWS::Logs::LogGroup'}}"
refused = code(limited.create_stack, StackName="one", TemplateBody=template)
check(refused == "AccessDenied", refused)

print(f"{passed} checks passed")
