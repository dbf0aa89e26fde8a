"""What schemathesis cannot know of the API: one media type, long polls, and what no schema can say."""

import json
import re
from typing import Any

import schemathesis
from schemathesis import Case, HookContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response


@schemathesis.serializer("application/x-ndjson")
def lines_of_json(_context: Any, value: Any) -> bytes:
    """The example is text already; lists become lines, and anything else is one."""
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    lines = value if isinstance(value, list) else [value]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict[str, Any]) -> None:
    """Nobody sends while a poll waits: all that it would add is time."""
    wait = case.query.get("wait") if isinstance(case.query, dict) else None
    if isinstance(wait, str) and re.fullmatch(r"(1?\d|20)s?", wait, re.ASCII):
        case.query["wait"] = "0s"


# Refusals of requests that the document allows, since no schema says what is wrong with them: code and words of the
# problem, and why.
UNSAYABLE: list[tuple[str, str]] = [
    (r"must be the nextCursor of the page before", "made by the server alone"),
    (r"^receipt_(invalid|foreign) ", "made by the server alone"),
    (r"must be a duration such as .* of at most", "a bound on a number with a unit"),
    (r"is given in the query and in the body", "a parameter or a member, not both"),
    (r"is missing: say \?visibility=2m, or send", "a parameter or a member, but one of them"),
    (r"is for lines of JSON|is not possible with lines", "a parameter for one media type"),
    (r"is for (FIFO|standard) queues|is the name of a (FIFO|standard) queue", "what goes with one kind of queue"),
    (r"^(setting_not_for_kind|group_required|deduplication_id_\w+|delay_not_allowed) ", "what goes with one kind of queue"),
    (r"^(setting_invalid|delay_too_long|visibility_too_long) ", "what goes with a setting of the queue"),
    (r"^(dead_letter_queue_invalid|redrive_invalid) ", "which queues there are"),
    (r"must hold \"\*\", or the scope must leave out", "a member that goes with one value of another"),
    (r"`queues` goes with `byQueue`", "a member that goes with one value of another"),
    (r"must name at least one message", "one of four lists that is not empty"),
    (r"must be an ETag as the queue has it", "said by a pattern, whose quotes do not come through in headers"),
    (r"^empty_body ", "how many bytes or lines a text is"),
    (r"^malformed_body .*Line \d+ ", "that the lines of a text are JSON"),
    (r"expiresAt: has passed", "what time it is"),
    # Could be said, and is not: code that is generated from it would not compile, or would refuse what later versions
    # answer.
    (r"must be (a whole number from \d+ to|at most) 9007199254740991", "the largest number that JSON keeps"),
    (r"may hold letters, digits, (punctuation and )?blanks", "classes of Unicode"),
    (r"holds a character that cannot be carried", "classes of Unicode"),
    (r"is not a member that is known here|holds a member named \"__proto__\"", "schemas that are not closed"),
]


def is_unsayable(response: Response) -> bool:
    """The problem of a refusal is one that no schema rules out."""
    problem = response.json()
    told = f"{problem['code']} {problem['detail']}"
    return any(re.search(words, told) for words, _why in UNSAYABLE)


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """False for a failure that is none."""
    kind, operation = type(failure).__name__, case.operation.label
    if kind == "RejectedPositiveData":
        return not (response.status_code == 400 and is_unsayable(response))
    if kind in ("AllowHeaderMismatch", "UnsupportedMethodResponse") and case.operation.path == "/":
        # POST at the root is the facade of SQS, which is no part of the document.
        return response.request.method not in ("OPTIONS", "POST")
    if kind == "JsonSchemaError":
        # The document as text is an object to who parses YAML.
        return operation != "GET /openapi.yaml"
    return True
