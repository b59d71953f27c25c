"""What Schemathesis leaves out, and does sooner."""

import schemathesis


@schemathesis.hook
def filter_case(context, case):
    # `?state=` asks for as much as no `state`, which is no mistake. Nothing, of whatever type, is sent so, and an object is sent
    # as the names and values that it has.
    values = (case.query or {}).values()
    return all(value not in ("", None, [], [""]) and not isinstance(value, dict) for value in values)


@schemathesis.hook
def before_call(context, case, kwargs):
    # Nobody has to wait for long to find out that somebody can.
    wait = (case.query or {}).get("wait")
    if str(wait).isdecimal() and 1 < int(wait) <= 25:
        case.query["wait"] = 1
