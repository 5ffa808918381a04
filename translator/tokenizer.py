"""Text to the ids of subword pieces and back, as the published form of Marian says it."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

from translator.errors import StartError
from translator.network import Rows

FILES = ("source.spm", "target.spm", "vocab.json", "tokenizer_config.json", "target_vocab.json")
NEEDED = FILES[:3]
# Held by who loads anything with transformers: it imports its parts when they are first named, and a second thread that
# names one meanwhile is told that it does not exist.
LIBRARY = threading.RLock()


class Tokenizer:
    """The pieces of one vocabulary. Safe between threads: the models of several versions may share one."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._lock = threading.Lock()  # the library keeps a state while it works

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Read the files of a directory. Raises `StartError`."""
        missing = [name for name in NEEDED if not (folder / name).is_file()]
        if missing:
            raise StartError(f"{folder} has no vocabulary: {', '.join(missing)} missing")
        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")  # it would change nothing here
        try:
            with LIBRARY:
                from transformers import MarianTokenizer
                from transformers.utils import logging

                logging.set_verbosity_error()
                return cls(MarianTokenizer.from_pretrained(folder, local_files_only=True))
        except Exception as error:  # whatever the library raises, the message must name the directory
            raise StartError(f"{folder} cannot be loaded: {type(error).__name__}: {error}") from error

    @property
    def size(self) -> int:
        """Pieces of the vocabulary."""
        return len(self._library)

    def encode(self, sentences: list[str], longest: int) -> Rows:
        """The ids of each sentence, its end included; what is beyond `longest` pieces is cut off."""
        with self._lock:
            # Special tokens are split as text is: a `</s>` that a user writes must not end the sentence.
            encoded = self._library(sentences, truncation=True, max_length=longest, split_special_tokens=True)
        rows: Rows = encoded["input_ids"]
        return rows

    def decode(self, rows: Rows) -> list[str]:
        """The text of each row of target ids, before anything is cleaned."""
        with self._lock:
            lines: list[str] = self._library.batch_decode(
                rows, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        return lines
