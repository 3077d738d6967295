"""The settings: read once from the environment, frozen; a bad one is named in the refusal to start."""

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from jobs.domain.errors import PipelineError
from jobs.domain.pacing import Pacing
from jobs.domain.pricing import GpuType, read_catalog

MIB = 1024**2
_LEAST_SECRET_BYTES = 32  #: RFC 7518 §3.2 for HS256


class SettingsError(PipelineError):
    """A variable is missing or wrong; the message begins with its name and says what it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that differs between a laptop and production. Secrets are kept out of `repr`."""

    database_url: str = field(repr=False)  #: the API's role
    service_database_url: str = field(repr=False)  #: the worker's and the migrations' role
    redis_url: str = field(repr=False)
    data_dir: Path  #: absolute
    gpu_cluster_api_url: str | None
    gpu_cluster_api_key: str | None = field(repr=False)
    gpu_cluster_dedupes: bool  #: whether the cluster answers a repeated key with the same run
    public_url: str  #: how cluster and browser reach the API; no slash at its end
    host: str
    port: int
    storage_url: str
    storage_prefix: str
    secret_key: bytes = field(repr=False)
    jwt_secret: bytes | None = field(repr=False)
    jwt_jwks_url: str | None
    jwt_audience: str | None
    jwt_issuer: str | None
    submit_limit: int  #: queued jobs taken per cycle and worker
    cluster_timeout: timedelta  #: of one whole call
    max_dataset_bytes: int
    full_histories: timedelta | None  #: how long all points of a job that has ended are kept; None: for good
    rate_limit_per_minute: int  #: GraphQL requests of one user
    rate_limit_store: str  #: `process`: each API process counts for itself; `redis`: all together
    concurrent_requests_per_user: int  #: the same, at once
    callbacks_per_minute: int  #: reports of one job's trainer
    gpu_catalog: tuple[GpuType, ...]
    worker_metrics_host: str
    worker_metrics_port: int | None  #: None: a worker gives out no numbers
    log_format: str  #: `console` or `json`
    pacing: Pacing
    environ: Mapping[str, str] = field(repr=False)  #: where the storage finds its AWS_* variables

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read `environ`; an empty variable counts as not set. Raises `SettingsError`."""
        read = _reader(environ)
        data_dir = _data_dir(read)
        databases = database_urls(environ)
        return cls(
            database_url=databases.api,
            service_database_url=databases.service,
            redis_url=read.url("REDIS_URL", "redis://127.0.0.1:6379/0", ("redis", "rediss", "unix")),
            data_dir=data_dir,
            gpu_cluster_api_url=read.optional_url("GPU_CLUSTER_API_URL"),
            gpu_cluster_api_key=read.optional("GPU_CLUSTER_API_KEY"),
            gpu_cluster_dedupes=read.truth("GPU_CLUSTER_DEDUPES", default=True),
            public_url=public_url(environ),
            host=read.text("HOST", "127.0.0.1"),
            port=read.whole("PORT", 8000, 1, 65_535),
            storage_url=read.text("STORAGE_URL", (data_dir / "storage").as_uri()),
            storage_prefix=read.text("STORAGE_PREFIX", ""),
            secret_key=read.secret("SECRET_KEY"),
            jwt_jwks_url=(jwks := read.optional_url("JWT_JWKS_URL")),
            jwt_secret=None if jwks and "JWT_SECRET" not in read.given else read.secret("JWT_SECRET"),
            jwt_audience=read.optional("JWT_AUDIENCE"),
            jwt_issuer=read.optional("JWT_ISSUER"),
            submit_limit=read.whole("SUBMIT_LIMIT", 5, 1, 10_000),
            cluster_timeout=read.seconds("CLUSTER_TIMEOUT_SECONDS", 10, 0.05),
            full_histories=read.optional_days("METRICS_FULL_DAYS"),
            max_dataset_bytes=read.whole("MAX_DATASET_BYTES", 1024 * MIB, 1, 5 * 1024 * MIB),
            rate_limit_per_minute=read.whole("RATE_LIMIT_PER_MINUTE", 6_000, 1, 10**9),
            rate_limit_store=read.word("RATE_LIMIT_STORE", "process", ("process", "redis")),
            concurrent_requests_per_user=read.whole("CONCURRENT_REQUESTS_PER_USER", 20, 1, 10_000),
            callbacks_per_minute=read.whole("CALLBACKS_PER_MINUTE", 1_200, 1, 10**9),
            gpu_catalog=read.catalog("GPU_CATALOG"),
            worker_metrics_host=read.text("WORKER_METRICS_HOST", "127.0.0.1"),
            worker_metrics_port=read.optional_whole("WORKER_METRICS_PORT", 1, 65_535),
            log_format=read.word(
                "LOG_FORMAT", "console" if sys.stderr.isatty() else "json", ("console", "json")
            ),
            pacing=_pacing(read),
            environ=read.given,
        )

    def cluster(self) -> tuple[str, str]:
        """Where the cluster is and the key for it. Raises `SettingsError` when either is not set or cannot be sent."""
        if self.gpu_cluster_api_url is None:
            raise SettingsError("GPU_CLUSTER_API_URL is not set; it must say where the GPU cluster's API is.")
        if self.gpu_cluster_api_key is None:
            raise SettingsError(
                "GPU_CLUSTER_API_KEY is not set; it must be the bearer key of the GPU cluster."
            )
        if not self.gpu_cluster_api_key.isprintable():
            raise SettingsError("GPU_CLUSTER_API_KEY must be one line without control characters.")
        return self.gpu_cluster_api_url.rstrip("/"), self.gpu_cluster_api_key


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """Where the database is, for each of the two roles."""

    api: str = field(repr=False)
    service: str = field(repr=False)


def database_urls(environ: Mapping[str, str]) -> DatabaseUrls:
    """The databases alone, for tools that need no secrets. Raises `SettingsError`."""
    read = _reader(environ)
    api = read.database("DATABASE_URL", f"sqlite:///{_data_dir(read) / 'pipeline.db'}")
    return DatabaseUrls(api, read.database("SERVICE_DATABASE_URL", api))


def database_url(name: str, value: str) -> str:
    """A database's URL that was given as `name`. Raises `SettingsError` when it is none."""
    return _Reader({name: value}).database(name, "")


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """How bearer tokens are signed here."""

    secret: bytes = field(repr=False)
    audience: str | None
    issuer: str | None


def token_settings(environ: Mapping[str, str]) -> TokenSettings:
    """What makes a token, for tools that need nothing else. Raises `SettingsError` where tokens are made elsewhere."""
    read = _reader(environ)
    if "JWT_SECRET" not in read.given and "JWT_JWKS_URL" in read.given:
        raise SettingsError(
            "JWT_SECRET is not set: this installation takes tokens from JWT_JWKS_URL, and only their issuer makes them."
        )
    return TokenSettings(
        read.secret("JWT_SECRET"), read.optional("JWT_AUDIENCE"), read.optional("JWT_ISSUER")
    )


def public_url(environ: Mapping[str, str]) -> str:
    """`PUBLIC_URL` alone, for clients of the API. Raises `SettingsError`."""
    read = _reader(environ)
    port = read.whole("PORT", 8000, 1, 65_535)
    return read.url("PUBLIC_URL", f"http://127.0.0.1:{port}", ("http", "https")).rstrip("/")


def _reader(environ: Mapping[str, str]) -> "_Reader":
    return _Reader({name: value for name, value in environ.items() if value})


def _data_dir(read: "_Reader") -> Path:
    return Path(read.text("DATA_DIR", "data")).absolute()


def _pacing(read: "_Reader") -> Pacing:
    cycle = read.seconds("CYCLE_SECONDS", 30, 0.2)
    return Pacing(
        cycle=cycle,
        starting=min(timedelta(seconds=5), cycle),
        claim=read.seconds("CLAIM_SECONDS", 60, 0.2),
        stale_after=read.seconds("STALE_SECONDS", 90, 0),
        lost_after=read.seconds("LOST_SECONDS", 86_400, 0.1),
        lost_after_404=read.seconds("LOST_AFTER_404_SECONDS", 120, 0),
        release_alert=read.seconds("RELEASE_ALERT_SECONDS", 300, 0),
        dedupes=read.truth("GPU_CLUSTER_DEDUPES", default=True),
    )


class _Reader:
    """Takes variables by kind; every refusal begins with the variable's name."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given

    def text(self, name: str, default: str) -> str:
        return self.given.get(name, default)

    def optional(self, name: str) -> str | None:
        return self.given.get(name)

    def word(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise SettingsError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
        return value

    def truth(self, name: str, *, default: bool) -> bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        value = self.text(name, str(default)).lower()
        if value not in words:
            raise SettingsError(f"{name} is {value!r}; it must be true or false.")
        return words[value]

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        value = self.text(name, str(default))
        if value.isascii() and value.isdigit() and least <= int(value) <= most:
            return int(value)
        raise SettingsError(f"{name} is {value!r}; it must be a whole number from {least} to {most}.")

    def optional_whole(self, name: str, least: int, most: int) -> int | None:
        return self.whole(name, least, least, most) if name in self.given else None

    def seconds(self, name: str, default: float, least: float) -> timedelta:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not least <= number <= 10**9:
            raise SettingsError(f"{name} is {value!r}; it must be a number of seconds, at least {least:g}.")
        return timedelta(seconds=number)

    def optional_days(self, name: str) -> timedelta | None:
        if name not in self.given:
            return None
        try:
            number = float(self.given[name])
        except ValueError:
            number = math.nan
        if not 0 <= number <= 10**5:
            raise SettingsError(f"{name} is {self.given[name]!r}; it must be a number of days, at least 0.")
        return timedelta(days=number)

    def secret(self, name: str) -> bytes:
        value = self.text(name, "").encode()
        if len(value) < _LEAST_SECRET_BYTES:
            said = f"has {len(value)} bytes" if value else "is not set"
            raise SettingsError(
                f"{name} {said}; it must be a secret of at least {_LEAST_SECRET_BYTES} bytes. "
                "Make one with: openssl rand -base64 48"
            )
        return value

    def url(self, name: str, default: str, schemes: tuple[str, ...]) -> str:
        value = self.text(name, default)
        try:
            parts = urlsplit(value)
            fits = parts.scheme in schemes and (bool(parts.hostname) or parts.scheme == "unix")
            _ = parts.port
        except ValueError:
            fits = False
        if not fits:
            raise SettingsError(
                f"{name}: it must be a URL beginning with {' or '.join(f'{s}://' for s in schemes)}"
            )
        return value

    def optional_url(self, name: str) -> str | None:
        return self.url(name, "", ("http", "https")) if name in self.given else None

    def database(self, name: str, default: str) -> str:
        value = self.text(name, default)
        if re.fullmatch(r"sqlite:///.+", value):
            return value
        if re.match(r"postgres(ql)?://", value):
            return "postgresql" + value[value.index("://") :]
        raise SettingsError(f"{name}: it must be postgresql://… or sqlite:///path/of/the/file")

    def catalog(self, name: str) -> tuple[GpuType, ...]:
        file = self.optional(name)
        try:
            if file is None:
                return read_catalog((resources.files("jobs") / "gpu_catalog.json").read_text())
            return read_catalog(Path(file).read_text())
        except OSError as exc:
            raise SettingsError(f"{name}: {file} cannot be read: {exc.strerror}.") from exc
        except ValueError as exc:
            raise SettingsError(f"{name}: {file or 'the shipped file'}: {exc}.") from exc
