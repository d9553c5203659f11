"""Captions: one sentence that names every attribute of every group, in many wordings.

Nothing is left out: a caption that omits attributes teaches that they may be ignored. The templates kept for the
``template`` split use only words that training has, so that the split tests arrangement, not vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pipelines.training.scenes.chance import Chance
from pipelines.training.scenes.world import Group, Scene

__all__ = ["HELD_OUT", "LONGEST", "TEMPLATES", "caption", "words"]

LONGEST = 24
"""Words in the longest caption, at most."""

COUNT = {1: ("one", "a", "a single"), 2: ("two",), 3: ("three",)}
SIZE = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
TEXTURE = {"plain": ("plain", "solid"), "striped": ("striped", "stripy")}
STRIPES = {"plain": "without stripes", "striped": "with stripes"}
COLOUR = {
    "red": ("red", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "golden"),
    "green": ("green",),
    "cyan": ("cyan", "turquoise"),
    "blue": ("blue",),
    "purple": ("purple", "violet"),
    "pink": ("pink",),
}
SHAPE = {
    "bell": ("bell",),
    "drum": ("drum",),
    "bird": ("bird",),
    "siren": ("siren", "horn"),
    "wave": ("wave",),
    "engine": ("engine", "motor"),
    "ball": ("ball", "sphere"),
    "star": ("star",),
}

# the first group seen from the second, and the second from the first; then where each one stands
BESIDE = {"left of": ("to the left of", "left of"), "above": ("above", "over")}
AGAINST = {"left of": ("to the right of", "right of"), "above": ("below", "under")}
PLACES = {
    "left of": {"a_at": "on the left", "b_at": "on the right", "a_to": "to the left", "b_to": "to the right"},
    "above": {"a_at": "at the top", "b_at": "at the bottom", "a_to": "above", "b_to": "below"},
}

# how a group is told: the order of its adjectives
SIZE_FIRST = "{size} {texture} {colour} {shape}"
COLOUR_FIRST = "{colour} {size} {texture} {shape}"
STRIPES_LAST = "{size} {colour} {shape} {stripes}"


@dataclass(frozen=True)
class Template:
    """One way to say a scene: of two groups, of one, and how each group is told."""

    two: str
    one: str
    group: str


TEMPLATES = (
    Template("{a} {beside} {b}", "{a}", SIZE_FIRST),
    Template("{b} {against} {a}", "only {a}", SIZE_FIRST),
    Template("there {a_is} {a} {beside} {b}", "there {a_is} {a}", SIZE_FIRST),
    Template("there {b_is} {b} {against} {a}", "here {a_is} {a}", COLOUR_FIRST),
    Template("{a} {beside} {b}", "{a} alone", STRIPES_LAST),
    Template("{beside} {b} {a_is} {a}", "all alone {a_is} {a}", COLOUR_FIRST),
    Template("{a} {a_at} and {b} {b_at}", "{a} and nothing else", SIZE_FIRST),
    Template("a scene with {a} {beside} {b}", "a scene with {a}", STRIPES_LAST),
    Template("{b} with {a} {a_to}", "nothing but {a}", SIZE_FIRST),
    Template("{against} {a} {b_is} {b}", "alone {a_is} {a}", SIZE_FIRST),
    Template("{a_at} {a} and {b_at} {b}", "here {a_is} {a} and nothing else", COLOUR_FIRST),
    Template("there {a_is} {a} with {b} {b_to}", "a scene with only {a}", COLOUR_FIRST),
)

HELD_OUT = (9, 10, 11)
"""Templates of the ``template`` split alone."""


def caption(scene: Scene, chance: Chance, held_out: bool = False) -> str:
    """A sentence of at most :data:`LONGEST` words, all in :func:`words`; chance picks template and synonyms."""
    chosen = [t for i, t in enumerate(TEMPLATES) if (i in HELD_OUT) == held_out]
    template = chance.pick(chosen)
    first = _told(scene.groups[0], template.group, chance)
    is_or_are = {"a_is": _verb(scene.groups[0])}
    if len(scene.groups) == 1:
        return template.one.format(a=first, **is_or_are)
    second = scene.groups[1]
    return template.two.format(
        a=first,
        b=_told(second, template.group, chance),
        beside=chance.pick(BESIDE[scene.relation]),
        against=chance.pick(AGAINST[scene.relation]),
        b_is=_verb(second),
        **is_or_are,
        **PLACES[scene.relation],
    )


@cache
def words() -> tuple[str, ...]:
    """Every word that a caption can contain, sorted: the vocabulary."""
    told: list[str] = ["an", "is", "are"]
    wordings = (COUNT, SIZE, TEXTURE, COLOUR, BESIDE, AGAINST)
    told += [synonym for table in wordings for synonyms in table.values() for synonym in synonyms]
    told += STRIPES.values()
    told += [form for forms in SHAPE.values() for form in (*forms, *(f"{form}s" for form in forms))]
    told += [place for places in PLACES.values() for place in places.values()]
    told += [frame for template in TEMPLATES for frame in (template.two, template.one)]
    return tuple(sorted({word for wording in told for word in wording.split() if "{" not in word}))


def _told(group: Group, order: str, chance: Chance) -> str:
    count = chance.pick(COUNT[group.count])
    shape = chance.pick(SHAPE[group.shape])
    rest = order.format(
        size=chance.pick(SIZE[group.size]),
        texture=chance.pick(TEXTURE[group.texture]),
        stripes=STRIPES[group.texture],
        colour=chance.pick(COLOUR[group.colour]),
        shape=shape if group.count == 1 else f"{shape}s",
    )
    if count == "a" and rest[0] in "aeiou":
        count = "an"
    return f"{count} {rest}"


def _verb(group: Group) -> str:
    return "is" if group.count == 1 else "are"
