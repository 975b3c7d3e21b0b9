"""Images of other sizes than in pretraining: a segmentation head fitted at the size of pretraining, used at others.

ALiBi has no learnt positions, so encoders take any size; this measures what it costs.
"""

from croma.errors import InputError
from croma.evaluation.bench import Bench, Outcome
from croma.evaluation.encoders import Encoder
from croma.evaluation.maps import load_maps, pixel_codes
from croma.evaluation.segmentation import score_head, train_head
from croma.evaluation.spec import Extrapolation
from croma.sensors import Modality
from croma.shards.classes import names_of


def measure(bench: Bench, encoder: Encoder, modality: Modality, spec: Extrapolation) -> Outcome:
    """`miou-at-240`: mIoU on the middle 240 px of every chip; sizes beyond the chips are left out.

    Raises:
        InputError: chips are smaller than every size.
    """
    chip = bench.dataset.header.chip_size
    sizes = [size for size in spec.sizes if size <= chip]
    if not sizes:
        raise InputError(f"dataset {bench.dataset.ref}: chips of {chip} px hold none of the sizes {list(spec.sizes)}")
    limit, base = spec.segmentation.chips, encoder.image_size
    codes = pixel_codes(bench, limit, base)
    fit, select = (
        load_maps(bench, encoder, modality, part, codes, limit, base) for part in (bench.task.fit, bench.task.select)
    )
    head = train_head(fit, select, len(codes), spec.segmentation, bench.spec.seeds[0])
    names = names_of(bench.dataset.header, codes)
    values, n = {}, 0
    for size in sizes:
        maps = load_maps(bench, encoder.resized(size), modality, bench.task.score, codes, limit, size)
        found = score_head(bench, head, maps, names)
        values[f"miou-at-{size}"], n = found.values["miou"], found.n
    return Outcome(values, n, f"{head.note} fitted at {base} px")
