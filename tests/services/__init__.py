"""Real servers for tests: each is started on loopback by a context manager and ends with the test process."""

from tests.services.postgres import PostgresServer, postgres
from tests.services.s3 import S3Server, s3
from tests.services.valkey import ValkeyServer, valkey

__all__ = ["PostgresServer", "S3Server", "ValkeyServer", "postgres", "s3", "valkey"]
