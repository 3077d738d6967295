"""The LoRA trainer: a program of its own, run as a folder by a Python that has torch, transformers and peft.

`python jobs/trainer run FOLDER` obeys the work order in FOLDER and keeps everything about its run there. It
imports nothing of the service, and its modules import one another by their plain names.
"""
