"""What is wrong with the database, in words for the person who can mend it: never its address, its account, or SQL."""

import sqlite3

from sqlalchemy.exc import DBAPIError

UNREACHABLE = "数据库连不上"
WRONG_ACCOUNT = "数据库拒绝了账号或密码：请核对 GATEWAY_DATABASE_URL"
FULL = "数据库所在的磁盘已满：腾出空间后自行恢复"
READ_ONLY = "数据库是只读的：恢复可写后自行恢复"
BY_STATE = {
    "53100": FULL,
    "25006": READ_ONLY,
    "42P01": "数据库里少了一张表：请从备份恢复",
    "42703": "数据库的表少了一列：请从备份恢复，或重新启动以补齐",
    "42501": "数据库账号的权限不够",
    "28P01": WRONG_ACCOUNT,
    "28000": WRONG_ACCOUNT,
    "3D000": "没有这个数据库：请核对 GATEWAY_DATABASE_URL",
    "53300": "数据库的连接数已满",
    "40001": "数据库写入冲突，重试后仍未成功",
    "40P01": "数据库死锁，重试后仍未成功",
}
BY_NAME = {
    "SQLITE_FULL": FULL,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_CANTOPEN": "数据库文件打不开：请检查文件夹是否存在、是否有权限",
    "SQLITE_PERM": "数据库文件没有权限",
    "SQLITE_BUSY": "数据库正被别的程序占用，重试后仍未成功",
    "SQLITE_CORRUPT": "数据库文件损坏：请从备份恢复",
    "SQLITE_NOTADB": "这个文件不是数据库",
    "SQLITE_IOERR": "数据库文件读写失败：请检查磁盘",
}
BY_WORDS = {
    "password authentication failed": WRONG_ACCOUNT,
    "no password supplied": WRONG_ACCOUNT,
    "database \"": BY_STATE["3D000"],
    "no such table": BY_STATE["42P01"],
    "no such column": BY_STATE["42703"],
    "has no column named": BY_STATE["42703"],
}  # fmt: skip
"""What only the words of a message tell: of connections that fail, and of SQLite's general error."""


def store_fault(error: BaseException) -> str:
    """What happened to the store, and what to do about it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if state in BY_STATE:
        return BY_STATE[state]
    if isinstance(cause, sqlite3.Error):
        name = str(getattr(cause, "sqlite_errorname", None))
        if known := next((told for start, told in BY_NAME.items() if name.startswith(start)), None):
            return known
    words = str(cause)
    if known := next((told for part, told in BY_WORDS.items() if part in words), None):
        return known
    if (state or "").startswith(("08", "57P")) or (isinstance(error, DBAPIError) and state is None):
        return UNREACHABLE
    return f"本地存储不可用（{type(error).__name__}）"
