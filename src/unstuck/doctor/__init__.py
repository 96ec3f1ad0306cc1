"""``unstuck diagnose``: why a served model gives the same, or a wrong, prediction whatever it is sent.

Experiments collect evidence, checks decide on it, each for one cause, and the verdict is the earliest root among what
they found. Nothing here knows our server: any server of TensorFlow Serving's protocol can be diagnosed.
"""
