"""Who asks: an admin who is logged in over the client certificate of the run. What ends sessions is asked by another one, each time anew."""

import itertools
import json
import os
import ssl
import subprocess
import urllib.request

import schemathesis

URL = os.environ["SEALWRIGHT_URL"]
PASSWORD = "a password for schemathesis"

_tls = ssl.create_default_context(cafile=os.environ["SEALWRIGHT_CA"])
_tls.load_cert_chain(os.environ["SEALWRIGHT_CERT"], os.environ["SEALWRIGHT_KEY"])
_times = itertools.count()


def post(path, body):
    request = urllib.request.Request(
        URL + path, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, context=_tls, timeout=30) as answer:
        return json.load(answer)


post("/v1/users", {"name": "asking", "password": PASSWORD})
# To everybody else there is nothing below /v1/admin.
subprocess.run(
    ["sealwright", "admin", "grant", "asking", "--data", os.path.join(os.environ["SEALWRIGHT_WORLD"], "data")],
    check=True, stdout=subprocess.DEVNULL,
)


def _ends_sessions(context):
    operation = context.operation
    return operation.method.upper() == "DELETE" and operation.path.startswith("/v1/sessions")


def _key(_case, context):
    return f"leaving {next(_times)}" if _ends_sessions(context) else "asking"


@schemathesis.auth(refresh_interval=240, cache_by_key=_key)
class Session:
    """The access token of a session."""

    def get(self, _case, context):
        name = "asking"
        if _ends_sessions(context):
            # A new one each time: a name that the run has seen is guessed at, and then has to wait.
            name = f"leaving-{next(_times)}"
            post("/v1/users", {"name": name, "password": PASSWORD})
        return post("/v1/sessions", {"name": name, "password": PASSWORD})["access_token"]

    def set(self, case, data, _context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
