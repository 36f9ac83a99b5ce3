"""Tiny GroundingDINO and SAM 2 of random weights, saved as the hub hands them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "a", "paw", "snout"]
SIDE = 64


class Folders(NamedTuple):
    detector: Path
    segmenter: Path
    video: Path


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """detector, segmenter, and a segmenter inside of the video model that the published weights are of."""
    import torch

    root = tmp_path_factory.mktemp("networks")
    found = Folders(root / "detector", root / "segmenter", root / "video")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_detector(found.detector)
        save_segmenters(found.segmenter, found.video)
    return found


def save_detector(folder: Path) -> None:
    import transformers as library

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    config = library.GroundingDinoConfig(
        backbone_config=library.SwinConfig(
            image_size=SIDE, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=library.BertConfig(
            vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        ),
        d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=6,
    )  # fmt: skip
    library.GroundingDinoForObjectDetection(config).save_pretrained(folder)
    sizes: Any = {"shortest_edge": SIDE, "longest_edge": 96}
    library.GroundingDinoProcessor(
        library.GroundingDinoImageProcessor(size=sizes), library.BertTokenizer(str(folder / "vocab.txt"))
    ).save_pretrained(folder)


def save_segmenters(folder: Path, video: Path) -> None:
    import transformers as library

    backbone = library.Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[SIDE, SIDE], blocks_per_stage=[1, 2, 1, 1],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[4, 2, 4, 2], global_attention_blocks=[2],
        window_positional_embedding_background_size=[4, 4],
    )  # fmt: skip
    parts: dict[str, Any] = {
        "vision_config": library.Sam2VisionConfig(
            backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8],
            backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]], fpn_hidden_size=32,
        ),
        "prompt_encoder_config": {"hidden_size": 32, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 4},
        "mask_decoder_config": {
            "hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32,
        },
    }  # fmt: skip
    whole = library.Sam2VideoModel(
        library.Sam2VideoConfig(
            **parts, image_size=SIDE, memory_attention_hidden_size=32, memory_attention_num_layers=1,
            memory_attention_num_attention_heads=1, memory_attention_feed_forward_hidden_size=32,
            memory_encoder_hidden_size=32, memory_encoder_output_channels=8, mask_downsampler_embed_dim=32,
            memory_fuser_embed_dim=32, memory_fuser_intermediate_dim=32, memory_attention_rope_feat_sizes=[4, 4],
            memory_fuser_num_layers=1,
        )
    )  # fmt: skip
    whole.save_pretrained(video)
    library.Sam2Model.from_pretrained(video).save_pretrained(folder)
    pixels: Any = {"size": {"height": SIDE, "width": SIDE}, "mask_size": {"height": 16, "width": 16}}
    for each in (folder, video):
        library.Sam2Processor(library.Sam2ImageProcessor(**pixels)).save_pretrained(each)
