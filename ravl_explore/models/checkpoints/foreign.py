"""Checkpoints that are recognised and cannot be opened: adapters, prompts, quantised weights and shards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from ravl_explore.errors import ModelError

WHOLE = "all weights of a CLIP, as plain numbers"
MERGE = (
    "Merge them into the model they were trained for (merge_and_unload() of peft, or the trainer's own way), and save "
    "the merged model."
)
GATHER = (
    "Gather them first (torch.distributed.checkpoint.format_utils.dcp_to_torch_save, DeepSpeed's zero_to_fp32.py, or "
    "FSDP's full state dict), and open that file."
)
QUANTISED = "Open the model that was quantised, in half or full precision; or dequantise it (dequantize()) and save it."
LAYOUTS: tuple[tuple[str, str, str], ...] = (  # a name's part, what it tells, what to do
    (r"lora_|\.lora\b|_lora\b|\.base_layer\.", "LoRA adapters that are not merged", MERGE),
    (r"\.(hada|lokr|oft|boft|vera|loha|fourierft)_", "adapters that are not merged", MERGE),
    (r"ia3_l|\.ia3\b", "IA3 adapters that are not merged", MERGE),
    (r"(^|\.)(prompt_embeddings|prompt_encoder|prompt_learner|promptlearner)\b", "learned prompts", ""),
    (r"\.(qweight|qzeros|g_idx)$", "weights quantised by GPTQ or AWQ", QUANTISED),
    (r"\.(SCB|absmax|quant_map|nested_absmax)$|\.quant_state\b", "weights quantised by bitsandbytes", QUANTISED),
    (r"\.(_packed_params|weight_scale(_inv)?|zero_point)\b", "quantised weights", QUANTISED),
    (r"_flat_param\b|^flat_param", "FSDP's flat parameters, a part of the model", GATHER),
)
PROMPTS = "Prompts alone are no weights of a CLIP, and a CLIP with them has another text tower: open the plain CLIP."
SHARDS = ("*.distcp", "mp_rank_*", "zero_pp_rank_*", "zero_to_fp32.py", "global_step*", "pytorch_model_fsdp_*")
ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
IMAGE_TOWER = re.compile(r"(^|\.)(visual|vision_model|class_embedding|patch_embed|patch_embedding|attnpool)(\.|$)")
TEXT_TOWER = re.compile(r"(^|\.)(token_embedding|text|text_model|word_embeddings|text_projection)(\.|$)")


def refuse_foreign(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Refuse weights by their names.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights by name.
    origin : str
        Where it is from, for messages.

    Raises
    ------
    ModelError
        For adapters, learned prompts, and quantised or sharded weights.
    """
    for pattern, told, remedy in LAYOUTS:
        found = sorted(key for key in tensors if re.search(pattern, key))
        if found:
            raise ModelError(WHOLE, f"{told} in {origin!r} ({found[0]}, {len(found)} in all)", remedy or PROMPTS)


def refuse_whole_numbers(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Refuse a model's own weights where they are whole numbers: ModelError, for they are quantised.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Weights by name.
    origin : str
        Where it is from, for messages.
    """
    whole = sorted(
        key for key, value in tensors.items() if value.ndim >= 2 and not _is_index(key) and _is_integer(value)
    )
    if whole:
        raise ModelError(
            WHOLE, f"weights of whole numbers in {origin!r} ({whole[0]}: {tensors[whole[0]].dtype})", QUANTISED
        )


def refuse_foreign_folder(folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder by its files' names: adapters alone, and shards of a training run.

    Parameters
    ----------
    folder : Path
        For messages.
    names : Iterable[str]
        Of the files in it.
    """
    names = set(names)
    if names & set(ADAPTERS):
        raise ModelError(WHOLE, f"adapters alone in {str(folder)!r}", MERGE)
    if any(Path(name).match(pattern) for name in names for pattern in SHARDS):
        raise ModelError(WHOLE, f"shards of a training run in {str(folder)!r}", GATHER)


def refuse_tower_alone(tensors: Iterable[str], origin: str) -> None:
    """Refuse an image tower without a text tower.

    Parameters
    ----------
    tensors : Iterable[str]
        Names of the weights.
    origin : str
        Where it is from, for messages.
    """
    names = tuple(tensors)
    if any(map(IMAGE_TOWER.search, names)) and not any(map(TEXT_TOWER.search, names)):
        raise ModelError(
            "a CLIP's image tower and its text tower, which embeds the names of the classes",
            f"the image tower alone in {origin!r}",
            "Save the whole model's state_dict().",
        )


def _is_index(key: str) -> bool:
    return key.endswith(("position_ids", "token_type_ids", "num_batches_tracked", "relative_position_index"))


def _is_integer(value: Tensor) -> bool:
    return not value.is_floating_point() and not value.is_complex()
