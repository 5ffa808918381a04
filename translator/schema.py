"""The API's bodies. They are the contract that `/openapi.json` publishes, so a change here is a change for callers."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field

from translator.errors import Refusal
from translator.settings import Limits
from translator.text import has_chinese

SURROGATE = re.compile(r"[\ud800-\udfff]")  # JSON can write what no encoding can


class TranslateRequest(BaseModel):
    """Chinese text, or a list of texts."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "今天天气很好。"}, {"text": ["你好。", "谢谢。"]}]}
    )

    text: str | list[str] = Field(description="Chinese text, or a list of them; each may have many sentences and lines")


class TranslateResponse(BaseModel):
    """The English of each text, in the form and order of the request."""

    # `model_version` is this API's word; pydantic keeps `model_` for itself unless told otherwise.
    model_config = ConfigDict(protected_namespaces=())

    translation: str | list[str] = Field(description="A string for a string, a list for a list, in the same order")
    model_version: str = Field(description="The model that translated; empty for the fallback", examples=["v1.1.0"])
    request_id: str = Field(description="Names this answer, for `POST /feedback`")
    fallback: bool = Field(default=False, description="A dictionary and rules translated: no model can serve now")
    confidence: float | None = Field(
        default=None, description="Geometric mean of the probabilities of the pieces written, 0 to 1", examples=[0.42]
    )
    took_ms: float = Field(description="Milliseconds from the request's arrival to its answer, waiting included")


class Health(BaseModel):
    """Readiness: `ok` once the model has translated something, before that `loading`, after a fault `failed`."""

    status: str = Field(examples=["ok"])


class Version(BaseModel):
    """Which release, and which weights, answer."""

    model_config = ConfigDict(protected_namespaces=())

    release: str = Field(description="Release of the image, empty outside one", examples=["v1.2.0-abc1234"])
    revision: str = Field(description="Commit of the image, empty outside one")
    created: str = Field(description="When the image was made, empty outside one")
    model_version: str = Field(description="The model that serves now", examples=["v1.1.0"])
    weights_sha256: str = Field(description="SHA-256 of the weights file; empty until it is loaded")
    engine: str = Field(default="", description="Who computes: `ctranslate2` or `torch`")


class Offered(BaseModel):
    """A version that anybody may ask for."""

    version: str = Field(examples=["v1.1.0"])
    state: str = Field(description="`serving`, `loaded`, or `available`: loaded for the first who asks")
    engine: str = Field(examples=["ctranslate2"])
    note: str = Field(description="What it is, in a sentence")


class Versions(BaseModel):
    """What `?version=` may name."""

    serving: str = Field(description="Who answers where nothing is asked for; empty while none is loaded")
    versions: list[Offered]


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str = Field(description="Stable, for programs", examples=["empty_text"])
    message: str = Field(description="For people: what is wrong and what to do")


class ErrorAnswer(BaseModel):
    """The one form of every error."""

    error: ErrorDetail


def checked_texts(text: str | list[str], limits: Limits) -> list[str]:
    """The texts of a request; raises `Refusal` for what cannot be translated, saying which text it is."""
    texts = [text] if isinstance(text, str) else text
    if not texts:
        raise Refusal(422, "empty_text", "The list is empty: send at least one text.")
    if len(texts) > limits.texts:
        raise Refusal(413, "too_long", f"{len(texts)} texts in one request; at most {limits.texts} are taken.")
    for index, each in enumerate(texts):
        where = "The text" if isinstance(text, str) else f"Text {index} of the list"
        if not each.strip():
            raise Refusal(422, "empty_text", f"{where} is empty.")
        if SURROGATE.search(each):
            raise Refusal(422, "wrong_type", f"{where} has half of a character in it (a lone surrogate).")
        if len(each) > limits.chars:
            raise Refusal(413, "too_long", f"{where} has {len(each)} characters; at most {limits.chars} are taken.")
        if not has_chinese(each):
            raise Refusal(
                422, "not_chinese", f"{where} has no Chinese in it; this service translates Chinese to English."
            )
    total = sum(map(len, texts))
    if total > limits.total_chars:
        raise Refusal(413, "too_long", f"{total} characters in one request; at most {limits.total_chars} are taken.")
    return texts
