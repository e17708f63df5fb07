"""Check digits of the numbers that identify parties: GB 32100 (统一社会信用代码), GB 11714 (组织机构代码) within it, and
GB 11643 (公民身份号码)."""

import re
import string
from datetime import date
from operator import mul

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
NO_VALUE = 255
"""In the tables of values: a byte that is no letter of the alphabet."""
USCC_VALUES = bytes(USCC_ALPHABET.find(chr(byte)) % 256 for byte in range(256))
USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
USCC_REGISTRARS = "123456789ANY"
"""登记管理部门 (domain.md 2.4): the first character."""
ORG_CODE_ALPHABET = string.digits + string.ascii_uppercase
ORG_CODE_VALUES = bytes(ORG_CODE_ALPHABET.find(chr(byte)) % 256 for byte in range(256))
ORG_CODE_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
USCC_PROVINCE = re.compile(r"1[0-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[12]")
"""The first two digits of 行政区划码 (GB/T 2260) in a 统一社会信用代码, its third and fourth; 10 where the state registers."""
ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
ID_CHECK_DIGITS = "10X98765432"


def uscc_check_digit(body: str) -> str:
    """The 18th character of a 统一社会信用代码 (GB 32100). Raises ValueError on a letter outside its alphabet."""
    if len(body) != 17 or not body.isascii() or NO_VALUE in (values := body.encode().translate(USCC_VALUES)):
        raise ValueError("统一社会信用代码只含数字和大写字母（不含 I、O、Z、S、V）")
    return USCC_ALPHABET[-sum(map(mul, values, USCC_WEIGHTS)) % 31]


def check_uscc(text: str) -> str:
    """The code in its normal form (upper case, no spaces). A first letter (A, N, Y) is legal. Raises ValueError."""
    code = text.strip().upper()
    if len(code) != 18:
        raise ValueError(f"统一社会信用代码应为 18 位，实为 {len(code)} 位")
    expected = uscc_check_digit(code[:17])
    if code[17] != expected:
        raise ValueError(f"统一社会信用代码校验位应为 {expected}，实为 {code[17]}")
    return code


def org_code_check_digit(body: str) -> str:
    """The ninth character of a 组织机构代码 (GB 11714) for its first eight."""
    digit = -sum(map(mul, body.encode().translate(ORG_CODE_VALUES), ORG_CODE_WEIGHTS)) % 11
    return "X" if digit == 10 else str(digit)


def doubt_uscc(code: str) -> str | None:
    """What is doubtful about a code that `check_uscc` accepted, or None: its registrar, the 组织机构代码 within it (9–17)."""
    if code[0] not in USCC_REGISTRARS:
        return f"首位 {code[0]} 不是登记管理部门代码（GB 32100）"
    expected = org_code_check_digit(code[8:16])
    if code[16] == expected:
        return None
    return f"第 9–17 位不是组织机构代码（GB 11714）：校验位应为 {expected}，实为 {code[16]}"


def id_check_digit(body: str) -> str:
    """The 18th character for the first 17 digits of a 公民身份号码 (GB 11643)."""
    return ID_CHECK_DIGITS[sum(int(digit) * weight for digit, weight in zip(body, ID_WEIGHTS, strict=True)) % 11]


def check_id_no(text: str) -> str:
    """The number in its normal form: 18 characters with an upper-case X, or an old one of 15 digits as it is.

    The first six digits are the division *when it was issued* and are not checked against today's. Raises ValueError.
    """
    number = text.strip().upper()
    if re.fullmatch(r"[0-9]{15}", number):
        _birth_date("19" + number[6:12])
        return number
    if not re.fullmatch(r"[0-9]{17}[0-9X]", number):
        raise ValueError("公民身份号码应为 18 位（或 15 位旧号）")
    _birth_date(number[6:14])
    if number[17] != id_check_digit(number[:17]):
        raise ValueError("公民身份号码校验位不符")
    return number


def is_rather_id_no(code: str) -> bool:
    """Whether a code that `check_uscc` accepted is a 公民身份号码: one in 31 of them has the check digit of a credit code.

    A number of both kinds is a credit code only if it names a province where credit codes do.
    """
    if not code[:17].isdigit():
        return False
    try:
        check_id_no(code)
    except ValueError:
        return False
    return not USCC_PROVINCE.match(code, 2)


def _birth_date(digits: str) -> date:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise ValueError("公民身份号码中的出生日期不存在") from None
