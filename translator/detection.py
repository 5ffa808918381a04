"""Which language a text is written in, as far as its script tells. Pure.

This service knows two languages, and has no model of any other. Its script tells Chinese from most of the world, and
nothing more is claimed: Latin letters may be English or a hundred other languages, so that guess stays below 50; Han
characters without kana may still be a Japanese heading, so a short text is less sure than a long one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from translator.text import CHINESE

CHINESE_CODE = "zh"
ENGLISH_CODE = "en"
UNKNOWN = "und"  # BCP 47: undetermined

KANA = re.compile(r"[\u3041-\u309f\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9d]")
HANGUL = re.compile(r"[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+")
OTHER_WORD = re.compile(r"[^\W\d_]+")
QUOTED = 0.1  # share of kana or hangul that a Chinese text may quote, as its signs and brand names do
LATIN_MOST = 50.0  # percent


@dataclass(frozen=True, slots=True)
class Detected:
    """A language (`zh`, `en`, `ja`, `ko`, `und`), and how sure that is, 0 to 100."""

    language: str
    confidence: float

    @property
    def served(self) -> bool:
        """Whether the text can be answered: it is Chinese, or may be English already."""
        return self.language in (CHINESE_CODE, ENGLISH_CODE)


def detect(text: str) -> Detected:
    """The language of a text, from its letters alone; without any letter it is `en` with confidence 0.

    A confidence is the share of the script in the text (a Latin word weighs as one Han character) times n / (n + 1),
    where n counts its characters: one Han character alone is 50, ten are 91.
    """
    han, kana, hangul = (len(script.findall(text)) for script in (CHINESE, KANA, HANGUL))
    latin = len(LATIN_WORD.findall(text))
    rest = LATIN_WORD.sub(" ", CHINESE.sub(" ", KANA.sub(" ", HANGUL.sub(" ", text))))
    other = sum(map(len, OTHER_WORD.findall(rest)))
    everything = han + kana + hangul + latin + other
    if everything == 0:
        return Detected(ENGLISH_CODE, 0.0)
    east = han + kana + hangul
    for code, own in (("ja", kana), ("ko", hangul)):
        if own > QUOTED * east:
            written = han + kana if code == "ja" else own
            return Detected(code, sure(written, everything))
    if han:
        return Detected(CHINESE_CODE, sure(han, everything))
    if latin >= other:
        return Detected(ENGLISH_CODE, round(min(LATIN_MOST, sure(latin, everything) / 2), 1))
    return Detected(UNKNOWN, sure(other, everything))


def sure(own: int, everything: int) -> float:
    """Percent, one decimal."""
    return round(100 * own / everything * own / (own + 1), 1)
