"""Made-up cases of 30 fields, as an exchange database and a paged interface hold them: every field is text, as it is there."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache

from schema.identifiers import org_code_check_digit, uscc_check_digit

AGENCY = "11350100MB0A00018J"
FIELDS = (
    "ajbh", "ajmc", "ay", "sxbm", "jgdm", "cbks", "zfry", "dsr", "cxlx", "ajzt", "lasj", "wfdd", "wfdqh", "wfksrq", "wfzzrq",
    "wfss", "saje", "sfzd", "sffxc", "lrfs", "blyy", "zasj", "cjsj", "ewm", "jarq", "jalx", "gdsj", "mj", "cd_id", "cd_time",
)  # fmt: skip
OPERATION = "cd_operation"
"""The column of the exchange that says what became of a row; `i` in all of them."""
STATUSES = ("10", "20", "30", "40", "50", "90")
DIVISIONS = ("350102", "350103", "350104", "350105", "350111", "350112")
FACT = "当事人于上述日期在经营场所销售超过保质期的预包装食品，货值经清点并由当事人签字确认，现场拍照取证，事实清楚。"
PARTIES = 20_000
FIRST = datetime(2023, 1, 1, 8)


def row(n: int) -> tuple[str, ...]:
    """Case number `n`, in the order of FIELDS."""
    day = date(2023, 1, 1) + timedelta(days=n % 700)
    moment = FIRST + timedelta(seconds=n * 7)
    is_backfilled, is_closed = n % 5 == 0, STATUSES[n % 6] == "90"
    return (
        f"BQ-{n:08d}",
        f"滨海第{n}号食品经营部涉嫌销售超过保质期食品案",
        "销售超过保质期的食品",
        f"350100-{n % 400:04d}",
        AGENCY,
        f"执法{n % 9}科",
        f"3501002024{n % 60:04d},3501002024{(n + 7) % 60:04d}",
        party(n % PARTIES),
        ("1", "2", "3")[n % 3],
        STATUSES[n % 6],
        str(day),
        f"滨海市海滨路{n % 3000}号",
        DIVISIONS[n % len(DIVISIONS)],
        str(day),
        str(day + timedelta(days=3)),
        FACT,
        f"{n % 97}.{n % 100:02d}",
        str(n % 2),
        "0",
        "1" if is_backfilled else "0",
        "1" if is_backfilled else "",
        str(moment) if is_backfilled else "",
        str(moment),
        f"q{n:012x}",
        str(day + timedelta(days=60)) if is_closed else "",
        "1" if is_closed else "",
        str(moment + timedelta(days=90)) if is_closed else "",
        "0",
        str(n),
        str(moment + timedelta(days=1)),
    )


def rows(first: int, last: int) -> Iterator[tuple[str, ...]]:
    """Cases `first` to `last`, that one not included."""
    return map(row, range(first, last))


def record(n: int) -> dict[str, str]:
    """Case number `n` as the paged interface tells it."""
    return {**dict(zip(FIELDS, row(n), strict=True)), OPERATION: "i"}


@lru_cache(PARTIES)
def party(number: int) -> str:
    """The 统一社会信用代码 of a party."""
    organisation = f"MA{number:06d}"
    body = f"91350100{organisation}{org_code_check_digit(organisation)}"
    return body + uscc_check_digit(body)
