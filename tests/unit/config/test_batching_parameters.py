import pytest

from unstuck.config.batching_parameters import read_batching_parameters
from unstuck.core.batching import BatchingParameters
from unstuck.errors import SetupError

WHOLE = """\
# as in TensorFlow Serving's documentation
max_batch_size { value: 32 }
batch_timeout_micros { value: 2500 }
max_enqueued_batches { value: 7 }
num_batch_threads { value: 3 }
thread_pool_name { value: "batches" }
allowed_batch_sizes: 8
allowed_batch_sizes: [16, 32]
pad_variable_length_inputs: true
enable_large_batch_splitting { value: true }
max_execution_batch_size { value: 16 }
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        file = tmp_path / "batching.config"
        file.write_text(text)
        return read_batching_parameters(file)

    return read


def test_a_whole_file(read):
    assert read(WHOLE) == BatchingParameters(
        max_batch_size=32,
        batch_timeout_micros=2500,
        max_enqueued_batches=7,
        num_batch_threads=3,
        allowed_batch_sizes=(8, 16, 32),
        pad_variable_length_inputs=True,
        enable_large_batch_splitting=True,
        max_execution_batch_size=16,
    )


def test_an_empty_file_is_the_defaults_of_tensorflow(read):
    assert read("") == BatchingParameters()
    assert (read("").max_batch_size, read("").batch_timeout_micros, read("").max_enqueued_batches) == (1000, 0, 10)


def test_no_enqueued_batches_is_one_as_tensorflow_reads_it(read):
    assert read("max_enqueued_batches { value: 0 }").max_enqueued_batches == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "max_batch_sise { value: 1 }",
            "line 1: BatchingParameters has no field 'max_batch_sise'. Did you mean 'max_b",
        ),
        ("max_batch_size { valu: 1 }", "line 1: Int64Value has no field 'valu'. Did you mean 'value'?"),
        ("\nmax_batch_size: 4", 'line 2: max_batch_size: Expected "{". Write it as NAME { value: 8 }.'),
        ("max_batch_size { value: 1.5 }", "line 1: max_batch_size.value: Couldn't parse"),
        ("max_batch_size { value: 0 }", "line 1: max_batch_size: expected 1 or more, got 0."),
        ("\n\nbatch_timeout_micros { value: -1 }", "line 3: batch_timeout_micros: expected 0 or more, got -1."),
        ("max_enqueued_batches { value: -5 }", "line 1: max_enqueued_batches: expected 0 or more, got -5."),
        ("num_batch_threads {\n value: 0 }", "line 2: num_batch_threads: expected 1 or more, got 0."),
        ("max_batch_size { value: 4 }\nallowed_batch_sizes: [4, 2]", "line 2: allowed_batch_sizes: expected ascending"),
        ("max_batch_size { value: 4 }\nallowed_batch_sizes: [4, 4]", "expected ascending sizes, got 4 after 4."),
        ("allowed_batch_sizes: 0 allowed_batch_sizes: 1000", "allowed_batch_sizes: expected 1 or more, got 0."),
        (
            "max_batch_size { value: 4 }\nallowed_batch_sizes: 1\nallowed_batch_sizes: 3",
            "line 3: allowed_batch_sizes: the last must be max_batch_size, 4; got 3.",
        ),
        ("allowed_batch_sizes: 32", "the last must be max_batch_size, 1000; got 32."),
        (
            "enable_large_batch_splitting { value: true }\nmax_enqueued_batches { value: 0 }",
            "line 2: max_enqueued_batches: expected 1 or more with enable_large_batch_splitting, got 0.",
        ),
        (
            "enable_large_batch_splitting { value: true }\nmax_batch_size { value: 4 }\n"
            "max_execution_batch_size { value: 8 }",
            "line 3: max_execution_batch_size: expected at most max_batch_size, 4, got 8.",
        ),
    ],
)
def test_mistakes_are_said_with_their_line(read, text, said):
    with pytest.raises(SetupError) as error:
        read(text)
    assert said in str(error.value)
    assert "batching.config, line " in str(error.value)


def test_the_first_of_several_mistakes_is_said(read):
    with pytest.raises(SetupError, match="line 1: max_batch_size"):
        read("max_batch_size { value: 0 }\nnum_batch_threads { value: 0 }")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SetupError, match="--batching_parameters_file=F cannot be read"):
        read_batching_parameters(tmp_path / "none", "--batching_parameters_file=F")


@pytest.mark.parametrize(("rows", "padded"), [(1, 2), (2, 2), (3, 8), (8, 8), (9, 9)])
def test_the_next_allowed_size(rows, padded):
    assert BatchingParameters(allowed_batch_sizes=(2, 8)).padded(rows) == padded
    assert BatchingParameters().padded(rows) == rows


def test_the_largest_batch():
    assert BatchingParameters(max_batch_size=8, max_execution_batch_size=4).largest_batch == 8
    split = BatchingParameters(max_batch_size=8, max_execution_batch_size=4, enable_large_batch_splitting=True)
    assert split.largest_batch == 4
    assert BatchingParameters(max_batch_size=8, enable_large_batch_splitting=True).largest_batch == 8
