"""What a hint says to code, and what it says to who sends requests."""

from __future__ import annotations

import pytest

from modelhost.errors import rejected
from modelhost.http.wording import spoken


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("with together=True these go back as one: a 2 → 1", 'with "together": true these go back as one: a 2 → 1'),
        (rejected("a", "1.0.0").hint, "restore it first (POST /restore/a {version, reason}), or name another"),
        ("restore the files in /srv, or publish anew", "restore the files in /srv, or publish anew"),
        ("", ""),
    ],
)
def test_an_argument_is_a_key_of_the_body_and_a_call_is_a_path(said: str, heard: str) -> None:
    assert spoken(said) == heard
