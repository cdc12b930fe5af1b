"""A minimal application that checks callbacks by itself, with PyJWT: signature, payload hash, age of `iat`; no replay.

Run by uvicorn with uvloop and httptools, the fast way. With CHECK=off it answers without a look, so that the check's
cost can be told from the application's.
"""

import hashlib
import hmac
import os
import time

import jwt

SECRET = os.environ["SECRET"]
CHECK = os.environ["CHECK"] == "on"
API_KEY = os.environ["API_KEY"]
MAX_AGE, LEEWAY = 300, 30


def verified(headers, body):
    value = dict(headers).get(b"authorization", b"")
    if not value.startswith(b"Bearer "):
        return False
    try:
        claims = jwt.decode(value[7:], SECRET, algorithms=["HS256"], issuer="Vonage", leeway=LEEWAY)
    except jwt.PyJWTError:
        return False
    if claims.get("api_key") != API_KEY or time.time() - claims.get("iat", 0) > MAX_AGE:
        return False
    return hmac.compare_digest(hashlib.sha256(body).hexdigest(), str(claims.get("payload_hash")))


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    good = not CHECK or verified(scope["headers"], body)
    await send({"type": "http.response.start", "status": 200 if good else 401, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok" if good else b"no"})
