"""The reference cluster: it speaks the wire contract, runs the trainer, and shares no code with the service.

Start reading at `dispatcher.py`.
"""
