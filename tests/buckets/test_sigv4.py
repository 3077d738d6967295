"""The presigner against the example that AWS publishes, and what the example leaves out."""

from datetime import UTC, datetime, timedelta, timezone

from jobs.buckets.sigv4 import Credentials, presign

# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
OBJECT = "https://examplebucket.s3.amazonaws.com/test.txt"
MIDNIGHT = datetime(2013, 5, 24, tzinfo=UTC)


def test_the_published_example_comes_out() -> None:
    assert presign("GET", OBJECT, EXAMPLE, region="us-east-1", issued_at=MIDNIGHT, seconds=86_400) == (
        f"{OBJECT}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_the_instant_is_signed_in_utc() -> None:
    local = datetime(2013, 5, 24, 2, tzinfo=timezone(timedelta(hours=2)))
    assert presign("GET", OBJECT, EXAMPLE, region="us-east-1", issued_at=local, seconds=86_400).endswith(
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_parameters_and_headers_stand_in_order() -> None:
    temporary = Credentials("ID", "secret", "token/with+signs")
    url = presign(
        "PUT",
        OBJECT,
        temporary,
        region="eu-central-1",
        issued_at=MIDNIGHT,
        seconds=60,
        query={"response-content-disposition": "attachment", "A": "ü b"},
        headers={"content-length": "7"},
    )
    names = [pair.partition("=")[0] for pair in url.partition("?")[2].split("&")]
    assert names == [
        "A",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-SignedHeaders",
        "response-content-disposition",
        "X-Amz-Signature",
    ]
    assert "A=%C3%BC%20b&" in url
    assert "X-Amz-Security-Token=token%2Fwith%2Bsigns&X-Amz-SignedHeaders=content-length%3Bhost" in url


def test_no_secret_is_shown_by_its_holder() -> None:
    shown = repr(Credentials("ID", "the secret", "the token"))
    assert shown == "Credentials(key_id='ID')"
