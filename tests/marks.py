"""Marks that tests of several folders bear."""

import pytest

#: for what there is on Postgres alone
on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
