"""The weights of a Marian directory as CTranslate2 takes them: `python -m translator.conversion MODEL_DIR OUT_DIR`.

CTranslate2's own converter for Marian drops the row of `<pad>`, from which a translation starts, and starts from zeros.
That is another model wherever the row is not zero, as in the bundled ones: here the row is kept.
Beside its files stands conversion.json: from which weights they were made, and how the directory searches.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from translator.errors import StartError
from translator.torch_engine import read, weights_file

COMPILED = "ctranslate2"  # the folder's name inside a version
QUANTIZATION = "int8"
FACTS = "conversion.json"
SHARED, SOURCE, TARGET = "shared_vocabulary.json", "source_vocabulary.json", "target_vocabulary.json"
# Options of a search that change nothing here: what is written is never sampled, and each sentence has its own room.
SILENT = {"do_sample", "temperature", "top_k", "top_p", "max_length", "max_new_tokens", "use_cache", "early_stopping"}
SILENT |= {"bos_token_id", "decoder_start_token_id", "pad_token_id", "renormalize_logits", "transformers_version"}
SILENT |= {"output_attentions", "output_hidden_states", "output_scores", "return_dict_in_generate"}
SILENT |= {"_from_model_config"}


@dataclass(frozen=True)
class Search:
    """How a directory searches: its generation_config.json in the terms of both libraries. `suppress` holds ids."""

    num_beams: int = 1
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    suppress: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True)
class Conversion:
    """What conversion.json says."""

    weights_sha256: str  # of the weights as published
    files: dict[str, str]  # name → sha256
    quantization: str
    ctranslate2: str  # the version that converted
    longest: int  # pieces
    pad: int  # the piece that is none
    search: Search

    def write(self, folder: Path) -> None:
        """Write conversion.json."""
        (folder / FACTS).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Conversion:
        """Read conversion.json. Raises OSError, ValueError, TypeError, KeyError."""
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        return cls(**facts | {"search": Search(**facts["search"])})


def convert(folder: Path, target: Path, quantization: str = QUANTIZATION, allow_pickle: bool = False) -> None:
    """Make the new directory `target` of the Marian directory `folder`: whole or not at all, the same bytes each time.

    Needs torch, transformers and twice the weights' memory, and no network. Raises `StartError` that names `folder`.
    """
    file = weights_file(folder, allow_pickle)
    if target.exists():
        raise StartError(f"{target} exists: what was converted is never changed, remove it or name another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        _write(folder, file, made, quantization)
        made.chmod(0o755)  # a temporary folder is its owner's alone, and the service runs as someone else
        made.replace(target)
    except Exception as error:  # whatever the libraries raise, the message must name the directory
        raise StartError(f"{folder} cannot be converted: {type(error).__name__}: {error}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(folder: Path, file: Path, out: Path, quantization: str) -> None:
    import ctranslate2  # type: ignore[import-untyped]
    import torch

    model = read(folder, file.suffix == ".safetensors")  # read anew: quantizing writes into these very tensors
    search = _search(model.generation_config, int(model.config.eos_token_id))
    with torch.no_grad():
        spec = _spec(model, *_vocabularies(folder, model.config))
        spec.validate()
        spec.optimize(quantization=quantization)
        spec.save(str(out))
    Conversion(
        weights_sha256=digest_of(file),
        files={path.name: digest_of(path) for path in sorted(out.iterdir())},
        quantization=quantization,
        ctranslate2=ctranslate2.__version__,
        longest=int(model.config.max_position_embeddings),
        pad=int(model.config.pad_token_id),
        search=search,
    ).write(out)


def _spec(model: Any, source: list[str], target: list[str]) -> Any:
    """The library's specification of the network, which keeps every row of the tables."""
    from ctranslate2.converters import transformers  # type: ignore[import-untyped]

    config = model.config
    config.normalize_before = config.normalize_embedding = False  # what the library's Marian is, and does not say
    spec = transformers.BartLoader().get_model_spec(model)
    spec.decoder.num_heads = type(spec.encoder.num_heads)(config.decoder_attention_heads)  # it takes the encoder's
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    spec.config.decoder_start_token = target[config.decoder_start_token_id]
    spec.config.eos_token = target[config.eos_token_id]
    spec.config.bos_token = spec.config.eos_token  # Marian has none
    if not {spec.config.unk_token} <= {*source} & {*target}:
        raise ValueError(f"the vocabulary has no {spec.config.unk_token}, which CTranslate2 needs")
    return spec


def _vocabularies(folder: Path, config: Any) -> tuple[list[str], list[str]]:
    """Pieces by id, of the source and of the target, as many as the tables have rows."""
    names = ("vocab.json", "vocab.json" if config.share_encoder_decoder_embeddings else "target_vocab.json")
    sizes = (config.vocab_size, config.decoder_vocab_size or config.vocab_size)
    source, target = (_pieces(folder / name, size) for name, size in zip(names, sizes, strict=True))
    return source, target


def _pieces(file: Path, size: int) -> list[str]:
    ids: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
    if sorted(ids.values()) != list(range(size)):
        raise ValueError(
            f"{file.name} has {len(ids)} pieces for {size} rows of the weights: CTranslate2 needs one each"
        )
    return sorted(ids, key=lambda piece: ids[piece])


def _search(options: Any, eos: int) -> Search:
    """The options of a search; ValueError where one is asked for that CTranslate2 has not."""
    asked = {name: value for name, value in options.to_diff_dict().items() if value not in (None, False, [])}
    suppress = [[int(piece)] for piece in asked.pop("suppress_tokens", [])] + asked.pop("bad_words_ids", [])
    for name in ("eos_token_id", "forced_eos_token_id"):
        if asked.pop(name, eos) != eos:
            raise ValueError(f"generation_config.json says another {name} than config.json")
    known = {name: asked.pop(name) for name in tuple(asked) if name in Search.__dataclass_fields__}
    if strange := sorted(name for name in asked.keys() - SILENT if asked[name] is True or asked[name] != 1):
        raise ValueError(f"generation_config.json asks for {', '.join(strange)}, which CTranslate2 has not")
    return Search(**known, suppress=suppress)


def digest_of(file: Path) -> str:
    """Hex digest of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def main() -> int:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(prog="python -m translator.conversion", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--quantization", default=QUANTIZATION, choices=("int8", "float32"))
    args = parser.parse_args()
    try:
        convert(args.model, args.out, args.quantization)
    except StartError as error:
        print(f"translator.conversion: {error}", file=sys.stderr)
        return 1
    print(f"{args.out}: {sum(path.stat().st_size for path in args.out.iterdir())} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
