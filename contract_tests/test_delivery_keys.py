"""Keys of agencies: known by their hashes, each for one source; a bad line is told and closes nothing in silence."""

import pytest

from gateway.cli import main
from gateway.receiving.keys import DeliveryKeys, make_key, read_keys
from schema.problems import Problems


def test_a_key_is_known_by_its_hash_and_tells_its_source(tmp_path):
    first, line = make_key("one")
    second, other = make_key("two")
    file = tmp_path / "keys"
    file.write_text(f"# 说明\n{line} 市局 张三\n\n{other}\n", "utf-8")
    keys = read_keys(file, {"one", "two"})
    assert [(key.source, key.note) for given in (first, second) if (key := keys.source_of(given))] == [
        ("one", "市局 张三"),
        ("two", ""),
    ]
    assert [keys.source_of(given) for given in ("", first[:-1], line, "\ud800")] == [None] * 4
    assert first not in file.read_text("utf-8")


def test_without_a_file_there_are_no_keys():
    assert read_keys(None, {"one"}) == DeliveryKeys()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("one sha256:abc", "1:1: 应写作"),
        ("# \nnobody sha256:" + "0" * 64, "2:1: nobody: 没有可以交付的这个来源"),
        ("one " + "0" * 64, "应写作"),
    ],
)
def test_a_bad_line_is_told_with_its_place(tmp_path, text, told):
    (tmp_path / "keys").write_text(text, "utf-8")
    with pytest.raises(Problems, match=told):
        read_keys(tmp_path / "keys", {"one"})


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(Problems, match="不能读"):
        read_keys(tmp_path / "nowhere", set())


def test_the_command_makes_a_key_and_the_line_for_the_file(tmp_path, capsys):
    assert main(["delivery-key", "one"]) == 0
    key, line = (text.partition("：")[2] for text in capsys.readouterr().out.splitlines())
    (tmp_path / "keys").write_text(line, "utf-8")
    assert read_keys(tmp_path / "keys", {"one"}).source_of(key) is not None
