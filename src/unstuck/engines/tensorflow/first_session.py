"""What TensorFlow takes for the whole process from the first session that is made.

That is done when ``runtime`` is imported, so these are to be set before. Importing this module does not import it.
"""

intra_op_threads = 0  # 0 is one a CPU that the process is bound to, whatever its container's quota
inter_op_threads = 0  # the same
gpu_memory_fraction = 0.0  # 0 lets TensorFlow choose
