"""Networks as functions: layers, ready architectures, finite networks, signal propagation."""

from .architectures import cnn, mlp, recurrent_network, resnet, transformer
from .attention import linear_scores, many_headed_attention, scores, self_attention, softmax
from .checks import KernelVerification, verify_kernels
from .finite import FiniteNetwork, init
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
from .masks import dropout
from .norms import batch_norm, layer_norm, rms_norm
from .recurrent import bidirectional, gru, lstm, rnn
from .signal import (
    Propagation,
    chi,
    correlation_map,
    edge_of_chaos,
    length_map,
    phase_diagram,
    propagation,
)

__all__ = [
    "FiniteNetwork",
    "KernelVerification",
    "Output",
    "Propagation",
    "batch_norm",
    "bias",
    "bidirectional",
    "chi",
    "cnn",
    "conv",
    "correlation_map",
    "dense",
    "dropout",
    "edge_of_chaos",
    "embedding",
    "global_pool",
    "graph_conv",
    "gru",
    "init",
    "input_weights",
    "layer_norm",
    "length_map",
    "linear",
    "linear_scores",
    "lstm",
    "many_headed_attention",
    "mlp",
    "phase_diagram",
    "pool",
    "positional",
    "propagation",
    "readout",
    "recurrent_network",
    "resnet",
    "rms_norm",
    "rnn",
    "scores",
    "self_attention",
    "softmax",
    "transformer",
    "verify_kernels",
]
