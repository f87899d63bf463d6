"""The page and the tests name the same rules."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
FAMILIES = {"S": 4, "C": 3, "P": 4, "M": 3, "X": 5, "T": 6, "E": 6, "Q": 5, "D": 3}


def ids_of_the_page():
    return re.findall(r"^### ([A-Z]\d+)\b", PAGE, re.MULTILINE)


def ids_of_the_tests():
    """`def test_X1_X2_…` names X1 and X2."""
    heads = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    names = re.findall(r"^\s*def test_((?:[A-Z]\d+_)+)", heads, re.MULTILINE)
    return {rule for name in names for rule in name.strip("_").split("_")}


def test_the_page_states_every_rule_once_and_in_order():
    assert ids_of_the_page() == [f"{family}{i + 1}" for family, count in FAMILIES.items() for i in range(count)]


def test_every_rule_is_named_by_a_test_and_every_rule_that_a_test_names_is_stated():
    assert ids_of_the_tests() == set(ids_of_the_page())


def test_every_rule_has_a_target_of_its_own():
    targets = Counter(re.findall(r"^\(([a-z]\d+)\)=$", PAGE, re.MULTILINE))
    assert targets == Counter(rule.lower() for rule in ids_of_the_page())
