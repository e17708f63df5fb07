"""`_entities` takes whatever a router, or somebody who plays one, sends: all in one plan, each on its own feet."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from contract_tests.federation import Federation, federation
from contract_tests.supergraphs import ask
from schema.identifiers import id_check_digit, uscc_check_digit
from schema.identity import global_id

MARKET, LOGISTICS, FOODS = "11350100MB0A00018J", "91350100MA0B00015H", "91350100MA0B00023C"
PERSON = "11010519491231002X"
CASE = f"{MARKET}/BHSJ-2024-0137"
CASE_NAME = "闽海通达物流有限公司涉嫌作引人误解的商业宣传案"
QUERY = """query ($these: [_Any!]!) { _entities(representations: $these) {
  __typename
  ... on Party { partyName }
  ... on Officer { officerName }
  ... on EnforcementCase { caseName }
} }"""
NAMED = {"__typename": "Party", "partyName": "闽海通达物流有限公司"}


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of representations: the entities, the errors by place, the calls, and the first line of the plan."""

    entities: list[Any] | None
    problems: dict[int, tuple[str, str]]
    calls: dict[str, list[int]]
    plan: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A gateway, and what its sources are asked."""

    six: Federation
    url: str

    def __call__(self, *these: Any) -> Answered:
        """What becomes of these representations."""
        self.six.forget_calls()
        answer = self.ask(QUERY, these=these)
        problems = {
            error["path"][1]: (error["extensions"]["code"], error["message"]) for error in answer.get("errors", [])
        }
        return Answered(answer["data"]["_entities"], problems, self.six.calls(), answer["extensions"]["plan"][0])

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer, with its plan."""
        return ask(self.url, query, {"x-explain": "1"}, **variables)


def party(**keys: Any) -> dict[str, Any]:
    return {"__typename": "Party", **keys}


def case(**keys: Any) -> dict[str, Any]:
    return {"__typename": "EnforcementCase", **keys}


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("six")) as running:
        yield running


@pytest.fixture(scope="module")
def entities(six: Federation) -> Iterator[Asked]:
    six.settings_changed = {"GATEWAY_ALLOW_EXPLAIN": "true"}
    with six.served() as address:
        yield Asked(six, f"{address}/graphql")


def test_representations_of_several_kinds_are_one_plan_and_one_call_each(entities: Asked) -> None:
    officers = [{"__typename": "Officer", "certNo": f"3501002024000{n}"} for n in (1, 2)]
    cases = [case(agencyCode=MARKET, sourceCaseNo=no) for no in ("BHSJ-2024-0137", "BHSJ-2024-0086")]
    found = entities(party(uscc=FOODS), officers[0], cases[0], party(uscc=LOGISTICS), officers[1], cases[1])
    assert found.entities == [
        {"__typename": "Party", "partyName": "滨海鲜汇食品有限公司"},
        {"__typename": "Officer", "officerName": "林甲"},
        {"__typename": "EnforcementCase", "caseName": CASE_NAME},
        NAMED,
        {"__typename": "Officer", "officerName": "陈乙"},
        {"__typename": "EnforcementCase", "caseName": "滨海鲜汇食品有限公司涉嫌经营标签不符合规定的食品案"},
    ]
    assert found.problems == {}
    assert found.calls == {
        "national_registry.enterprises_by_uscc": [2],
        "provincial_platform.officers_by_cert": [2],
        "binhai_market.cases_by_no": [2],
    }
    assert found.plan.startswith("2 waves, ")


def test_one_entity_under_all_its_keys_is_asked_for_once(entities: Asked) -> None:
    keys = [{"uscc": LOGISTICS}, {"uscc": LOGISTICS}, {"uscc": LOGISTICS.lower()}, {"partyKey": LOGISTICS}]
    found = entities(*(party(**key) for key in keys), party(id=global_id("Party", LOGISTICS)))
    assert found.entities == [NAMED] * 5
    assert found.calls == {"national_registry.enterprises_by_uscc": [1]}


def test_what_the_gateway_allotted_is_a_key_too(entities: Asked) -> None:
    mine = 'query ($a: Uscc) { enforcementCase(agencyCode: $a, sourceCaseNo: "BHSJ-2024-0137") { caseCode } }'
    told = entities.ask(mine, a=MARKET)
    code = told["data"]["enforcementCase"]["caseCode"]
    found = entities(case(caseCode=code), case(caseCode="350100000000000000000000"), party(uscc=LOGISTICS))
    both = entities(case(caseCode=code), case(id=global_id("EnforcementCase", CASE)))
    named = {"__typename": "EnforcementCase", "caseName": CASE_NAME}
    assert (found.entities, found.problems) == ([named, None, NAMED], {})
    assert found.calls == {"binhai_market.cases_by_no": [1], "national_registry.enterprises_by_uscc": [1]}
    assert (both.entities, both.calls) == ([named, named], {"binhai_market.cases_by_no": [1]})


def test_fields_that_are_no_keys_change_nothing(entities: Asked) -> None:
    found = entities(party(uscc=LOGISTICS, partyName="别人", idNo=PERSON, other=[{"x": [1, None]}]))
    assert (found.entities, found.problems) == ([NAMED], {})


NO_KIND = "representation 应为对象，且 __typename 是本服务的实体"
NO_KEY = "Party 的键应为：id，或 partyKey，或 uscc"
NO_TEXT = "Party.uscc 应为非空的字符串"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("Party", NO_KIND),
        (1, NO_KIND),
        (True, NO_KIND),
        ([party(uscc=LOGISTICS)], NO_KIND),
        ({"uscc": LOGISTICS}, NO_KIND),
        ({"__typename": None, "uscc": LOGISTICS}, NO_KIND),
        ({"__typename": ["Party"], "uscc": LOGISTICS}, NO_KIND),
        ({"__typename": {"Party": 1}, "uscc": LOGISTICS}, NO_KIND),
        ({"__typename": "Provenance", "uscc": LOGISTICS}, NO_KIND),
        ({"__typename": "Product", "id": "1"}, NO_KIND),
        (party(), NO_KEY),
        (party(id=None), NO_KEY),
        (party(partyName="闽海通达物流有限公司"), NO_KEY),
        (party(uscc=9), NO_TEXT),
        (party(uscc=True), NO_TEXT),
        (party(uscc=[LOGISTICS]), NO_TEXT),
        (party(uscc={"eq": LOGISTICS}), NO_TEXT),
        (party(uscc=""), NO_TEXT),
        (party(uscc="\ufffd"), NO_TEXT),
        (party(uscc="91350100MA0B00015X"), "Party.uscc 不合法：统一社会信用代码校验位应为 H，实为 X"),
        (party(partyKey="张三"), "Party 没有这样的 partyKey：统一社会信用代码应为 18 位，实为 2 位"),
        (party(id=7), "“7” 不是本服务的全局标识"),
        (party(id="!"), "“!” 不是本服务的全局标识"),
        (party(id=global_id("Officer", "35010020240001")), "id 不是 Party 的全局标识"),
        (case(agencyCode=MARKET), "EnforcementCase 的键应为：id，或 agencyCode + sourceCaseNo，或 caseCode"),
        (
            case(agencyCode=MARKET, sourceCaseNo="x" * 100_000),
            "EnforcementCase 没有这样的 agencyCode、sourceCaseNo：最长 100 个字符",
        ),
    ],
)
def test_what_names_no_entity_is_an_error_of_its_own_and_calls_nobody(
    entities: Asked, given: Any, message: str
) -> None:
    alone = entities(given)
    among = entities(given, party(uscc=LOGISTICS), given)
    assert (alone.entities, alone.problems, alone.calls) == ([None], {0: ("BAD_USER_INPUT", message)}, {})
    problem = ("BAD_USER_INPUT", message)
    assert (among.entities, among.problems) == ([None, NAMED, None], {0: problem, 2: problem})
    assert among.calls == {"national_registry.enterprises_by_uscc": [1]}


def test_a_key_that_is_null_elsewhere_names_nobody_and_is_no_error(entities: Asked) -> None:
    found = entities(party(uscc=None), case(agencyCode=None, sourceCaseNo=None), party(uscc=None, id=None))
    assert (found.entities, found.problems, found.calls) == ([None] * 3, {}, {})


def person_with_the_check_digit_of_a_credit_code() -> str:
    """A 公民身份号码 of Fujian that GB 32100 would take for a 统一社会信用代码."""
    bodies = (f"350102199003{day:02}{serial:03}" for day in range(1, 29) for serial in range(1000))
    numbers = (body + id_check_digit(body) for body in bodies)
    return next(number for number in numbers if number[17] == uscc_check_digit(number[:17]))


@pytest.mark.parametrize("person", [PERSON, person_with_the_check_digit_of_a_credit_code()])
def test_the_number_of_a_persons_document_is_never_a_key(
    entities: Asked, capfd: pytest.CaptureFixture[str], person: str
) -> None:
    asked = [party(partyKey=person), party(uscc=person), party(idNo=person), party(id=global_id("Party", person))]
    found = entities(*asked)
    direct = entities.ask("query ($key: String) { party(partyKey: $key) { partyName } }", key=person)
    node = entities.ask("query ($id: ID!) { node(id: $id) { id } }", id=global_id("Party", person))
    assert (found.entities, found.calls) == ([None] * 4, {})
    assert sorted(found.problems) == [0, 1, 2]
    assert [error["extensions"]["code"] for error in direct["errors"]] == ["BAD_USER_INPUT"]
    assert node["data"] == {"node": None}
    assert person not in str((found, direct)) + "".join(capfd.readouterr())


def test_no_more_than_a_page_of_entities_is_taken_at_once(entities: Asked) -> None:
    most = entities(*[party(uscc=LOGISTICS)] * 200)
    entities.six.forget_calls()
    more = entities.ask(QUERY, these=[party(uscc=LOGISTICS)] * 201)
    assert most.entities == [NAMED] * 200
    (error,) = more["errors"]
    assert (error["message"], "data" in more) == ("_entities：一次最多 200 个，实为 201 个", False)
    assert entities.six.calls() == {}


def test_what_hangs_on_many_entities_is_weighed_before_anybody_is_called(entities: Asked) -> None:
    deep = "parties { enforcementCases { parties { enforcementCases { caseName } } } }"
    query = (
        f"query ($these: [_Any!]!) {{ _entities(representations: $these) {{ ... on EnforcementCase {{ {deep} }} }} }}"
    )
    entities.six.forget_calls()
    few = entities.ask(query, these=[case(caseCode="1")])
    many = entities.ask(query, these=[case(caseCode="1")] * 200)
    light = entities.ask(QUERY, these=[party(uscc=LOGISTICS)] * 2)
    assert few["data"] == {"_entities": [None]}
    assert [error["extensions"]["code"] for error in many["errors"]] == ["QUERY_TOO_LARGE"]
    assert light["extensions"]["cost"] == 10
    assert entities.six.calls() == {"national_registry.enterprises_by_uscc": [1]}


@pytest.mark.anyio
async def test_the_plan_is_kept_for_the_kinds_and_not_for_the_keys(six: Federation) -> None:
    async with six.gateway() as gateway:
        plans = gateway.gateway.engine.preparation.plans
        for these in ([party(uscc=LOGISTICS)], [party(uscc=FOODS), party(id="!"), "x"]):
            await gateway.ask(QUERY, these=these)
        kept = len(plans)
        await gateway.ask(QUERY, these=[party(uscc=FOODS), case(caseCode="1")])
    assert (kept, len(plans)) == (1, 2)
