"""The files that the other scripts here read, by NumPy and without Gradus."""
import gzip
import json
import os

import numpy as np


def images(directory, part):
    """The images of an IDX set's part, "train" or "t10k": (n, 784), in double precision, from 0
    to 1."""
    with gzip.open(os.path.join(directory, part + "-images-idx3-ubyte.gz")) as file:
        pixels = np.frombuffer(file.read(), dtype=np.uint8, offset=16)
    return pixels.reshape(-1, 784) / 255


def safetensors(path):
    """The tensors of a safetensors file of floats, by name. The file has 8 bytes with the length of
    its header, the header in JSON, and the numbers."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        numbers = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32", entry
        begin, end = entry["data_offsets"]
        values = np.frombuffer(numbers[begin:end], dtype="<f4")
        tensors[name] = values.reshape(entry["shape"]).copy()
    return tensors
