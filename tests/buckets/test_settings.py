"""What STORAGE_URL and its companions may say, and the sentence for what they may not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.buckets import DATASETS, LocalBuckets, S3Buckets, StorageMisconfigured, open_buckets

KEYS = {"AWS_ACCESS_KEY_ID": "ID", "AWS_SECRET_ACCESS_KEY": "the-secret"}
AT = datetime(2026, 1, 2, tzinfo=UTC)


def signed(environ: dict[str, str], prefix: str = "") -> str:
    buckets = open_buckets("s3://", "http://api", b"key", prefix, environ=KEYS | environ)
    assert isinstance(buckets, S3Buckets)
    return buckets.get_url(DATASETS, "ann@example.org/a b.jsonl", issued_at=AT).partition("?")[0]


def test_a_folder_makes_local_buckets(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    assert isinstance(open_buckets(folder.as_uri(), "http://api", b"key", environ={}), LocalBuckets)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("environ", "prefix", "url"),
    [
        ({"AWS_REGION": "eu-west-1"}, "", "https://lora-datasets.s3.eu-west-1.amazonaws.com/ann%40example.org/a%20b.jsonl"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "", "https://lora-datasets.s3.eu-west-1.amazonaws.com/ann%40example.org/a%20b.jsonl"),
        ({"AWS_ENDPOINT_URL": "http://minio:9000/"}, "", "http://minio:9000/lora-datasets/ann%40example.org/a%20b.jsonl"),
        ({"AWS_ENDPOINT_URL": "https://x.supabase.co/storage/v1/s3"}, "team/a", "https://x.supabase.co/storage/v1/s3/lora-datasets/team/a/ann%40example.org/a%20b.jsonl"),
    ],
)  # fmt: skip
def test_s3_urls_lead_to_where_the_variables_say(environ: dict[str, str], prefix: str, url: str) -> None:
    assert signed(environ, prefix) == url


@pytest.mark.parametrize(
    ("url", "prefix", "environ", "sentence"),
    [
        ("/data", "", {}, "STORAGE_URL: '/data' is neither file:///an/absolute/folder nor s3://"),
        ("file://data", "", {}, "STORAGE_URL: 'file://data' is neither"),
        ("file:data", "", {}, "STORAGE_URL: 'file:data' is neither"),
        ("https://bucket", "", {}, "STORAGE_URL: 'https://bucket' is neither"),
        ("s3://my-bucket", "", KEYS, "STORAGE_URL: write s3:// alone"),
        ("file:///data", "team", {}, "STORAGE_PREFIX: only s3:// storage has one"),
        ("s3://", "../x", KEYS | {"AWS_REGION": "r"}, "STORAGE_PREFIX: '../x' is not names"),
        ("s3://", "x/", KEYS | {"AWS_REGION": "r"}, "STORAGE_PREFIX: 'x/' is not names"),
        ("s3://", "", {}, "AWS_ACCESS_KEY_ID: s3:// storage needs it, and it is not set."),
        ("s3://", "", {"AWS_ACCESS_KEY_ID": "ID"}, "AWS_SECRET_ACCESS_KEY: s3:// storage needs it"),
        ("s3://", "", KEYS, "AWS_REGION: s3:// storage at AWS needs it"),
        (
            "s3://",
            "",
            KEYS | {"AWS_ENDPOINT_URL": "minio:9000"},
            "AWS_ENDPOINT_URL: it is not like https://host",
        ),
        (
            "s3://",
            "",
            KEYS | {"AWS_ENDPOINT_URL": "http://a:the-secret@b"},
            "AWS_ENDPOINT_URL: it is not like",
        ),
    ],
)
def test_what_cannot_work_is_refused_by_name(
    url: str, prefix: str, environ: dict[str, str], sentence: str
) -> None:
    with pytest.raises(StorageMisconfigured) as raised:
        open_buckets(url, "http://api", b"key", prefix, environ=environ)
    assert str(raised.value).startswith(sentence)
    assert "the-secret" not in str(raised.value)
