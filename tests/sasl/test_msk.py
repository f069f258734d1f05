"""AWS_MSK_IAM: signatures as botocore's, and where identity and region come from."""
from __future__ import absolute_import

import datetime
import json
import warnings

import pytest

from kiel import exc, sasl
from kiel.sasl import msk

NOW = datetime.datetime(2026, 1, 31, 12, 30, 59)
HOST = "b-1.demo.a1b2c3.c2.kafka.eu-central-1.amazonaws.com"
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SESSION = "IQoJb3JpZ2luX2VjE//+a/b=c&d e~"

#: (token, the signature that botocore 1.44.8 makes of the same)
SIGNATURES = [
    (None, "a6b772c49c6c939b81975c91c462e57ff4c0f79258346f459e00bccd0aa3c050"),
    (SESSION, "c0bc531a3dd38b3e6fef058ebd3110ab0c4fd077d6331ac584ddef3a76b36a78"),
]


def of_botocore(token, monkeypatch):
    """The signature that botocore itself makes."""
    auth, credentials, awsrequest = [
        pytest.importorskip("botocore." + name, reason="botocore is installed for Python 3.13 alone")
        for name in ("auth", "credentials", "awsrequest")
    ]
    for name in ("get_current_datetime",):
        if hasattr(auth, name):
            monkeypatch.setattr(auth, name, lambda *args, **kwargs: NOW)
    request = awsrequest.AWSRequest(
        "GET", "https://%s/" % HOST, params={"Action": "kafka-cluster:Connect"}, headers={"host": HOST})
    signer = auth.SigV4QueryAuth(credentials.Credentials(KEY, SECRET, token), "kafka-cluster", "eu-central-1", 900)
    signer.add_auth(request)
    return request.url.rpartition("X-Amz-Signature=")[2]


@pytest.mark.parametrize("token,signature", SIGNATURES)
def test_a_signature_is_that_of_botocore(token, signature):
    message = json.loads(msk.signed(HOST, "eu-central-1", KEY, SECRET, token, NOW).decode("ascii"))
    assert message.pop("x-amz-signature") == signature
    if token:
        assert message.pop("x-amz-security-token") == token
    assert message == {
        "version": "2020_10_22", "host": HOST, "user-agent": "kiel", "action": "kafka-cluster:Connect",
        "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-date": "20260131T123059Z", "x-amz-signedheaders": "host",
        "x-amz-credential": KEY + "/20260131/eu-central-1/kafka-cluster/aws4_request", "x-amz-expires": "900",
    }


@pytest.mark.parametrize("token,signature", SIGNATURES)
def test_botocore_still_makes_those_signatures(token, signature, monkeypatch):
    assert of_botocore(token, monkeypatch) == signature


def test_a_signature_is_of_now_and_nobody_is_warned_of_anything():
    before = datetime.datetime.now() - datetime.timedelta(days=2)  # wherever the test runs
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = json.loads(msk.signed(HOST, "eu-central-1", KEY, SECRET).decode("ascii"))
    signed = datetime.datetime.strptime(message["x-amz-date"], "%Y%m%dT%H%M%SZ")
    assert before < signed < before + datetime.timedelta(days=4)


def test_one_login():
    session = sasl.AwsMskIam((KEY, SECRET)).session(HOST)
    assert json.loads(session.step(None).decode("ascii"))["host"] == HOST
    assert session.step(b'{"version":"2020_10_22","request-id":"1"}') is None
    assert session.done


def test_an_answer_that_is_not_msks():
    session = sasl.AwsMskIam((KEY, SECRET)).session(HOST)
    session.step(None)
    with pytest.raises(exc.AuthenticationError):
        session.step(b"")


@pytest.mark.parametrize("host,region", [
    (HOST, "eu-central-1"),
    ("boot-x.c1.kafka-serverless.us-east-1.amazonaws.com", "us-east-1"),
    ("b-1.demo.a1.c1.kafka.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ("broker.example", None), ("127.0.0.1", None), ("kafka.amazonaws.com", None),
])
def test_the_region_of_a_broker(host, region, monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert msk.region_of(host) == region
    if region is None:
        with pytest.raises(exc.AuthenticationError) as caught:
            sasl.AwsMskIam((KEY, SECRET)).session(host)
        assert "region=" in str(caught.value)
        monkeypatch.setenv("AWS_REGION", "eu-west-3")
        assert msk.region_of(host) == "eu-west-3"


def test_the_environment_is_asked_at_each_login(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    mechanism = sasl.AwsMskIam(region="eu-central-1")
    with pytest.raises(exc.AuthenticationError) as caught:
        mechanism.session("b")
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "one")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert b'"one/' in mechanism.session("b").step(None)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "two")
    assert b'"two/' in mechanism.session("b").step(None)


@pytest.mark.parametrize("identity", [(), ("a",), ("a", ""), ("a", 1), "ab", {"a": "b"}, ("a", "b", "c", "d")])
def test_what_are_no_credentials(identity):
    with pytest.raises(ValueError):
        sasl.AwsMskIam(identity)
    with pytest.raises(exc.AuthenticationError):
        sasl.AwsMskIam(lambda: identity, region="r").session("b")


def test_no_secret_in_a_repr():
    assert SECRET not in repr(sasl.AwsMskIam((KEY, SECRET)))
