import json
from dataclasses import asdict

import pytest
from pydantic import TypeAdapter, ValidationError

from croma.model.spec import BASE, LARGE, SMALL, ModelSpec


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"encoder_heads": 5}, "encoder_dim is 768; it is a positive multiple of 5, for encoder_heads"),
        ({"encoder_depth": 3}, "encoder_depth is 3; it is a positive multiple of 2"),
        ({"image": (120, 100)}, "image width is 100; it is a positive multiple of 8, for patch"),
        ({"image": 0}, "image height is 0; it is a positive multiple of 8"),
        ({"decoder_dim": 18, "decoder_heads": 2}, "decoder_dim is 18; it is a positive multiple of 4"),
        ({"patch": 0}, "patch is 0; it is at least 1"),
        ({"positions": "rope"}, "positions is 'rope'; it is 'alibi' or 'sincos'"),
        (
            {"positions": "sincos", "encoder_dim": 18, "encoder_heads": 2},
            "encoder_dim is 18; it is a positive multiple of 4",
        ),
        ({"joint_self_bias": "papre"}, "joint_self_bias is 'papre'; it is 'official' or 'paper'"),
    ],
)
def test_wrong_sizes_are_refused_with_what_would_be_right(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ModelSpec(**change)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"encoder_heads.*encoder_depth.*image height"):
        ModelSpec(encoder_heads=5, encoder_depth=1, image=(7, 8))


@pytest.mark.parametrize("spec", [BASE, LARGE, SMALL, ModelSpec(image=(96, 64))])
def test_survives_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_json(json.loads(json.dumps(asdict(spec)))) == spec


def test_a_recipe_may_not_misspell() -> None:
    with pytest.raises(ValidationError, match="Unexpected keyword argument"):
        TypeAdapter(ModelSpec).validate_python({"encoder_dims": 768})


def test_the_grid_follows_from_the_image() -> None:
    spec = ModelSpec(image=(96, 64))
    assert (spec.size, spec.grid, spec.tokens) == ((96, 64), (12, 8), 96)
    assert BASE.tokens == 225
