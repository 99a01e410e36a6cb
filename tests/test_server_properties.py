"""The API held against its own description: schemathesis makes requests from OpenAPI, right ones and wrong ones, and checks
statuses, media types and bodies of what comes back.

The examples are the same in every run; `LSM_EXAMPLES=2000 HYPOTHESIS_PROFILE=explore pytest tests/test_server_properties.py`
makes others, and more.
"""
import os

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from service import ENGINES, serving

schemathesis = pytest.importorskip("schemathesis", reason="it is a test tool: pip install 'lsmkv[test]'")

from schemathesis.specs.openapi.checks import negative_data_rejection  # noqa: E402

from lsm.server.app import application  # noqa: E402
from lsm.server.conditions import etag_of  # noqa: E402
from lsm.server.settings import Settings  # noqa: E402
from lsm.server.text import base64url  # noqa: E402

EXAMPLES = int(os.environ.get("LSM_EXAMPLES", "12"))


schema = schemathesis.openapi.from_dict(application(lambda: None, Settings()).description())
# what is right by its form may still be over a limit of bytes, or not meet a condition
schema.config.checks.positive_data_acceptance.expected_statuses = ["2xx", "3xx", "404", "409", "412", "413", "501"]
schema.config.checks.negative_data_rejection.expected_statuses = ["4xx"]
schema.config.checks.not_a_server_error.expected_statuses = ["2xx", "3xx", "4xx", "501"]
schemathesis.openapi.format("base64url", st.binary(max_size=40).map(base64url))
schemathesis.openapi.format("etags", st.just("*") | st.lists(st.binary(max_size=4).map(etag_of), min_size=1).map(", ".join))


MADE_WRONG_BUT_RIGHT = ("/v1/jobs", "/set/{key}")       # schemathesis takes {"kind":"compact"}, an empty base64url for wrong


def is_sayable(case):
    """What no description can say: a resume token stands alone, and is not made up; in base64url everything is."""
    return "resume" not in case.query and case.query.get("encoding") != "base64url"


@pytest.fixture(scope="module", params=ENGINES)
def served(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("described")
    with serving(place / "db", request.param, checkpoints=place, snapshots=10_000, jobs_waiting=10_000) as served:
        served.engine.write_many((b"key:%d" % n, b"value %d" % n) for n in range(100))
        yield served


@schema.parametrize()
@settings(max_examples=EXAMPLES)
def test_every_operation(case, served):
    assume(is_sayable(case))
    wrong = {"excluded_checks": [negative_data_rejection]} if case.path in MADE_WRONG_BUT_RIGHT else {}
    case.call_and_validate(base_url=served.url, **wrong)
