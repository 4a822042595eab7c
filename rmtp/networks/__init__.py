"""Networks as functions: layers, ready architectures, finite networks."""

from .architectures import cnn, mlp, recurrent_network, resnet, transformer
from .attention import linear_scores, many_headed_attention, scores, self_attention, softmax
from .graphs import embedding, graph_conv, positional
from .layers import (
    Output,
    bias,
    conv,
    dense,
    global_pool,
    input_weights,
    linear,
    pool,
    readout,
)
from .norms import layer_norm, rms_norm
from .recurrent import bidirectional, gru, lstm, rnn

__all__ = [
    "Output",
    "bias",
    "bidirectional",
    "cnn",
    "conv",
    "dense",
    "embedding",
    "global_pool",
    "graph_conv",
    "gru",
    "input_weights",
    "layer_norm",
    "linear",
    "linear_scores",
    "lstm",
    "many_headed_attention",
    "mlp",
    "pool",
    "positional",
    "readout",
    "recurrent_network",
    "resnet",
    "rms_norm",
    "rnn",
    "scores",
    "self_attention",
    "softmax",
    "transformer",
]
