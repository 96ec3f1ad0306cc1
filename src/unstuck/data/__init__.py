"""Training data: read in batches from files of any size, sampled, profiled, and learnt from.

A batch is an array a column, its first dimension the rows; text is an object array of bytes. A missing number is NaN,
missing text is empty.
"""

from unstuck.data.columns import Batch, Column, DataError, DataFile
from unstuck.data.reading import open_data, read_batches
from unstuck.data.sampling import sample

__all__ = ["Batch", "Column", "DataError", "DataFile", "open_data", "read_batches", "sample"]
