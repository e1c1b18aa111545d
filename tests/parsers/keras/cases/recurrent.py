"""Recurrent layers: their cells, what they return, their order, and masks that reach them."""

from __future__ import annotations

from typing import Any

from .row import Row, rows

SEQUENCE = (5, 4)
FRAMES = (4, 6, 2)
IMAGES = (3, 5, 6, 2)
VOLUMES = (2, 3, 4, 3, 2)
WORDS = (6,)


def masked(make: Any, **embedding: Any) -> Any:
    """A model whose layer sees words, of which some are 0 and so masked."""

    def build(keras: Any, x: Any) -> Any:
        return make(keras.layers)(keras.layers.Embedding(6, 3, mask_zero=True, **embedding)(x))

    return build


def _masked_rows(**layers: Any) -> list[Row]:
    return [Row(f"masked_{name}", (WORDS,), masked(make), "int32") for name, make in layers.items()]


def _state(keras: Any, x: Any, *state: Any, **settings: Any) -> Any:
    return keras.layers.LSTM(3, **settings)(x, initial_state=list(state))


ROWS = [
    *rows(
        SEQUENCE,
        lstm=lambda L: L.LSTM(3),
        lstm_sequences=lambda L: L.LSTM(3, return_sequences=True),
        lstm_state=lambda L: L.LSTM(3, return_state=True),
        lstm_sequences_state=lambda L: L.LSTM(3, return_sequences=True, return_state=True),
        lstm_backwards=lambda L: L.LSTM(3, go_backwards=True, return_sequences=True, return_state=True),
        lstm_backwards_last=lambda L: L.LSTM(3, go_backwards=True),
        lstm_no_bias=lambda L: L.LSTM(3, use_bias=False),
        lstm_activations=lambda L: L.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid"),
        lstm_linear=lambda L: L.LSTM(3, activation="linear", recurrent_activation="softsign"),
        lstm_odd_activation=lambda L: L.LSTM(3, activation="gelu", return_sequences=True),
        lstm_odd_gate=lambda L: L.LSTM(3, recurrent_activation="silu", go_backwards=True),
        lstm_layer_activation=lambda L: L.LSTM(3, activation=L.LeakyReLU(negative_slope=0.1)),
        lstm_unrolled=lambda L: L.LSTM(3, unroll=True),
        lstm_dropout=lambda L: L.LSTM(3, dropout=0.5, recurrent_dropout=0.5),
        gru=lambda L: L.GRU(3),
        gru_sequences=lambda L: L.GRU(3, return_sequences=True),
        gru_state=lambda L: L.GRU(3, return_state=True),
        gru_backwards=lambda L: L.GRU(3, go_backwards=True, return_sequences=True),
        gru_reset_before=lambda L: L.GRU(3, reset_after=False),
        gru_reset_before_no_bias=lambda L: L.GRU(3, reset_after=False, use_bias=False),
        gru_no_bias=lambda L: L.GRU(3, use_bias=False),
        gru_odd_activation=lambda L: L.GRU(3, activation="gelu"),
        gru_odd_reset_before=lambda L: L.GRU(3, activation="gelu", reset_after=False),
        gru_odd_no_bias=lambda L: L.GRU(3, activation="gelu", use_bias=False),
        simple=lambda L: L.SimpleRNN(3),
        simple_sequences=lambda L: L.SimpleRNN(3, return_sequences=True, activation="relu"),
        simple_backwards=lambda L: L.SimpleRNN(3, go_backwards=True, return_state=True),
        simple_no_bias=lambda L: L.SimpleRNN(3, use_bias=False),
        simple_odd=lambda L: L.SimpleRNN(3, activation="mish"),
        rnn_lstm_cell=lambda L: L.RNN(L.LSTMCell(3), return_sequences=True, return_state=True),
        rnn_gru_cell=lambda L: L.RNN(L.GRUCell(3, reset_after=False)),
        rnn_simple_cell=lambda L: L.RNN(L.SimpleRNNCell(3), go_backwards=True),
        rnn_stacked=lambda L: L.RNN([L.LSTMCell(3), L.GRUCell(2), L.LSTMCell(4)], return_sequences=True),
        rnn_stacked_cells=lambda L: L.RNN(L.StackedRNNCells([L.LSTMCell(3), L.GRUCell(2)])),
        rnn_stacked_state=lambda L: L.RNN([L.GRUCell(3), L.SimpleRNNCell(2)], return_state=True),
        bidirectional=lambda L: L.Bidirectional(L.LSTM(3)),
        bidirectional_sequences=lambda L: L.Bidirectional(L.LSTM(3, return_sequences=True)),
        bidirectional_state=lambda L: L.Bidirectional(L.LSTM(3, return_sequences=True, return_state=True)),
        bidirectional_gru=lambda L: L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="sum"),
        bidirectional_mul=lambda L: L.Bidirectional(L.GRU(3), merge_mode="mul"),
        bidirectional_ave=lambda L: L.Bidirectional(L.SimpleRNN(3), merge_mode="ave"),
        bidirectional_none=lambda L: L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode=None),
        bidirectional_two=lambda L: L.Bidirectional(
            L.LSTM(3, return_sequences=True),
            backward_layer=L.GRU(3, return_sequences=True, go_backwards=True),
        ),
        bidirectional_rnn=lambda L: L.Bidirectional(L.RNN(L.GRUCell(3), return_sequences=True)),
        time_distributed=lambda L: L.TimeDistributed(L.Dense(3, activation="relu")),
        time_distributed_norm=lambda L: L.TimeDistributed(L.BatchNormalization()),
    ),
    *rows(
        (None, 4),
        lstm_any_length=lambda L: L.LSTM(3, return_sequences=True),
        gru_any_length=lambda L: L.GRU(3, go_backwards=True),
        gru_odd_any_length=lambda L: L.GRU(3, activation="gelu", return_sequences=True),
        bidirectional_any_length=lambda L: L.Bidirectional(L.GRU(3, return_sequences=True)),
        time_distributed_any_length=lambda L: L.TimeDistributed(L.Dense(3)),
    ),
    *rows(
        FRAMES,
        conv_lstm1d=lambda L: L.ConvLSTM1D(3, 3),
        conv_lstm1d_sequences=lambda L: L.ConvLSTM1D(
            3, 3, padding="same", return_sequences=True, return_state=True
        ),
        conv_lstm1d_backwards=lambda L: L.ConvLSTM1D(2, 2, strides=2, go_backwards=True),
        time_distributed_conv=lambda L: L.TimeDistributed(L.Conv1D(3, 2)),
    ),
    *rows(
        IMAGES,
        conv_lstm2d=lambda L: L.ConvLSTM2D(2, 3, padding="same"),
        conv_lstm2d_dilated=lambda L: L.ConvLSTM2D(2, (2, 3), dilation_rate=2, use_bias=False),
        conv_lstm2d_sequences=lambda L: L.ConvLSTM2D(2, 3, activation="relu", return_sequences=True),
        time_distributed_conv2d=lambda L: L.TimeDistributed(L.Conv2D(3, 2, padding="same")),
    ),
    *rows(VOLUMES, conv_lstm3d=lambda L: L.ConvLSTM3D(2, 2, padding="same")),
    *_masked_rows(
        lstm=lambda L: L.LSTM(3),
        lstm_sequences=lambda L: L.LSTM(3, return_sequences=True, return_state=True),
        lstm_zeros=lambda L: L.LSTM(3, return_sequences=True, zero_output_for_mask=True),
        lstm_zeros_last=lambda L: L.LSTM(3, zero_output_for_mask=True),
        lstm_backwards=lambda L: L.LSTM(3, return_sequences=True, go_backwards=True),
        gru=lambda L: L.GRU(3, return_sequences=True),
        gru_reset_before=lambda L: L.GRU(3, reset_after=False),
        simple=lambda L: L.SimpleRNN(3, return_sequences=True),
        stacked=lambda L: L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True),
        bidirectional=lambda L: L.Bidirectional(L.LSTM(3, return_sequences=True)),
        bidirectional_last=lambda L: L.Bidirectional(L.GRU(3)),
        time_distributed=lambda L: L.TimeDistributed(L.Dense(2)),
    ),
    Row(
        "masking",
        (SEQUENCE,),
        lambda keras, x: keras.layers.GRU(3, return_sequences=True)(
            keras.layers.Masking(0.0)(keras.layers.ReLU()(keras.layers.Dense(1)(x)))
        ),
    ),
    Row("masking_alone", (SEQUENCE,), lambda keras, x: keras.layers.Masking(0.0)(keras.layers.ReLU()(x))),
    Row(
        "masked_twice",
        (WORDS,),
        lambda keras, x: keras.layers.LSTM(2)(masked(lambda L: L.LSTM(3, return_sequences=True))(keras, x)),
        "int32",
    ),
    Row(
        "masked_average_of_states",
        (WORDS,),
        lambda keras, x: keras.layers.GlobalAveragePooling1D()(
            masked(lambda L: L.Bidirectional(L.GRU(3, return_sequences=True)))(keras, x)
        ),
        "int32",
    ),
    Row("lstm_initial_state", (SEQUENCE, (3,), (3,)), _state),
    Row(
        "lstm_initial_state_backwards",
        (SEQUENCE, (3,), (3,)),
        lambda keras, *x: _state(keras, *x, go_backwards=True, return_sequences=True),
    ),
    Row(
        "encoder_decoder",
        (SEQUENCE, (3, 4)),
        lambda keras, x, y: keras.layers.LSTM(3, return_sequences=True)(
            y, initial_state=list(keras.layers.LSTM(3, return_state=True)(x)[1:])
        ),
    ),
    Row(
        "bidirectional_initial_state",
        (SEQUENCE, (3,), (3,)),
        lambda keras, x, *s: keras.layers.Bidirectional(keras.layers.GRU(3))(x, initial_state=list(s)),
    ),
    Row(
        "time_distributed_model",
        ((3, 6, 6, 2),),
        lambda keras, x: keras.layers.TimeDistributed(
            keras.Sequential(
                [
                    keras.layers.Input((6, 6, 2)),
                    keras.layers.Conv2D(3, 3),
                    keras.layers.BatchNormalization(),
                    keras.layers.Flatten(),
                    keras.layers.Dense(2),
                ]
            )
        )(x),
    ),
    Row(
        "spectral_normalization",
        ((7, 8, 4),),
        lambda keras, x: keras.layers.SpectralNormalization(keras.layers.Conv2D(3, 3))(x),
    ),
    Row(
        "recurrent_twice",
        (SEQUENCE, SEQUENCE),
        lambda keras, x, y: _shared(keras.layers.Bidirectional(keras.layers.LSTM(3)), x, y),
    ),
    Row(
        "recurrent_in_a_model",
        (SEQUENCE,),
        lambda keras, x: keras.Sequential(
            [
                keras.layers.Input(SEQUENCE),
                keras.layers.GRU(3, return_sequences=True),
                keras.layers.Bidirectional(keras.layers.LSTM(2)),
            ]
        )(x),
    ),
]


def _shared(layer: Any, x: Any, y: Any) -> Any:
    return [layer(x), layer(y)]
