"""swerl_eval.core.reward.similarity and .suffixes against difflib, bit for bit."""

from __future__ import annotations

import difflib
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.reward import similarity
from swerl_eval.core.reward.matches import common_prefix, common_suffix
from swerl_eval.core.reward.similarity import matching_blocks, ratio
from swerl_eval.core.reward.suffixes import sweep

FEW_CHARACTERS = st.text("ab", max_size=60)
ANY_CHARACTERS = st.text(max_size=40)
SURROGATES = st.text(st.characters(categories=["Cs", "Lu", "Zs", "So"]), max_size=30)
LINES = st.lists(st.sampled_from(["", "    return x\n", "    return y\n", "x\n", "\r\n"]), max_size=25).map("".join)
TEXTS = st.one_of(FEW_CHARACTERS, ANY_CHARACTERS, SURROGATES, LINES)


@st.composite
def relatives(draw):
    """A text and one made of its pieces: many long, overlapping and repeated matches."""
    text = draw(TEXTS)
    pieces = []
    for _ in range(draw(st.integers(0, 6))):
        start, end = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
        pieces += [text[start:end], draw(st.text("abx\n", max_size=3))]
    return draw(st.permutations([text, "".join(pieces)]))


def by_difflib(a, b):
    return difflib.SequenceMatcher(None, a, b, autojunk=False)


def merged(blocks):
    """Matches that touch in both texts as one, the way difflib reports them."""
    joined: list[tuple[int, int, int]] = []
    for i, j, size in sorted(blocks):
        if joined and (joined[-1][0] + joined[-1][2], joined[-1][1] + joined[-1][2]) == (i, j):
            i, j, before = joined.pop()
            size += before
        joined.append((i, j, size))
    return joined


def expected_blocks(a, b):
    return [tuple(block) for block in by_difflib(a, b).get_matching_blocks() if block.size]


@pytest.fixture
def no_budget(monkeypatch):
    monkeypatch.setattr(similarity, "BUDGET", 0)
    monkeypatch.setattr(similarity, "BUDGET_PER_CHARACTER", 0)


@settings(max_examples=1500, deadline=None)
@given(st.one_of(st.tuples(TEXTS, TEXTS), relatives()))
def test_the_ratio_is_difflibs_in_every_bit(pair):
    assert ratio(*pair) == by_difflib(*pair).ratio()


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.tuples(TEXTS, TEXTS), relatives()))
def test_the_matches_are_difflibs_and_not_only_their_sum(pair):
    assert merged(matching_blocks(*pair)) == expected_blocks(*pair)


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.tuples(TEXTS, TEXTS), relatives()))
def test_the_search_for_repetitive_texts_gives_the_same_matches(pair):
    a, b = pair
    assert merged(sweep(a, b, [(0, len(a), 0, len(b))])) == expected_blocks(a, b)


@settings(max_examples=300, deadline=None)
@given(relatives(), st.integers(0, 4000))
def test_giving_up_at_any_point_changes_nothing(pair, budget):
    saved = similarity.BUDGET, similarity.BUDGET_PER_CHARACTER
    similarity.BUDGET, similarity.BUDGET_PER_CHARACTER = budget, 0
    try:
        assert ratio(*pair) == by_difflib(*pair).ratio()
    finally:
        similarity.BUDGET, similarity.BUDGET_PER_CHARACTER = saved


def test_empty_texts_are_alike_and_an_empty_one_is_like_no_other():
    assert ratio("", "") == 1.0
    assert ratio("", "a") == ratio("a", "") == 0.0


def test_ties_go_to_the_first_start_in_a_then_in_b():
    # "ab" and "cd" tie: taking "ab" first leaves nothing, taking "cd" first would as well, but elsewhere
    assert matching_blocks("ab.cd", "cd_ab") == [(0, 3, 2)]
    assert matching_blocks("ab", "ab_ab") == [(0, 0, 2)]


def test_the_measure_is_not_symmetric():
    pair = ("tide", "diet")  # difflib's own documented example
    assert (ratio(*pair), ratio(*pair[::-1])) == (0.25, 0.5)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 40, 1000])
def test_common_ends_are_counted_to_the_character_and_stay_within_their_rectangle(size):
    a, b = "x" * size + "1", "x" * size + "2"
    assert common_prefix(a, b, (0, len(a), 0, len(b))) == size
    assert common_suffix(a[::-1], b[::-1], (0, len(a), 0, len(b))) == size
    assert common_prefix(a, a, (0, size // 2, 0, len(a))) == size // 2
    assert common_suffix(a, a, (0, len(a), size // 2 + 1, len(a))) == size - size // 2


def test_larger_adversarial_texts_agree_with_difflib(no_budget):
    rng = random.Random(5)
    lines = ["".join(rng.choice("abcdefgh") for _ in range(11)) for _ in range(60)]
    falling = ["".join(rng.choice("abcdefgh") for _ in range(size)) for size in range(30, 0, -1)]
    two = ["".join(rng.choice("ab") for _ in range(500)) for _ in range(2)]
    spaces = ["".join(" " * rng.randrange(12) + end for _ in range(60)) for end in ("x\n", "y\n")]
    pairs = [
        ("x" * 400, "x" * 390),
        ("x" * 200 + "y" + "x" * 200, "x" * 150 + "z" + "x" * 200),
        ("X".join(lines), "Y".join(lines)),
        ("X".join(falling), "Y".join(falling)),
        ("X".join(falling[::-1]), "Y".join(falling[::-1])),
        (("a" * 9 + "b") * 40, ("a" * 9 + "c") * 40),
        ("    return self.value\n" * 20, "    return cls.value\n" * 20),
        tuple(two),
        tuple(spaces),
        ("".join(lines), "".join(lines[::-1])),
    ]
    for a, b in pairs:
        assert merged(matching_blocks(a, b)) == expected_blocks(a, b)
        assert ratio(b, a) == by_difflib(b, a).ratio()


@pytest.mark.parametrize(
    "kind", ["one character", "two random characters", "equal lines", "equally long lines", "one huge line"]
)
def test_no_pathological_pair_of_half_a_megabyte_takes_long(kind):
    rng = random.Random(3)
    size = 250_000
    pair = {
        "one character": lambda: ("x" * size, "x" * (size // 2) + "y" + "x" * (size // 3)),
        "two random characters": lambda: tuple("".join(rng.choices("ab", k=size)) for _ in range(2)),
        "equal lines": lambda: (
            "+    return self.value\n" * (size // 24),
            "+    return cls.value\n" * (size // 23),
        ),
        "equally long lines": lambda: tuple(
            "".join(f"+    row {number:06} {end}\n" for number in range(size // 18)) for end in "ab"
        ),
        "one huge line": lambda: tuple(
            "+" + " ".join(f"v{rng.randrange(1000)}" for _ in range(size // 5)) for _ in range(2)
        ),
    }[kind]()
    start = time.thread_time()
    assert 0 < ratio(*pair) < 1
    assert time.thread_time() - start < 10  # some 0.5 s on two cores
