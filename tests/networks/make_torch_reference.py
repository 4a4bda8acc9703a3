"""Writes torch_reference.json: what PyTorch's own cells answer. Run by hand, where PyTorch is.

    python tests/networks/make_torch_reference.py

The numbers that are stored were made with PyTorch 2.13.0 on a CPU. Weights and inputs have three
decimals, so that the file holds them exactly as they were used.
"""

import json
import random
from pathlib import Path

import torch  # pyright: ignore[reportMissingImports]

UNITS, INPUTS, STEPS, BATCH = 5, 3, 7, 2
CASES = {
    # name: (layer, gates, extra arguments, dtype)
    "rnn_tanh": (torch.nn.RNN, 1, {"nonlinearity": "tanh"}, torch.float64),
    "rnn_relu": (torch.nn.RNN, 1, {"nonlinearity": "relu"}, torch.float64),
    "gru": (torch.nn.GRU, 3, {}, torch.float64),
    "lstm": (torch.nn.LSTM, 4, {}, torch.float64),
    "gru_float32": (torch.nn.GRU, 3, {}, torch.float32),
}


def draw(source: random.Random, *shape: int) -> list:
    if not shape:
        return round(source.uniform(-0.9, 0.9), 3)  # pyright: ignore[reportReturnType]
    return [draw(source, *shape[1:]) for _ in range(shape[0])]


def run(name: str) -> dict:
    layer_type, gates, extra, dtype = CASES[name]
    source = random.Random(name)
    weights = {
        "weight_ih": draw(source, gates * UNITS, INPUTS),
        "weight_hh": draw(source, gates * UNITS, UNITS),
        "bias_ih": draw(source, gates * UNITS),
        "bias_hh": draw(source, gates * UNITS),
    }
    layer = layer_type(INPUTS, UNITS, batch_first=True, dtype=dtype, **extra)
    with torch.no_grad():
        for key, value in weights.items():
            getattr(layer, f"{key}_l0").copy_(torch.tensor(value, dtype=dtype))
        inputs = draw(source, BATCH, STEPS, INPUTS)
        states = [draw(source, BATCH, UNITS) for _ in range(2 if name == "lstm" else 1)]
        initial = [torch.tensor([state], dtype=dtype) for state in states]
        hidden, final = layer(
            torch.tensor(inputs, dtype=dtype), tuple(initial) if name == "lstm" else initial[0]
        )
    case = {
        "dtype": str(dtype).removeprefix("torch."),
        "weights": weights,
        "inputs": inputs,
        "initial": [sum(rows, []) for rows in zip(*states, strict=True)],
        "hidden": hidden.tolist(),
    }
    if name == "lstm":
        case["final_cell"] = final[1][0].tolist()
    return case


if __name__ == "__main__":
    content = {"torch": torch.__version__, "cases": {name: run(name) for name in CASES}}
    path = Path(__file__).with_name("torch_reference.json")
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")
