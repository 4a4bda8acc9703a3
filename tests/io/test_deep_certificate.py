"""Certificates about deep blocks and networks: accepted, tied to a model, refused once edited."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from limitset._result import InputProblem
from limitset.checker import check
from limitset.contraction import (
    BlockCertificate,
    NetworkCertificate,
    certify,
    certify_block,
    certify_network,
)
from limitset.dynamics import unroll
from limitset.io import (
    deep_document,
    rebuild,
    save,
    write_certificate,
    write_deep_certificate,
    write_radius,
)
from limitset.networks import (
    AbstractBlock,
    AbstractOperator,
    Convolution,
    DeepNetwork,
    DenseOperator,
    EquilibriumBlock,
    GradientBlock,
    LinearReadout,
    MeanPool,
    NegativeGram,
    Padding,
    ResidualBlock,
    Stage,
    UntiedBlock,
    block_at,
    dense_matrix,
    untie,
)

from .forgery import (
    Document,
    accepts,
    at,
    changed,
    entry,
    forgeries,
    refused,
    resized,
    sealed,
    tensor,
)

PADDINGS = [padding.value for padding in Padding]
LEAKY = "leaky_relu:0.25"


@pytest.fixture(autouse=True, scope="module")
def no_shape_checks() -> Iterator[None]:
    """Thousands of files are checked here; shape checks would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def array(values: Any) -> jax.Array:
    return jnp.asarray(np.asarray(values, np.float64))


def draw(seed: int, *shape: int) -> jax.Array:
    return array(np.random.default_rng(seed).standard_normal(shape))


def dense(seed: int, outputs: int, inputs: int, size: float = 1.0) -> DenseOperator:
    return DenseOperator(size * draw(seed, outputs, inputs))


def taps(seed: int, size: float) -> jax.Array:
    return size * draw(seed, 2, 2, 3, 3) / 9


def row_convolution(padding: str) -> ResidualBlock:
    """Rows of two channels, dominant in a norm that weighs them alike."""
    own = np.array(taps(5, 1.0))
    own *= 0.4 / np.abs(own).sum((1, 2, 3), keepdims=True)
    own[0, 0, 1, 1], own[1, 1, 1, 1] = -1.2, -0.8
    entering = Convolution(draw(6, 2, 1, 3, 3), 6, 8, Padding(padding), 2)
    state = Convolution(array(own), 3, 4, Padding(padding))
    return ResidualBlock(state, entering, draw(7, 2), array(0.75), LEAKY)


def gradient(leak: float, padding: str = "zero") -> GradientBlock:
    reading = Convolution(taps(1, 1.0), 3, 4, Padding(padding))
    entering = Convolution(draw(2, 2, 1, 1, 1), 3, 4, Padding(padding))
    return GradientBlock(reading, entering, draw(3, 2), array(0.5), array(leak), "relu")


def gram(inner: AbstractOperator, rates: Any = None) -> NegativeGram:
    return NegativeGram(inner, array(0.75), array(0.3), rates)


def _small_gradient() -> GradientBlock:
    reading, entering = dense(0, 2, 2, 0.5), dense(1, 2, 1)
    return GradientBlock(reading, entering, draw(2, 2), array(0.5), array(0.5), LEAKY)


def scaled(block: AbstractBlock, by: float) -> AbstractBlock:
    return jax.tree.map(lambda a: by * a, block)


def _blocks() -> dict[str, AbstractBlock]:
    rates = array(np.linspace(0.5, 1.0, 4))
    R, B = dense(0, 3, 4, 0.5), dense(1, 4, 2)
    P = -dense_matrix(gram(R))
    plain = ResidualBlock(gram(R), B, draw(2, 4), array(0.75), LEAKY)
    # Powers of two are exact: the rates can be recovered from the matrix.
    halves = array([1.0, 0.5, 0.25, 0.5])
    rated = DenseOperator(-halves[:, None] * (P + P.T) / 2)
    rows = DenseOperator(array([[-1.0, 0.25, 0.25], [0.5, -0.75, 0.0], [2.0, -1.0, -4.0]]))
    weak = DenseOperator(array([[0.25, -0.5], [0.125, -1.0]]))
    blocks: dict[str, AbstractBlock] = {
        "gram": plain,
        "relu": ResidualBlock(gram(R), B, draw(2, 4), array(0.75), "relu"),
        "rates": ResidualBlock(gram(R, rates), B, draw(2, 4), array(0.75), LEAKY),
        "symmetric": ResidualBlock(
            DenseOperator(-(P + P.T) / 2), B, draw(2, 4), array(0.75), LEAKY
        ),
        "rated": ResidualBlock(rated, B, draw(2, 4), array(0.75), LEAKY),
        "tied twice": untie([plain, plain]),
        "float32": jax.tree.map(lambda a: a.astype(jnp.float32), plain),
        "rows": ResidualBlock(rows, dense(3, 3, 2), draw(4, 3), array(0.25), LEAKY),
        "means": ResidualBlock(
            DenseOperator(-jnp.eye(4)), MeanPool(1, 4, 4, 2), draw(2, 4), array(1.0), "tanh"
        ),
        "equilibrium": EquilibriumBlock(weak, dense(4, 2, 2), draw(5, 2), array(0.5), "relu"),
        "gradient": gradient(0.5),
        "without leak": gradient(0.0),
        "gradients": untie([gradient(0.5), scaled(gradient(0.5), 0.75)]),
        "small gradients": untie([_small_gradient(), scaled(_small_gradient(), 0.75)]),
        "gram layers": untie(
            [
                ResidualBlock(gram(R, rates), B, draw(2, 4), array(0.75), LEAKY),
                ResidualBlock(gram(R, rates[::-1]), dense(20, 4, 2), draw(3, 4), array(0.5), LEAKY),
            ]
        ),
        "rated layers": untie(
            [
                ResidualBlock(rated, entering, draw(2, 4), array(0.75), LEAKY)
                for entering in (B, dense(20, 4, 2), B)
            ]
        ),
        "layers": untie([row_convolution("zero"), scaled(row_convolution("zero"), 0.75)]),
    }
    for padding in PADDINGS:
        inner = Convolution(taps(8, 1.0), 3, 4, Padding(padding))
        entering = Convolution(draw(9, 2, 1, 3, 3), 3, 4, Padding(padding))
        blocks[f"image {padding}"] = ResidualBlock(
            gram(inner), entering, draw(7, 2), array(0.5), LEAKY
        )
        blocks[f"rows {padding}"] = row_convolution(padding)
        blocks[f"gradient {padding}"] = gradient(0.25, padding)
    return blocks


def network() -> DeepNetwork:
    """Three stages: an image, a gradient block with a start, an equilibrium."""
    image = ResidualBlock(
        gram(Convolution(taps(8, 1.0), 4, 4)),
        Convolution(draw(9, 2, 1, 3, 3) / 3, 4, 4),
        draw(7, 2),
        array(0.5),
        "relu",
    )
    middle = GradientBlock(
        dense(10, 8, 8, 0.2), dense(11, 8, 8, 0.2), draw(12, 8), array(0.5), array(0.5), LEAKY
    )
    last = EquilibriumBlock(dense(13, 3, 3, 0.1), dense(14, 3, 8, 0.2), draw(15, 3), array(0.75))
    stages = (
        Stage(image, 4, None, MeanPool(2, 4, 4, 2)),
        Stage(middle, 3, dense(16, 8, 8, 0.2)),
        Stage(last, 2),
    )
    return DeepNetwork(stages, LinearReadout(draw(17, 4, 3), draw(18, 4)))


@cache
def block_certificates() -> dict[str, BlockCertificate]:
    found = {name: certify_block(block) for name, block in _blocks().items()}
    assert all(isinstance(answer, BlockCertificate) for answer in found.values()), found
    return {k: v for k, v in found.items() if isinstance(v, BlockCertificate)}


@cache
def network_certificate() -> NetworkCertificate:
    answer = certify_network(network())
    assert isinstance(answer, NetworkCertificate)
    return answer


INPUT = np.linspace(-1.0, 1.0, 16)
NAMES = list(_blocks())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deep")


@cache
def document(name: str) -> Document:
    return json.loads(json.dumps(deep_document(block_certificates()[name])))


@cache
def network_document() -> Document:
    return json.loads(json.dumps(deep_document(network_certificate())))


@pytest.fixture(scope="module")
def radius(folder: Path) -> Document:
    path = write_radius(network_certificate(), INPUT, folder / "radius.json")
    return json.loads(path.read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_nais_blocks_are_accepted_with_their_claim_in_words(name: str, folder: Path):
    certificate = block_certificates()[name]
    path = write_deep_certificate(certificate, folder / "block.json")
    verdict = check(path)
    assert verdict.accepted, verdict.reason
    assert ("contracting: factor <= 0." in verdict.claim) == (certificate.factor < 1)
    assert ("distances between states of one input never grow" in verdict.claim) == (
        certificate.factor == 1
    )
    assert "[checked]" in verdict.claim and "no model compared" in verdict.claim


def test_every_theorem_and_both_dtypes_are_there():
    theorems = {certificate.theorem for certificate in block_certificates().values()}
    assert theorems == {"symmetric", "row_sum", "gradient", "equilibrium"}
    dtypes = {document(name)["network"]["tensors"]["step"]["dtype"] for name in NAMES}
    assert dtypes == {"float32", "float64"}


# Every number of the claim, and by how much it is moved to the side that says more.
NUMBERS = [("factor", 0.99), ("step_limit", 1.01), ("root_push", 0.99)]
NUMBERS += [
    (f"{norm} {what}", 0.99)
    for norm in ("euclidean", "maximum")
    for what in ("gain", "push", "transient")
]


# Where edges are repeated, the prover adds up absolute values for 2-norms of rows.
LOOSE = {(f"rows {padding}", "euclidean gain") for padding in ("edge", "reflect")}


@pytest.mark.parametrize("name", NAMES)
def test_nais_claims_moved_by_one_percent_are_refused(name: str, folder: Path):
    """The moved constant of each guarantee is tried and must be refused."""
    tried = 0
    for words, by in NUMBERS:
        place = ("claim", *words.split())
        value = at(document(name), place)
        if value is None or float.fromhex(value) == 0:
            continue
        if (name, words) in LOOSE:
            by = 0.2
        lie = changed(document(name), place, (by * float.fromhex(value)).hex())
        refused(lie, folder, "")
        tried += 1
    assert tried >= 5


@pytest.mark.parametrize("name", NAMES)
def test_nais_unclaimed_bounds_cannot_be_invented(name: str, folder: Path):
    """Where the prover knows no bound, a small one is refused."""
    for words, _ in NUMBERS:
        place = ("claim", *words.split())
        if at(document(name), place) is None:
            lie = changed(document(name), place, (1e-3).hex())
            if words != "step_limit":
                refused(lie, folder, "")


@pytest.mark.parametrize("name", NAMES)
def test_larger_weights_are_refused(name: str, folder: Path):
    """Each tensor grown: no claim about the smaller one is true of it, apart from biases."""
    entries = document(name)["network"]["tensors"]
    for key, value in entries.items():
        if key == "bias":
            continue
        values = tensor(value)
        grown = {**entry(1.05 * values), "dtype": "float64"}
        others = {k: v if k == key else entry(tensor(v)) for k, v in entries.items()}
        lie = changed(document(name), ("network", "tensors"), others)
        lie = changed(lie, ("network", "tensors", key), grown)
        assert not accepts(folder / "lie.json", sealed(lie)), key


@pytest.mark.parametrize("name", ["image zero", "rows zero", "gradient zero"])
def test_other_paddings_are_another_model(name: str, tmp_path: Path):
    """Beside its model, a certificate with another word is refused, whatever it proves."""
    certificate = block_certificates()[name]
    model = save(tmp_path / "model", certificate.block)
    path = write_deep_certificate(certificate, model / "certificates" / "block.json", model=model)
    assert check(path).accepted and "the model's weights" in check(path).claim
    own = json.loads(path.read_bytes())
    config = own["network"]["config"]
    operator = "operator" if "operator" in config else "state_operator"
    inner = (operator, "inner") if "inner" in config[operator] else (operator,)
    for padding in PADDINGS[1:]:
        lie = changed(own, ("network", "config", *inner, "padding"), padding)
        assert not accepts(path, sealed(lie))
    for key, word in (("activation", "tanh"), ("activation", "sigmoid"), ("layers", 1)):
        assert not accepts(path, sealed(changed(own, ("network", "config", key), word)))


def test_certificates_are_tied_to_their_model(tmp_path: Path):
    for k, name in enumerate(("gram", "tied twice", "gradient")):
        certificate = block_certificates()[name]
        model = save(tmp_path / f"model {k}", certificate.block)
        path = write_deep_certificate(
            certificate, model / "certificates" / "block.json", model=model
        )
        assert check(path).accepted
        save(model, jax.tree.map(lambda a: 0.999 * a, certificate.block))
        verdict = check(path)
        assert not verdict.accepted and "of the model is not that" in verdict.reason
    other = save(tmp_path / "other", block_certificates()["rows"].block)
    path = write_deep_certificate(block_certificates()["gram"], tmp_path / "gram.json")
    assert check(path).accepted and not check(path, other).accepted


def test_networks_are_tied_to_their_model_with_its_readout(tmp_path: Path):
    model = save(tmp_path / "model", network())
    place = model / "certificates"
    write_deep_certificate(network_certificate(), place / "network.json", model=model)
    write_radius(network_certificate(), INPUT, place / "radius.json", model=model)
    for name in ("network.json", "radius.json"):
        assert check(place / name).accepted, check(place / name).reason
    moved = network()
    readout = LinearReadout(moved.readout.weight, moved.readout.bias + 1e-9)
    save(model, DeepNetwork(moved.stages, readout))
    for name in ("network.json", "radius.json"):
        verdict = check(place / name)
        assert not verdict.accepted and "readout.bias" in verdict.reason


def test_nais_network_gains_moved_by_one_percent_are_refused(folder: Path):
    original = network_document()
    path = folder / "network.json"
    path.write_bytes(sealed(original))
    assert check(path).accepted and "Lipschitz bound" in check(path).claim
    for norm in ("euclidean", "maximum"):
        value = 0.99 * float.fromhex(original["claim"][norm])
        lie = changed(original, ("claim", norm), value.hex())
        refused(lie, folder, f"the {norm} gain of the network")
    stage = ("witness", "stages", 1)
    start = 0.99 * float.fromhex(at(original, (*stage, "start")))
    refused(changed(original, (*stage, "start"), start.hex()), folder, "norm of a start or exit")
    refused(changed(original, (*stage, "start"), None), folder, "does not fit")
    stages = original["witness"]["stages"]
    for wrong in (stages[:-1], stages[::-1], [*stages, stages[0]], []):
        assert not accepts(
            folder / "lie.json", sealed(changed(original, ("witness", "stages"), wrong))
        )
    for k in range(3):
        for words, by in NUMBERS:
            place = ("witness", "stages", k, "block", "claim", *words.split())
            value = at(original, place)
            if value is not None and float.fromhex(value) > 0:
                lie = changed(original, place, (by * float.fromhex(value)).hex())
                assert not accepts(folder / "lie.json", sealed(lie)), place


def test_more_depth_is_another_network(folder: Path):
    """The gain of few steps is no gain of many, where it was not the one of every depth."""
    block = gradient(0.0)
    net = DeepNetwork((Stage(block, 2),), LinearReadout(draw(0, 2, 24), draw(1, 2)))
    answer = certify_network(net)
    assert isinstance(answer, NetworkCertificate)
    original = json.loads(json.dumps(deep_document(answer)))
    depth = ("network", "config", "stages", 0, "depth")
    path = folder / "depth.json"
    assert accepts(path, sealed(original))
    assert accepts(path, sealed(changed(original, depth, 1)))
    for deeper in (3, 100, 4096, 10**9):
        assert not accepts(path, sealed(changed(original, depth, deeper)))


def test_nais_radii_moved_by_one_percent_are_refused(radius: Document, folder: Path):
    path = folder / "accepted.json"
    assert accepts(path, sealed(radius))
    claim = radius["claim"]
    assert f"class {claim['class']} for all inputs closer" in check(path).claim
    for norm in ("euclidean", "maximum"):
        wide = (1.01 * float.fromhex(claim[norm])).hex()
        refused(changed(radius, ("claim", norm), wide), folder, "a radius is not established")
    for label in range(4):
        if label != claim["class"]:
            lie = changed(radius, ("claim", "class"), label)
            refused(lie, folder, "a radius is not established")
    for label in (-1, 4, True, None, "0"):
        assert not accepts(path, sealed(changed(radius, ("claim", "class"), label)))
    low, high = (tensor(claim[end]) for end in ("low", "high"))
    above = entry(high + 1e-6)
    refused(changed(radius, ("claim", "low"), above), folder, "a score is not where")
    refused(changed(radius, ("claim", "high"), entry(low - 1e-6)), folder, "a score is not where")
    moved = entry(INPUT + 1e-3)
    refused(changed(radius, ("claim", "input"), moved), folder, "a score is not where")
    lie = changed(radius, ("claim", "input"), entry(INPUT[:-1]))
    refused(lie, folder, "do not fit the network")
    gain = ("witness", "gains", "euclidean")
    small = (0.99 * float.fromhex(at(radius, gain))).hex()
    refused(changed(radius, gain, small), folder, "the euclidean gain of the network")


def test_radii_of_ties_and_of_wrong_shapes_are_not_written(tmp_path: Path):
    net = network()
    weight = jnp.concatenate([net.readout.weight[:1]] * 4)
    tied = DeepNetwork(net.stages, LinearReadout(weight, jnp.zeros(4)))
    answer = certify_network(tied)
    assert isinstance(answer, NetworkCertificate)
    with pytest.raises(InputProblem, match="no radius above 0"):
        write_radius(answer, INPUT, tmp_path / "radius.json")
    with pytest.raises(InputProblem, match="input has shape"):
        write_radius(answer, INPUT[:3], tmp_path / "radius.json")
    assert not list(tmp_path.iterdir())


def test_certify_s_answer_for_a_block_is_not_written_as_another(tmp_path: Path):
    answer = certify(block_certificates()["gradient"].block)
    with pytest.raises(InputProblem, match="write_deep_certificate"):
        write_certificate(answer, tmp_path / "contraction.json")  # pyright: ignore[reportArgumentType]


def test_nais_pitfall_untied_weights_in_a_metric_of_their_own(folder: Path):
    """Each step is nonexpansive in its own metric, and their product grows by 1.232."""
    angles = (1.99314, 2.72209)
    matrices = []
    for angle in angles:
        v = np.array([np.cos(angle), np.sin(angle)])
        matrices.append(-0.98 * np.outer(v, v) - 0.01 * np.eye(2))
    blocks = [
        ResidualBlock(DenseOperator(array((A + A.T) / 2)), None, array([0, 0]), array(1.0), "relu")
        for A in matrices
    ]
    one = certify_block(blocks[0])
    assert isinstance(one, BlockCertificate)
    original = json.loads(json.dumps(deep_document(one)))
    assert accepts(folder / "one.json", sealed(original))
    both = json.loads(json.dumps(_network_of(untie(blocks))))
    refused(changed(original, ("network",), both), folder, "differ from depth to depth")


def _network_of(block: AbstractBlock) -> Document:
    from limitset.io._certificate import network_entry

    return network_entry(block)


def test_nais_pitfall_row_sums_are_no_statement_in_the_2_norm(folder: Path):
    """With 16 channels that all read the first, |I + A| is 0.95 in the maximum norm, and 3.68."""
    A = -np.eye(16)
    A[1:, 0] = 0.95
    A[0, 0] = -1 + 0.95
    block = ResidualBlock(DenseOperator(array(A)), None, jnp.zeros(16), array(1.0), LEAKY)
    assert np.linalg.norm(np.eye(16) + A, 2) > 3.6
    answer = certify_block(block)
    assert isinstance(answer, BlockCertificate) and answer.theorem == "row_sum"
    original = json.loads(json.dumps(deep_document(answer)))
    assert accepts(folder / "rows.json", sealed(original))
    transient = ("claim", "euclidean", "transient")
    refused(changed(original, transient, (2.0).hex()), folder, "euclidean transient")
    swapped = changed(original, ("theorem",), "symmetric")
    swapped = changed(swapped, ("metric",), None)
    spectra = {"spectra": [[(0.05).hex(), (1.0).hex()]]}
    refused(changed(swapped, ("witness",), spectra), folder, "A is not -Lambda P")


def test_theorems_do_not_speak_of_other_kinds(folder: Path):
    for name in ("gram", "rows", "equilibrium", "gradient"):
        original = document(name)
        for theorem in ("symmetric", "row_sum", "gradient", "equilibrium", "chain", "sector", None):
            if theorem != original["theorem"]:
                lie = changed(original, ("theorem",), theorem)
                assert not accepts(folder / "lie.json", sealed(lie))
    for statement in ("network", "radius", "contraction"):
        lie = changed(document("gram"), ("statement",), statement)
        assert not accepts(folder / "lie.json", sealed(lie))


@pytest.mark.parametrize("name", ["gram", "layers", "gradient", "equilibrium"])
def test_fields_dropped_or_added_are_refused(name: str, folder: Path):
    for place, forged in resized(document(name)):
        assert not accepts(folder / "lie.json", sealed(forged)), place


@pytest.mark.slow
def test_fields_of_networks_and_radii_dropped_or_added_are_refused(radius: Document, folder: Path):
    for original in (network_document(), radius):
        for place, forged in resized(original):
            assert not accepts(folder / "lie.json", sealed(forged)), place


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["gram", "rates", "rated", "rows", "equilibrium", "small gradients"]
)
def test_forged_blocks_are_true_or_refused(name: str, folder: Path):
    """What is accepted after one edit is true of the network in the file, as far as can be seen."""
    rng, tried = np.random.default_rng(0), 0
    for place, forged in forgeries(document(name), rng):
        tried += 1
        if accepts(folder / "forged.json", sealed(forged)):
            assert place[0] in ("prover", "model") or holds(forged, rng), place
    assert tried > 300


def holds(forged: Document, rng: np.random.Generator) -> bool:
    """Whether factor, step limit and gains survive random slopes, inputs and depths."""
    entries = forged["network"]["tensors"].items()
    arrays = {key: tensor(value) for key, value in entries}
    block = rebuild(forged["network"]["config"], arrays)
    assert isinstance(block, AbstractBlock)
    claim = forged["claim"]
    factor = float.fromhex(claim["factor"])
    layers = [block]
    if isinstance(block, UntiedBlock):
        layers = [block_at(block, k) for k in range(block.depth)]
    root = _root(forged, layers[0])
    for layer in layers:
        for step, bound in ((None, factor), (claim["step_limit"], 1.0)):
            h = layer.step if step is None else float.fromhex(step)  # pyright: ignore[reportAttributeAccessIssue]
            for J in _jacobians(layer, float(h), rng):
                if not _size(forged, root, J) <= bound + 1e-9:
                    return False
    return _gains_hold(block, claim, rng)


def _root(forged: Document, layer: Any) -> np.ndarray:
    if forged["metric"] is not None:
        return np.diag(tensor(forged["metric"]["scale"]))
    if isinstance(layer, GradientBlock):
        return np.eye(layer.state_size)
    A = np.asarray(dense_matrix(layer.state_operator))
    rates = A[:, 0] / A[0] if (A[:, 0] * A[0] != 0).all() else np.ones(len(A))
    operator = layer.state_operator
    if isinstance(operator, NegativeGram):
        rates = np.ones(len(A)) if operator.rates is None else np.asarray(operator.rates)
    P = -A / rates[:, None]
    return np.linalg.cholesky((P + P.T) / 2).T


def _size(forged: Document, root: np.ndarray, J: np.ndarray) -> float:
    whitened = root @ J @ np.linalg.inv(root)
    if forged["metric"] is not None:
        return float(np.abs(whitened).sum(1).max())
    return float(np.linalg.norm(whitened, 2))


def _jacobians(layer: Any, h: float, rng: np.random.Generator) -> Iterator[np.ndarray]:
    lo, hi = layer.activation.slope_interval
    operator = layer.operator if isinstance(layer, GradientBlock) else layer.state_operator
    A, eye = np.asarray(dense_matrix(operator)), np.eye(layer.state_size)
    for _ in range(20):
        D = np.diag(rng.choice([lo, hi], len(A)))
        if isinstance(layer, GradientBlock):
            yield (1 - h * float(layer.leak)) * eye - h * A.T @ D @ A
        else:
            keep = 1 - h if isinstance(layer, EquilibriumBlock) else 1.0
            yield keep * eye + h * D @ A


def _gains_hold(block: AbstractBlock, claim: Document, rng: np.random.Generator) -> bool:
    orders: dict[str, Any] = {"euclidean": 2, "maximum": np.inf}
    for depth in (1, 3, 30):
        u, w = rng.standard_normal((2, block.input_size))
        moved = np.asarray(unroll(block, array(u + w), depth) - unroll(block, array(u), depth))
        for norm, order in orders.items():
            ratio = np.linalg.norm(moved, order) / np.linalg.norm(w, order)
            for what in ("gain", "push") if depth == 1 else ("gain",):
                value = claim[norm][what]
                if value is not None and not ratio <= float.fromhex(value) * (1 + 1e-9):
                    return False
    return True


def test_a_large_dense_block_is_checked_within_a_minute(folder: Path):
    rng = np.random.default_rng(0)
    root = array(rng.standard_normal((256, 256)) / 32)
    block = ResidualBlock(
        gram(DenseOperator(root)), DenseOperator(root), jnp.zeros(256), array(0.5), "relu"
    )
    answer = certify_block(block)
    assert isinstance(answer, BlockCertificate)
    assert check(write_deep_certificate(answer, folder / "large.json")).accepted
