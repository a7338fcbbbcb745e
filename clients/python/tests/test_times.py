"""Times and intervals."""

from datetime import datetime, timedelta, timezone

import pytest

from ticker_client._times import duration, nanoseconds, timestamp, utc

NINE = 1_795_597_200_000_000_000
INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    "time",
    [
        NINE,
        datetime(2026, 11, 25, 9, tzinfo=timezone.utc),
        datetime(2026, 11, 25, 14, 30, tzinfo=INDIA),
        "2026-11-25T09:00:00Z",
        "2026-11-25 14:30+05:30",
    ],
)
def test_a_time_may_be_given_in_several_ways(time):
    assert nanoseconds(time) == NINE


def test_a_time_of_pandas_keeps_its_nanoseconds():
    pd = pytest.importorskip("pandas")
    assert nanoseconds(pd.Timestamp(NINE + 123_456_789, tz="UTC")) == NINE + 123_456_789
    assert nanoseconds(pd.Timestamp(NINE + 1, tz="Asia/Kolkata")) == NINE + 1
    assert nanoseconds(pd.Timestamp(-1, tz="UTC")) == -1


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="2026-11-25 09:00:00 has no time zone"):
        nanoseconds(datetime(2026, 11, 25, 9))
    with pytest.raises(ValueError, match="has no time zone"):
        nanoseconds("2026-11-25T09:00:00")


def test_times_before_1970_have_positive_nanoseconds_in_the_contract():
    assert (timestamp(-1).seconds, timestamp(-1).nanos) == (-1, 999_999_999)


def test_a_datetime_has_what_fits_into_it():
    assert utc(NINE + 1_999) == datetime(2026, 11, 25, 9, microsecond=1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("30s", 30), ("5m", 300), ("1h", 3600), ("1d", 86_400), (timedelta(minutes=1), 60)],
)
def test_an_interval_is_text_or_a_timedelta(interval, seconds):
    assert duration(interval).ToTimedelta() == timedelta(seconds=seconds)


@pytest.mark.parametrize("interval", ["", "m", "5", "5 m", "1w", "-5m"])
def test_other_text_is_no_interval(interval):
    with pytest.raises(ValueError, match="is not of the form 30s, 5m, 1h or 1d"):
        duration(interval)
